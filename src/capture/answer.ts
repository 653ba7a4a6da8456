/** What the readers of all APIs have in common: from what was asked and answered to the trace. */
import { isObject, type JsonObject } from "../json.ts";
import type { TraceInput, TraceMessage } from "../trace.ts";
import { type CallEnding, toCallMessage, toTraceMessage } from "../transcript.ts";
import { asideMessages } from "./asides.ts";
import type { CapturedCall } from "./call.ts";
import { isDone, readJoined } from "./text-runs.ts";

/** What a response says, streamed or not. */
export interface Answer {
  readonly model?: unknown;
  readonly choices?: unknown;
  readonly usage?: unknown;
  /** What is said beside the choices. */
  readonly asides?: JsonObject | undefined;
  /** An error told in the body, also inside an HTTP 200. */
  readonly error?: unknown;
  /** What an API tells of an end that is no failure, and not the usual one either. */
  readonly remarks?: JsonObject | undefined;
  /** What could not be understood, and is kept as it came. */
  readonly unread: string;
  /** The stream said that it is over: what its reader does afterwards does not abort it. */
  readonly done?: boolean;
}

/** Both sides of a call, as messages. */
export interface Conversation {
  readonly request: JsonObject | undefined;
  readonly asked: readonly TraceMessage[];
  readonly answered: readonly TraceMessage[];
}

export function toTrace(call: CapturedCall, { request, asked, answered }: Conversation, answer: Answer): TraceInput {
  const { choices, usage, asides = {}, unread } = answer;
  const ending = describeEnding(call, answer);
  const { requestText } = call;
  const messages = [...asked, ...answered, ...asideMessages(asides, answered)];
  // A request in no form of ours is said as it is.
  if (asked.length === 0 && requestText) messages.unshift(toTraceMessage({ role: "user", content: requestText }));
  if (unread) messages.push(toTraceMessage({ role: "assistant", content: unread }));
  if (ending) messages.push(toCallMessage(ending));
  // The contract wants something to be said: an empty call says how it ended.
  if (messages.length === 0) messages.push(toCallMessage({ ended: "complete" }));
  const model = nameOf(answer.model) ?? nameOf(request?.["model"]) ?? "unknown";
  const trace: TraceInput = { model, messages };
  if (areChoices(choices)) trace.choices = choices;
  if (isObject(usage)) trace.usage = usage;
  return trace;
}

function nameOf(model: unknown): string | undefined {
  return typeof model === "string" && model !== "" ? model : undefined;
}

/** What the contract takes; anything else is said in `messages` alone. */
export function areChoices(choices: unknown): choices is JsonObject[] | JsonObject {
  return Array.isArray(choices) ? choices.every(isObject) : isObject(choices);
}

function describeEnding({ ending, status, droppedBytes }: CapturedCall, answer: Answer): CallEnding | undefined {
  const { done, error, remarks } = answer;
  const dropped = droppedBytes > 0 ? { dropped_bytes: droppedBytes } : undefined;
  const failed = status !== undefined && status >= 400 ? ({ ended: "failed", status } as const) : undefined;
  const facts = { ...remarks, ...dropped };
  if (error !== undefined && error !== null) return { ended: "failed", ...failed, error, ...facts };
  // What was remarked until then ("in progress") is no longer so. A refusal stays one when its reader leaves, as clients
  // that try again do.
  if (ending && !done) return { ...ending, ...failed, ...dropped };
  if (failed) return { ...failed, ...facts };
  return Object.keys(facts).length > 0 ? { ended: "complete", ...facts } : undefined;
}

export interface EventTaker {
  take(chunk: JsonObject, event: string): void;
  /** Called where the middle of a long response was not kept. */
  onGap?(): void;
  /** Whether events that only add text may come as one. */
  readonly joinsText?: boolean;
}

/** Hands over every event that is a JSON object; gives back what is none, and whether the end was told. */
export function readEvents(
  { responseText, tailText, droppedBytes, ending }: CapturedCall,
  { take, onGap, joinsText = false }: EventTaker,
): { readonly unread: string; readonly done: boolean } {
  const unread: string[] = [];
  let done = false;
  const read = (text: string, isCut: { readonly first?: boolean; readonly last: boolean }) => {
    for (const event of readJoined(text, joinsText)) {
      const { chunk, isFirst, isLast } = event;
      if (isObject(chunk)) take(chunk, event.event);
      else if (isDone(event)) done = true;
      // The last event of a stream that was cut off is half an event: nobody has seen it.
      // One without data keeps the connection alive.
      else if (event.data.trim() !== "" && !((isCut.first && isFirst) || (isCut.last && isLast)))
        unread.push(event.data);
    }
  };
  const isGap = droppedBytes > 0;
  read(responseText.trim(), { last: ending !== undefined || isGap });
  if (isGap) {
    onGap?.();
    read(tailText.trimEnd(), { first: true, last: ending !== undefined });
  }
  return { unread: unread.join("\n"), done };
}
