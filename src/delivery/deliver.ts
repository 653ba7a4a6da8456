/** From a trace to what became of it: one request, or a few where the form of `choices` has to be found out. */
import { DeliveryError } from "../errors.ts";
import type { Attempt, AttemptOptions } from "./attempt.ts";
import { type ChoicesForm, type ChoicesNegotiation, type NegotiatedForm, reencode } from "./choices-form.ts";
import type { QueuedTrace } from "./queue.ts";
import type { Verdict } from "./verdict.ts";

/** A verdict, and the form in which the trace was sent. */
export interface Delivery {
  readonly verdict: Verdict;
  readonly form: ChoicesForm;
}

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

/**
 * The real thing, loaded when the first trace leaves: an import of this package then costs neither ky nor the table of
 * answers.
 */
export function lazyAttempt(options: AttemptOptions): Attempt {
  let loaded: Promise<Attempt> | undefined;
  return async (json, signal) => {
    loaded ??= import("./attempt.ts").then(({ createAttempt }) => createAttempt(options));
    try {
      return await (await loaded)(json, signal);
    } catch (cause) {
      loaded = undefined;
      const message = "The sending part of tracelogger could not be loaded; the trace is kept. Is the package whole?";
      return { kind: "retry", error: new DeliveryError(message, { code: "network", cause }), retryAfterMs: 0 };
    }
  };
}

async function deliverOne(parts: DeliverParts, trace: QueuedTrace, signal: AbortSignal): Promise<Delivery> {
  const { attempt, negotiation, onForm } = parts;
  let form = negotiation.next(trace.form, trace.refused) ?? trace.form;
  for (;;) {
    const verdict = await attempt(form === "absent" ? trace.json : reencode(trace, form), signal);
    if (verdict.kind === "delivered" && form !== "absent" && negotiation.learn(form)) onForm(form);
    if (verdict.kind !== "rejected" || verdict.tooLarge) return { verdict, form };
    trace.refused.add(form);
    const next = negotiation.next(trace.form, trace.refused);
    if (next === null) return { verdict, form };
    form = next;
  }
}
