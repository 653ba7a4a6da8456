import { monotonicMs } from "./delivery/alarm.ts";
import { withDeadline } from "./delivery/deadline.ts";
import { Deferred, type DeferredWork } from "./delivery/deferred.ts";
import { lazyAttempt } from "./delivery/deliver.ts";
import { Delivery } from "./delivery/delivery.ts";
import { type EndsWithProcess, finishOnSignals, forgetAtEnd, isLeaving, remindAtEnd } from "./delivery/exit.ts";
import { spoolOpener } from "./delivery/open-spool.ts";
import { type ResolvedOptions, resolveOptions, type TraceLoggerOptions } from "./options.ts";
import type {
  FlushReport,
  SkippedReceipt,
  TraceLoggerEvent,
  TraceLoggerStats,
  TraceLoss,
  TraceReceipt,
} from "./receipts.ts";
import { isRequestBound } from "./runtime.ts";
import {
  type ClosingTraceSink,
  type DeferringTraceSink,
  deferTrace,
  type LogOptions,
  type OpenCall,
  openCalls,
} from "./sink.ts";
import { isThenable } from "./thenable.ts";
import type { TraceInput } from "./trace.ts";

/** How long `flush` or `close` may take. */
export interface WaitOptions {
  /** Milliseconds. @default 30_000 for `flush`, 8_000 for `close` */
  readonly timeoutMs?: number | undefined;
}

const FLUSH_TIMEOUT_MS = 30_000;
const CLOSE_TIMEOUT_MS = 8_000;
/** How long a process that has ended otherwise is kept for traces that the endpoint does not take. */
const NATURAL_END_TIMEOUT_MS = 30_000;
/**
 * How long calls that end are gathered. Code that was not run for a while is slow: the trace of a short call is built in
 * a quarter of the time when many are built one after the other. Much less than `maxWaitMs`, which their traces wait then.
 */
const GATHER_MS = 50;
/** `ready` waits while the queue is fuller than this share of its limits. */
const READY_BELOW = 0.75;
/** An `onLoss` that logs what it is told of, which is lost again, and so on: from here on it is not told any more. */
const MAX_LOSS_DEPTH = 20;

/**
 * Takes traces, and delivers each of them once and whole. `logTrace`, `flush` and `close` never throw and never
 * reject: what went wrong is in what they give back.
 */
export class TraceLogger implements ClosingTraceSink, DeferringTraceSink, EndsWithProcess, AsyncDisposable {
  /** @internal Calls under way that built-in capture would hear no more of; see `openCalls` in sink.ts. */
  readonly [openCalls] = new Set<OpenCall>();
  readonly #options: ResolvedOptions;
  readonly #delivery: Delivery;
  readonly #deferred = new Deferred(() => this.#onChange());
  readonly #stopSignals: () => void;
  #whenReady: (() => void)[] = [];
  #whenIdle: (() => void)[] = [];
  #closing: Promise<FlushReport> | undefined;
  #isClosed = false;
  #isStopped = false;
  #isBusy = false;
  #restUntilMs: number | undefined;
  #skipped = 0;
  #hasPrinted = false;
  #isHeldTold = false;
  #lossDepth = 0;

  /** @throws {TraceLoggerError} `invalid_option` when an option has the wrong type or range. */
  constructor(options?: TraceLoggerOptions) {
    this.#options = resolveOptions(options);
    this.#delivery = new Delivery(this.#options, {
      attempt: lazyAttempt(this.#options),
      // Switched off, it does not deliver what others have left there either.
      openSpool: this.#options.enabled ? spoolOpener(this.#options.spool) : undefined,
      onLoss: (loss) => this.#tellLoss(loss),
      onEvent: (event) => this.#tellEvent(event),
      onChange: () => this.#onChange(),
    });
    this.#stopSignals = this.#options.handleSignals ? finishOnSignals(() => this.close()) : () => {};
  }

  /**
   * Log one conversation. The input is copied before this returns: changing it afterwards changes nothing. With a spool
   * it is also on disk by then.
   *
   * The promise settles when the fate of the trace is known, which may take as long as an outage; there is no need to
   * await it. Never throws, never rejects.
   */
  logTrace(input: TraceInput, options?: LogOptions): Promise<TraceReceipt> {
    const skipped = this.#skipReason(options?.sampleKey);
    if (skipped) {
      this.#skipped++;
      return Promise.resolve<SkippedReceipt>({ status: "skipped", reason: skipped });
    }
    return new Promise((resolve) => {
      if (this.#isClosed) this.#delivery.refuse(input, resolve);
      else this.#delivery.accept(input, resolve, options?.truncate);
      this.#onWork();
    });
  }

  /** @internal Built-in capture hands over the work of building a trace; see `deferTrace` in sink.ts. */
  [deferTrace](work: DeferredWork): void {
    if (!this.#options.enabled) return;
    this.#deferred.add(work, this.#options.spool ? 0 : GATHER_MS); // what is to outlive the process is not to wait
    // Closed, nothing keeps the process until later; leaving, there is none. That is asked only where nobody tells: it
    // takes as long as all of this.
    if (this.#isClosed || (!this.#isBusy && isLeaving())) this.#deferred.run();
    this.#onWork();
  }

  /**
   * Wait until every trace that was accepted before this call has been delivered or lost, at most `timeoutMs`.
   * Overlapping calls each wait for their own. What is still pending then stays queued.
   */
  flush(options: WaitOptions = {}): Promise<FlushReport> {
    return withDeadline(options.timeoutMs ?? FLUSH_TIMEOUT_MS, async (passed) => {
      const building = this.#deferred.finish(passed);
      // Not awaited when there is nothing to build: the watermark is then exactly where flush was called.
      if (building) await building;
      return this.#delivery.drain(passed);
    });
  }

  /**
   * Take no more traces, deliver what there is for at most `timeoutMs`, then leave the rest on disk or report it lost.
   * Later calls get the report of the first.
   */
  close(options: WaitOptions = {}): Promise<FlushReport> {
    this.#closing ??= withDeadline(options.timeoutMs ?? CLOSE_TIMEOUT_MS, (passed) => this.#close(passed));
    return this.#closing;
  }

  /** `await using logger = new TraceLogger()`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Resolves when there is room for more: await it between traces to log no faster than the endpoint takes. */
  ready(): Promise<void> {
    if (this.#delivery.hasRoom(READY_BELOW)) return Promise.resolve();
    return new Promise((resolve) => this.#whenReady.push(resolve));
  }

  /** A snapshot. Always: `accepted = delivered + pending + (sum of lost)`. */
  get stats(): TraceLoggerStats {
    return { ...this.#delivery.stats, skipped: this.#skipped };
  }

  /** @internal Called when the process has nothing else left to do. */
  async deliverRest(): Promise<void> {
    // Called again after each flush for what has come meanwhile, from disk for instance: one bound for all of it.
    this.#restUntilMs ??= monotonicMs() + NATURAL_END_TIMEOUT_MS;
    const timeoutMs = Math.max(0, this.#restUntilMs - monotonicMs());
    await (timeoutMs === 0 ? this.close({ timeoutMs }) : this.flush({ timeoutMs }));
  }

  /** @internal Called when the process ends at once. */
  leave(): void {
    this.#endOpenCalls();
    this.#deferred.run();
    this.#isClosed = true; // `onLoss`, and `exit` listeners that come after ours, may log
    const before = this.stats.lost.exit;
    const wasPrinted = this.#hasPrinted;
    this.#hasPrinted = true; // one line for all of them
    this.#delivery.stop("exit", "The process ended before its delivery.");
    this.#hasPrinted = wasPrinted;
    const lost = this.stats.lost.exit - before;
    if (lost > 0 && !this.#options.onLoss)
      this.#printLoss(`the process ended with ${lost} undelivered traces in memory.`);
  }

  #endOpenCalls(): void {
    for (const call of this[openCalls]) call.abandon();
  }

  async #close(passed: Promise<void>): Promise<FlushReport> {
    this.#endOpenCalls();
    const building = this.#deferred.finish(passed);
    if (building) await building;
    this.#isClosed = true;
    this.#delivery.expedite();
    const report = await this.#delivery.drain(passed, () =>
      this.#delivery.stop("closed", "Not delivered when close() ran out of time."),
    );
    this.#isStopped = true;
    this.#stopSignals();
    this.#onChange();
    return report;
  }

  #onWork(): void {
    this.#onChange();
    const { waitUntil } = this.#options;
    // Another request's stay is of no use to this one.
    if (waitUntil && this.#isBusy && isRequestBound()) guard(() => waitUntil(this.flush()));
  }

  #onBusy(): void {
    this.#isBusy = true;
    remindAtEnd(this);
    const { waitUntil, spool } = this.#options;
    if (isLeaving() && !spool) this.leave(); // logged by an `exit` listener; on disk it would be safe
    if (waitUntil && !isRequestBound())
      guard(() => waitUntil(new Promise<void>((resolve) => this.#whenIdle.push(resolve))));
  }

  #onChange(): void {
    const isStopped = this.#isStopped;
    if (this.#whenReady.length > 0 && (isStopped || this.#delivery.hasRoom(READY_BELOW)))
      this.#whenReady = release(this.#whenReady);
    const isBusy = !isStopped && (!this.#deferred.isIdle || this.#delivery.pending > 0);
    if (isBusy === this.#isBusy) return;
    if (isBusy) this.#onBusy();
    else this.#onIdle();
  }

  #onIdle(): void {
    this.#isBusy = false;
    this.#restUntilMs = undefined;
    forgetAtEnd(this);
    this.#whenIdle = release(this.#whenIdle);
  }

  #skipReason(sampleKey: unknown): SkippedReceipt["reason"] | null {
    const { enabled, sampleRate } = this.#options;
    if (!enabled) return "disabled";
    // Not `undefined` alone: a conversation without an id is often `null`, and one key for all of them.
    const isKey = sampleKey !== undefined && typeof sampleKey !== "object";
    const share = isKey ? shareOf(String(sampleKey)) : Math.random();
    return share >= sampleRate ? "sampled_out" : null;
  }

  #tellLoss(loss: TraceLoss): void {
    const { onLoss } = this.#options;
    if (this.#lossDepth++ < MAX_LOSS_DEPTH && onLoss) guard(() => onLoss(loss));
    else this.#printLoss(`a trace was lost (${loss.reason}): ${loss.error.message} Pass \`onLoss\` to keep them.`);
    this.#lossDepth--;
  }

  #tellEvent(event: TraceLoggerEvent): void {
    const { onEvent } = this.#options;
    if (onEvent) guard(() => onEvent(event));
    else if (event.type === "held" && !this.#isHeldTold) {
      this.#isHeldTold = true;
      print(`${event.error.message} Traces are kept.`);
    }
  }

  #printLoss(message: string): void {
    if (!this.#hasPrinted) print(message);
    this.#hasPrinted = true;
  }
}

/** The only output of ours, when nobody listens: one line for what holds the traces, one for what is lost. */
function print(message: string): void {
  // biome-ignore lint/suspicious/noConsole: the one place of the client that prints.
  console.error(`[tracelogger] ${message}`);
}

/** Where a key falls between 0 and 1, evenly and always the same: FNV-1a, its bits mixed (as Murmur3 ends). */
function shareOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < key.length; at++) hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}

function release(waiting: readonly (() => void)[]): [] {
  for (const resolve of waiting) resolve();
  return [];
}

/** A user's callback must not break delivery, whatever it does. */
function guard(callback: () => unknown): void {
  try {
    const result = callback();
    if (isThenable(result)) Promise.resolve(result).catch(() => {});
  } catch {
    // The host's own mistake, in its own callback: there is nobody to tell but the host.
  }
}
