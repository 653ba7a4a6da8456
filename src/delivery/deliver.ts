/** From a trace to what became of it: one request, or a few where the form of `choices` has to be found out. */
import { DeliveryError } from "../errors.ts";
import type { Attempt, AttemptOptions } from "./attempt.ts";
import { type ChoicesForm, type ChoicesNegotiation, type NegotiatedForm, reencode } from "./choices-form.ts";
import type { QueuedTrace, QueueLimits } from "./queue.ts";
import type { Verdict } from "./verdict.ts";

/** A verdict, and the form in which the trace was sent. */
export interface Delivery {
  readonly verdict: Verdict;
  readonly form: ChoicesForm;
  /** The verdict is of a whole list: this trace need not be at fault. */
  readonly isShared?: boolean;
}

/** What may leave in one request. A `Deliver` may change it, by what the endpoint took. */
export type Parcel = { -readonly [Limit in keyof QueueLimits]: QueueLimits[Limit] };

/** Sends what leaves in one go; one outcome a trace, in their order. Never rejects. */
export type Deliver = (traces: readonly QueuedTrace[], signal: AbortSignal) => Promise<readonly Delivery[]>;

export interface DeliverParts {
  readonly attempt: Attempt;
  readonly negotiation: ChoicesNegotiation;
  readonly onForm: (form: NegotiatedForm) => void;
}

/** One POST a trace, as the existing endpoint wants it. */
export function singlePosts(parts: DeliverParts): Deliver {
  return (traces, signal) => Promise.all(traces.map((trace) => deliverOne(parts, trace, signal)));
}

/** Many traces in one POST, loaded when the first ones leave. */
export function lazyBatchPosts(parts: DeliverParts, parcel: Parcel): Deliver {
  let loaded: Promise<Deliver> | undefined;
  return async (traces, signal) => {
    loaded ??= import("./batch-posts.ts").then(({ batchPosts }) => batchPosts(parts, parcel));
    try {
      return await (await loaded)(traces, signal);
    } catch (cause) {
      loaded = undefined;
      const verdict = notLoaded(cause);
      return traces.map(({ form }) => ({ verdict, form, isShared: true }));
    }
  };
}

/**
 * The real thing, loaded when the first trace leaves: an import of this package then costs neither ky nor the table of
 * answers.
 */
export function lazyAttempt(options: AttemptOptions): Attempt {
  let loaded: Promise<Attempt> | undefined;
  return async (...args) => {
    loaded ??= import("./attempt.ts").then(({ createAttempt }) => createAttempt(options));
    try {
      return await (await loaded)(...args);
    } catch (cause) {
      loaded = undefined;
      return notLoaded(cause);
    }
  };
}

function notLoaded(cause: unknown): Verdict {
  const message = "The sending part of tracelogger could not be loaded. Is the package whole?";
  return { kind: "retry", error: new DeliveryError(message, { code: "network", cause }), retryAfterMs: 0 };
}

/** A trace in the form of `choices` that is to be tried next. */
export function encodedFor(trace: QueuedTrace, negotiation: ChoicesNegotiation): { json: string; form: ChoicesForm } {
  const form = negotiation.next(trace.form, trace.refused) ?? trace.form;
  return { form, json: form === "absent" ? trace.json : reencode(trace, form) };
}

/** One POST for one trace, and further ones while the endpoint refuses the form of its `choices`. */
export async function deliverOne(parts: DeliverParts, trace: QueuedTrace, signal: AbortSignal): Promise<Delivery> {
  const { attempt, negotiation, onForm } = parts;
  for (;;) {
    const { form, json } = encodedFor(trace, negotiation);
    const verdict = await attempt(json, signal);
    if (verdict.kind === "delivered" && form !== "absent" && negotiation.learn(form)) onForm(form);
    if (verdict.kind !== "rejected" || verdict.tooLarge) return { verdict, form };
    trace.refused = [...trace.refused, form];
    if (negotiation.next(trace.form, trace.refused) === null) return { verdict, form };
  }
}
