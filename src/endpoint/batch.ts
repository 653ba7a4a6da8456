/** Many traces in one request, each answered for itself. */
import { TraceValidationError } from "../errors.ts";
import { statusOf } from "./answers.ts";
import { Failure, type FailureKind } from "./failure.ts";
import type { KeptTrace } from "./keep.ts";
import { parseBody, type TraceLimits } from "./receive.ts";

/** What became of one trace of a batch. */
export interface ItemAnswer {
  /** What it would have been answered alone: 200, 400, 409, 503, …. */
  readonly status: number;
  /** `stored` and `duplicate` are successes; `failed` is the storage's trouble, and worth another try. */
  readonly result: "stored" | "duplicate" | "conflict" | "invalid" | "failed";
  readonly outcome: "success" | "failure";
  readonly error: string | null;
  readonly url: string | null;
  /** Where in the trace the first thing is wrong, for `invalid`. @example "messages[0].role" */
  readonly path?: string;
}

interface BatchLimits extends TraceLimits {
  readonly maxTraces: number;
  readonly isNdjson: boolean;
  readonly batches: boolean;
}

/** One trace of a batch, parsed when its turn comes: a broken line of NDJSON is that line's failure. */
type Item = () => unknown;

/** Of one batch, so many traces are written at a time: more would only wait in the storage's own queue. */
export const WRITES_AT_ONCE = 32;
/** A trace may be wrong in ten thousand places; an answer for a thousand traces must stay readable. */
const MAX_ERROR_LENGTH = 400;

/**
 * The body, and its items when it is a batch. An empty array is none: nobody sends it on purpose.
 *
 * @throws {Failure} `not_json` or `too_large`.
 */
export function itemsOf(text: string, limits: BatchLimits): { body: unknown; items: Item[] | undefined } {
  if (limits.isNdjson) {
    const lines = text.split("\n").filter((line) => line.trim() !== "");
    return { body: undefined, items: within(limits, lines).map((line) => () => parseBody(line, limits)) };
  }
  const isList = limits.batches && /^\s*\[/.test(text);
  const body = parseBody(text, limits, isList ? 1 : 0);
  if (!isList || !Array.isArray(body) || body.length === 0) return { body, items: undefined };
  return { body, items: within(limits, body).map((item: unknown) => () => item) };
}

function within<T>({ maxTraces }: BatchLimits, items: T[]): T[] {
  if (items.length <= maxTraces) return items;
  throw new Failure("too_large", `RequestTooLarge: A request has at most ${maxTraces} traces`);
}

interface ItemParts {
  readonly store: (body: unknown) => Promise<KeptTrace & { readonly url: string | null }>;
  readonly toFailure: (error: unknown) => Failure;
  /** How many items are under way at a time. */
  readonly atOnce: number;
}

/** Store them all, however many of them fail. One answer an item, in their order. */
export async function answerItems(
  items: readonly Item[],
  { store, toFailure, atOnce }: ItemParts,
): Promise<ItemAnswer[]> {
  const answers: ItemAnswer[] = [];
  const waiting = items.entries();
  const work = async () => {
    // One iterator for all workers: each takes the next item that nobody has.
    for (const [index, item] of waiting) {
      answers[index] = await (async () => toAnswer(await store(item())))().catch((error: unknown) =>
        toRefusal(toFailure(error)),
      );
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, work));
  return answers;
}

function toAnswer({ duplicate, url }: Pick<KeptTrace, "duplicate"> & { url: string | null }): ItemAnswer {
  return { status: 200, result: duplicate ? "duplicate" : "stored", outcome: "success", error: null, url };
}

const RESULTS: Partial<Record<FailureKind, ItemAnswer["result"]>> = {
  conflict: "conflict",
  not_json: "invalid",
  invalid_trace: "invalid",
};

function toRefusal(failure: Failure): ItemAnswer {
  const path = failure.cause instanceof TraceValidationError ? failure.cause.issues[0]?.path : undefined;
  return {
    status: statusOf(failure.kind),
    result: RESULTS[failure.kind] ?? "failed",
    outcome: "failure",
    error: failure.message.slice(0, MAX_ERROR_LENGTH),
    url: null,
    ...(path === undefined ? {} : { path }),
  };
}
