/** What the logger tells its caller: one receipt a trace, one report a flush, and the running totals. */
import type { SpoolEvent } from "./delivery/spool/events.ts";
import type { TraceLoggerError } from "./errors.ts";
import type { Trace } from "./trace.ts";

/** Every reason for which a trace can be lost. A closed list: each loss has exactly one of these words. */
export const LOSS_REASONS = [
  /** It does not satisfy the contract, or cannot be written as JSON. */
  "invalid",
  /** Larger than `maxTraceBytes`, or than what the endpoint takes. */
  "too_large",
  /** The endpoint refused it for good. */
  "rejected",
  /** `redact` failed: nothing was sent. */
  "redact_failed",
  /** The queue was full (`queue.overflow`). */
  "queue_full",
  /** Not delivered within `maxAgeMs`. */
  "expired",
  /** It failed again and again while other traces passed. */
  "poison",
  /** `logTrace` after `close`, or not delivered when `close` ran out of time. */
  "closed",
  /** The process ended at once (`process.exit`, an uncaught exception) with the trace in memory. */
  "exit",
  /** It stood only on disk, and was destroyed there. */
  "spool_lost",
] as const;

/** One word for why a trace was lost. */
export type LossReason = (typeof LOSS_REASONS)[number];

/** What became of one `logTrace` call. */
export type TraceReceipt = DeliveredReceipt | SpooledReceipt | LostReceipt | SkippedReceipt;

/** The endpoint has stored the trace. */
export interface DeliveredReceipt {
  readonly status: "delivered";
  readonly id: string;
  /** The share page for people, where the endpoint made one. */
  readonly url: string | null;
  /** Fields that this endpoint does not take and that were left out of what was stored; what they say stands in `messages`. */
  readonly leftOut: readonly "choices"[];
}

/** The trace stands on disk, and no longer in memory: it is delivered later, by this process or the next. */
export interface SpooledReceipt {
  readonly status: "spooled";
  readonly id: string;
}

/** The trace will not arrive. */
export interface LostReceipt {
  readonly status: "lost";
  /** Absent (`null`) when the input had no usable id. */
  readonly id: string | null;
  readonly reason: LossReason;
  readonly error: TraceLoggerError;
}

/** Nothing was attempted, as configured. */
export interface SkippedReceipt {
  readonly status: "skipped";
  readonly reason: "disabled" | "sampled_out";
}

/** What `onLoss` is told, once for every lost trace. */
export interface TraceLoss {
  readonly id: string | null;
  readonly reason: LossReason;
  readonly error: TraceLoggerError;
  /**
   * The trace, so that the host can save it. Redacted, except where `redact` did not come to its end: what is lost as
   * `invalid`, `redact_failed`, `closed` or `exit` may be as it was handed over.
   */
  readonly trace: Trace | unknown;
}

/** What a `flush` or `close` achieved for the traces that were accepted before it was called. */
export interface FlushReport {
  /** Delivered while it waited. */
  readonly delivered: number;
  /** Still waiting or in flight when it ended. */
  readonly pending: number;
  /** Safe on disk, to be delivered later by this process, the next, or one that took them over. */
  readonly spooled: number;
  /** Lost while it waited. */
  readonly lost: number;
  /** The newest trouble with the endpoint, `null` when the last answer was a success. */
  readonly lastError: TraceLoggerError | null;
}

/** A snapshot of the totals. Always: `accepted = delivered + pending + (sum of lost)`. */
export interface TraceLoggerStats {
  /**
   * Calls of `logTrace` that were not skipped, and traces read that a dead process had left on disk; less those on disk
   * that another process took over from us, as it does from one that was stopped for minutes: they count there.
   */
  readonly accepted: number;
  readonly delivered: number;
  /** Waiting (in memory or on disk), in flight or being redacted. Traces that dead processes left count once they are read. */
  readonly pending: number;
  /** Those of the pending ones that stand only on disk. */
  readonly spooled: number;
  readonly lost: Readonly<Record<LossReason, number>>;
  /** Calls that were skipped: disabled, or sampled out. Not part of `accepted`. */
  readonly skipped: number;
  /** POST requests sent. */
  readonly requests: number;
  /** Traces in the memory queue, those in flight included. */
  readonly inQueue: number;
  /** Bytes of the traces in the memory queue. */
  readonly pendingBytes: number;
  /** Traces that this endpoint stored without their `choices`. */
  readonly choicesLeftOut: number;
  /** Is the endpoint taking traces? `held` waits for someone to mend the API key or the URL. */
  readonly gate: "open" | "backing_off" | "quota" | "held";
}

/** What `onEvent` is told. */
export type TraceLoggerEvent =
  /** The endpoint has trouble; everything waits and is tried again. */
  | { readonly type: "backing_off"; readonly error: TraceLoggerError; readonly retryInMs: number }
  /** The API key or the URL has to be mended by someone; everything is kept. */
  | { readonly type: "held"; readonly error: TraceLoggerError; readonly retryInMs: number }
  /** Traces pass again. */
  | { readonly type: "recovered" }
  /** What the disk spool went through: degraded, full, adopted, …. */
  | { readonly type: "spool"; readonly event: SpoolEvent }
  /** What form of `choices` this endpoint takes has been found out. */
  | { readonly type: "choices_form"; readonly form: "object" | "list" | "none" };
