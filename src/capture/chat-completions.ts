/** A call of the chat completions API → a trace. Lenient: whatever a provider bends, what was said is kept. */
import { isObject, type JsonObject } from "../json.ts";
import type { TraceInput, TraceMessage } from "../trace.ts";
import { type CallEnding, choiceMessages, toCallMessage, toTraceMessage } from "../transcript.ts";
import { type CapturedCall, parseJson, parseObject } from "./call.ts";
import { describeMedia } from "./media.ts";
import { mergeDelta, type Pieces } from "./merge.ts";
import { parseServerSentEvents } from "./sse.ts";

/** What a response says, streamed or not. */
interface Answer {
  readonly model?: unknown;
  readonly choices?: unknown;
  readonly usage?: unknown;
  /** An error told in the body, also inside an HTTP 200. */
  readonly error?: unknown;
  /** What could not be understood, and is kept as it came. */
  readonly unread: string;
  /** The stream said that it is over: what its reader does afterwards does not abort it. */
  readonly done?: boolean;
}

export async function chatCompletionToTrace(call: CapturedCall): Promise<TraceInput> {
  const request = parseObject(call.requestText);
  await describeMedia(request?.["messages"]);
  const answer = readAnswer(call);
  const { choices, usage } = answer;
  const ending = describeEnding(call, answer);
  const messages = [
    ...requestMessages(request, call.requestText),
    ...choiceMessages(choices),
    ...(answer.unread ? [toTraceMessage({ role: "assistant", content: answer.unread })] : []),
    ...(ending ? [toCallMessage(ending)] : []),
  ];
  return {
    model:
      [answer.model, request?.["model"]].find((name) => typeof name === "string" && name !== "")?.toString() ??
      "unknown",
    // The contract wants something to be said: an empty call says how it ended.
    messages: messages.length > 0 ? messages : [toCallMessage({ ended: "complete" })],
    ...(areChoices(choices) ? { choices } : {}),
    ...(isObject(usage) ? { usage } : {}),
  };
}

function requestMessages(request: JsonObject | undefined, text: string | undefined): TraceMessage[] {
  const messages = request?.["messages"];
  if (Array.isArray(messages)) return messages.map((message) => toTraceMessage(message));
  return text ? [toTraceMessage({ role: "user", content: text })] : [];
}

/** What the contract takes; anything else is said in `messages` alone. */
function areChoices(choices: unknown): choices is JsonObject[] | JsonObject {
  return Array.isArray(choices) ? choices.every(isObject) : isObject(choices);
}

function describeEnding(
  { ending, status, droppedBytes }: CapturedCall,
  { done, error }: Answer,
): CallEnding | undefined {
  const failedStatus = status !== undefined && status >= 400 ? { status } : {};
  const dropped = droppedBytes > 0 ? { dropped_bytes: droppedBytes } : {};
  if (error !== undefined && error !== null) return { ended: "failed", ...failedStatus, error, ...dropped };
  if (ending && !done) return { ...ending, ...failedStatus, ...dropped };
  if (status !== undefined && status >= 400) return { ended: "failed", status, ...dropped };
  return droppedBytes > 0 ? { ended: "complete", ...dropped } : undefined;
}

function readAnswer({ responseText, ending }: CapturedCall): Answer {
  const text = responseText.trim();
  // By its form, not by its content type: errors come as JSON in event streams, and some servers name no type at all.
  return /^(?:data|event|id|retry)?:/.test(text) ? readStream(text, ending !== undefined) : readJson(text);
}

function readJson(text: string): Answer {
  const body = parseObject(text);
  if (!body) return { unread: text };
  const { model, choices, usage, error } = body;
  const understood = areChoices(choices) || (error !== undefined && error !== null);
  return { model, choices, usage, error, unread: understood ? "" : text };
}

function readStream(text: string, cutOff: boolean): Answer {
  const events = parseServerSentEvents(text);
  const choices: Pieces[] = [];
  const unread: string[] = [];
  let about: JsonObject = {};
  let done = false;
  for (const [position, { event, data }] of events.entries()) {
    const chunk = parseJson(data);
    if (data.trim() === "[DONE]") done = true;
    else if (isObject(chunk)) about = { ...about, ...readChunk(chunk, event, choices) };
    // The last event of a stream that was cut off is half an event: nobody has seen it.
    else if (!(cutOff && position === events.length - 1)) unread.push(data);
  }
  const inOrder = choices.toSorted((a, b) => Number(a["index"]) - Number(b["index"])).map(finishChoice);
  return { ...about, ...(inOrder.length > 0 ? { choices: inOrder } : {}), unread: unread.join("\n"), done };
}

/** Adds the chunk to the choices, and gives back what it says about the answer as a whole. */
function readChunk(chunk: JsonObject, event: string, choices: Pieces[]): JsonObject {
  const { model, usage, error, x_groq } = chunk;
  for (const [position, piece] of (Array.isArray(chunk["choices"]) ? chunk["choices"] : []).entries()) {
    if (isObject(piece)) addToChoice(choices, piece, position);
  }
  const groqUsage = isObject(x_groq) ? x_groq["usage"] : undefined;
  const failure = error ?? (event === "error" ? chunk : undefined);
  return {
    ...(model ? { model } : {}),
    ...(isObject(usage ?? groqUsage) ? { usage: usage ?? groqUsage } : {}),
    ...(failure === undefined || failure === null ? {} : { error: failure }),
  };
}

function addToChoice(choices: Pieces[], piece: JsonObject, position: number) {
  const { delta, index = position, ...rest } = piece;
  let choice = choices.find((known) => known["index"] === index);
  if (!choice) {
    choice = { index, delta: {} };
    choices.push(choice);
  }
  const { text, ...values } = rest;
  mergeDelta(choice, values, false);
  if (text !== undefined) mergeDelta(choice, { text });
  if (isObject(delta)) mergeDelta(choice, { delta });
}

/** In the form of an answer that was not streamed. */
function finishChoice({ index, delta, message, ...rest }: Pieces): JsonObject {
  const streamed = isObject(delta) && Object.keys(delta).length > 0 ? delta : undefined;
  const said = streamed ?? message ?? ("text" in rest ? undefined : {});
  return { index, ...(isObject(said) ? { message: { role: "assistant", ...said } } : {}), ...rest };
}
