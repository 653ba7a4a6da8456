/** One POST for many traces, to an endpoint that takes lists and answers for each trace. Loaded when the option asks. */
import { type Deliver, type DeliverParts, type Delivery, deliverOne, encodedFor, type Parcel } from "./deliver.ts";
import type { QueuedTrace } from "./queue.ts";
import { type Answer, type Verdict, verdictOf } from "./verdict.ts";

/** So often lists may fail where single traces pass, until the endpoint counts as one that takes no lists. */
const FAILURES_TO_BELIEVE = 3;

/**
 * The answer to a list is a list. Where none comes back:
 * - the endpoint refuses lists: from then on traces leave one by one, for good. Those of this parcel are not answered
 *   for, so they go back into the queue, whole and once;
 * - it is too large, or fails: parcels are halved, down to one trace, which is sent as ever. So the one trace at which
 *   everything breaks is found, and the others pass.
 */
export function batchPosts(parts: DeliverParts, parcel: Parcel): Deliver {
  const batches = new Batches(parcel);
  return async (traces, signal) => {
    const [first] = traces;
    if (first && traces.length === 1) {
      const delivery = await deliverOne(parts, first, signal);
      if (delivery.verdict.kind === "delivered") batches.onSingle();
      return [delivery];
    }
    const { verdict, items } = await postList(parts, traces, signal);
    if (!items) return batches.onFailure(traces, verdict);
    batches.onAnswer();
    return settleItems(parts, { traces, items, signal });
  };
}

/** How large a list may be, and whether there may be one: learned from what became of the last ones. */
class Batches {
  readonly #parcel: Parcel;
  readonly #maxTraces: number;
  /** A list was answered with a list. */
  #isProven = false;
  #isRefused = false;
  #singlePassed = false;
  #failures = 0;

  constructor(parcel: Parcel) {
    this.#parcel = parcel;
    this.#maxTraces = parcel.maxTraces;
  }

  onAnswer(): void {
    this.#isProven = true;
    this.#grow();
  }

  onSingle(): void {
    this.#singlePassed = true;
    if (!this.#isRefused) this.#grow();
  }

  /** No list came back. Traces that are not answered for go back into the queue. */
  onFailure(traces: readonly QueuedTrace[], verdict: Verdict): Delivery[] {
    if (!this.#isProven && this.#meansRefusal(verdict)) {
      this.#isRefused = true;
      this.#parcel.maxTraces = 1;
      return [];
    }
    if (verdict.kind === "retry" || verdict.kind === "rejected") this.#shrink(traces);
    if (verdict.kind === "rejected" || verdict.kind === "delivered") return [];
    return traces.map(({ form }) => ({ verdict, form, isShared: true }));
  }

  #meansRefusal(verdict: Verdict): boolean {
    switch (verdict.kind) {
      case "delivered": // in the words for one trace: what became of the others is not known
        return true;
      case "rejected":
        return !verdict.tooLarge;
      case "held":
        return verdict.error.status === 415;
      default:
        // An unhandled exception in a function looks like an outage. It is none where single traces pass.
        return this.#singlePassed && verdict.error.code === "server" && ++this.#failures >= FAILURES_TO_BELIEVE;
    }
  }

  #shrink(traces: readonly QueuedTrace[]): void {
    this.#parcel.maxTraces = Math.max(1, Math.floor(traces.length / 2));
  }

  /** Not at once to the full: what made it shrink may still wait in the queue. */
  #grow(): void {
    const { maxTraces } = this.#parcel;
    this.#parcel.maxTraces = Math.min(this.#maxTraces, maxTraces + 1 + Math.floor(maxTraces / 4));
  }
}

/** What the endpoint says of one trace of a list. */
type Item = Readonly<Record<string, unknown>>;

interface ListAnswer {
  /** Of the request as a whole; means little when there are items. */
  readonly verdict: Verdict;
  readonly items: readonly Verdict[] | undefined;
}

async function postList(
  { attempt, negotiation }: DeliverParts,
  traces: readonly QueuedTrace[],
  signal: AbortSignal,
): Promise<ListAnswer> {
  const body = `[${traces.map((trace) => encodedFor(trace, negotiation).json).join(",")}]`;
  let items: readonly Verdict[] | undefined;
  const verdict = await attempt(body, signal, (answer, nowMs) => {
    items = verdictsOf(answer, nowMs);
    return items ? { kind: "delivered", url: null } : verdictOf(answer, nowMs);
  });
  return { verdict, items };
}

/** Each item is judged as the answer to a POST of its own. `undefined` when the answer is no list. */
function verdictsOf({ headers, body, status }: Answer, nowMs: number): readonly Verdict[] | undefined {
  const results = status >= 200 && status < 300 ? listIn(body) : undefined;
  return results?.map((item) =>
    verdictOf(
      { status: typeof item.status === "number" ? item.status : status, headers, body: JSON.stringify(item) },
      nowMs,
    ),
  );
}

/** `{"results": […]}`, or that as the body in an envelope (a non-proxy integration). */
function listIn(body: unknown): readonly Item[] | undefined {
  const value = typeof body === "string" ? parse(body) : body;
  if (!isItem(value)) return undefined;
  if (Array.isArray(value.results)) return value.results.map((item) => (isItem(item) ? item : {}));
  return value.statusCode === 200 ? listIn(value.body) : undefined;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isItem(value: unknown): value is Item {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

interface Answered {
  readonly traces: readonly QueuedTrace[];
  readonly items: readonly Verdict[];
  readonly signal: AbortSignal;
}

/** A trace that was refused with its `choices` is tried in the other forms, alone: a rare thing here. */
async function settleItems(parts: DeliverParts, { traces, items, signal }: Answered): Promise<Delivery[]> {
  const deliveries: Delivery[] = [];
  for (const [index, verdict] of items.slice(0, traces.length).entries()) {
    const trace = traces[index];
    if (!trace) break;
    const { form } = encodedFor(trace, parts.negotiation);
    const mayTryOthers = verdict.kind === "rejected" && !verdict.tooLarge && form !== "absent";
    if (mayTryOthers) trace.refused = [...trace.refused, form];
    deliveries.push(mayTryOthers ? await deliverOne(parts, trace, signal) : { verdict, form });
  }
  return deliveries;
}
