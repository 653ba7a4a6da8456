/** From a trace that is written to one that waits, and the two ways in which it can be lost by a decision of ours. */
import { DeliveryError, type DeliveryErrorCode } from "../errors.ts";
import type { LossReason } from "../receipts.ts";
import { monotonicMs } from "./alarm.ts";
import { decodeTrace } from "./choices-form.ts";
import type { Ticket } from "./ledger.ts";
import type { QueuedTrace } from "./queue.ts";

/** A trace that is written, and its caller. */
export type Item = Pick<QueuedTrace, "id" | "json" | "bytes" | "form" | "ticket">;

export function toQueued({ id, json, bytes, form, ticket }: Item, maxAgeMs: number): QueuedTrace {
  // On disk the spool's own, longer limit holds; it is checked when a trace is read back.
  const expiresAtMs = ticket.ref === null ? monotonicMs() + maxAgeMs : Number.POSITIVE_INFINITY;
  // Field by field, since a million of them are made.
  return { id, json, bytes, form, ticket, expiresAtMs, refused: noForms, failures: 0, deliveredAtFailure: -1 };
}

/** Shared: hardly any trace is ever refused in some form. */
const noForms: QueuedTrace["refused"] = [];

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
