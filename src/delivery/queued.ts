/** From a trace that is written to one that waits, and the two ways in which it can be lost by a decision of ours. */
import { DeliveryError, type DeliveryErrorCode } from "../errors.ts";
import type { LossReason } from "../receipts.ts";
import { monotonicMs } from "./alarm.ts";
import { type ChoicesForm, decodeTrace } from "./choices-form.ts";
import type { Ticket } from "./ledger.ts";
import type { QueuedTrace } from "./queue.ts";
import type { SpoolRef } from "./spool/spool.ts";

/** A trace that is written, and its caller. */
export interface Item {
  readonly id: string;
  readonly json: string;
  readonly bytes: number;
  readonly form: ChoicesForm;
  readonly ticket: Ticket;
  readonly ref: SpoolRef | null;
}

/** `acknowledge` is told of a trace that is delivered or lost for good: the disk need not keep it any longer. */
export function toQueued(item: Item, maxAgeMs: number, acknowledge: (ref: SpoolRef) => void): QueuedTrace {
  const queued: QueuedTrace = {
    ...item,
    refused: new Set(),
    failures: 0,
    deliveredAtFailure: -1,
    decode: () => decodeTrace(item.json),
    // On disk the spool's own, longer limit holds; it is checked when a trace is read back.
    expiresAtMs: item.ref === null ? monotonicMs() + maxAgeMs : Number.POSITIVE_INFINITY,
  };
  item.ticket.onEnd = () => queued.ref !== null && acknowledge(queued.ref);
  return queued;
}

export function lose(
  item: Pick<QueuedTrace, "id" | "json" | "ticket">,
  code: DeliveryErrorCode & LossReason,
  message: string,
  cause?: unknown,
): void {
  const error = new DeliveryError(message, { code, cause });
  item.ticket.lose({ id: item.id, reason: code, error }, () => decodeTrace(item.json));
}

/** Loses what has not even become a trace. */
export function loseInput(
  input: unknown,
  ticket: Ticket,
  why: { readonly reason: "closed" | "exit"; readonly message: string },
): void {
  const error = new DeliveryError(why.message, { code: why.reason });
  ticket.lose({ id: null, reason: why.reason, error }, () => input);
}
