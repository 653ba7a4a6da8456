/** A call of the chat completions API → a trace. Lenient: whatever a provider bends, what was said is kept. */
import { isObject, type JsonObject } from "../json.ts";
import type { TraceInput, TraceMessage } from "../trace.ts";
import { choiceMessages, toTraceMessage } from "../transcript.ts";
import { type Answer, areChoices, isEventStream, readEvents, toTrace } from "./answer.ts";
import { type CapturedCall, keptText, missing, parseObject } from "./call.ts";
import { describeMedia } from "./media.ts";
import { mergeDelta, type Pieces } from "./merge.ts";

export async function chatCompletionToTrace(call: CapturedCall): Promise<TraceInput> {
  const request = parseObject(call.requestText);
  await describeMedia(request?.["messages"]);
  return choicesToTrace(call, { request, asked: requestMessages(request) });
}

/** The answer is a list of choices; what was asked has been read. */
export function choicesToTrace(
  call: CapturedCall,
  asked: { readonly request: JsonObject | undefined; readonly asked: readonly TraceMessage[] },
): TraceInput {
  const answer = isEventStream(call.responseText) ? readStream(call) : readJson(keptText(call).trim());
  return toTrace(call, { ...asked, answered: choiceMessages(answer.choices) }, answer);
}

export function requestMessages(request: JsonObject | undefined): TraceMessage[] {
  const messages = request?.["messages"];
  return Array.isArray(messages) ? messages.map((message) => toTraceMessage(message)) : [];
}

function readJson(text: string): Answer {
  const body = parseObject(text);
  if (!body) return { unread: text };
  const { model, choices, usage, error } = body;
  const understood = areChoices(choices) || (error !== undefined && error !== null);
  return { model, choices, usage, error, unread: understood ? "" : text };
}

function readStream(call: CapturedCall): Answer {
  const choices: Pieces[] = [];
  let about: JsonObject = {};
  const rest = readEvents(call, {
    joinsText: true,
    take(chunk, event) {
      about = { ...about, ...readChunk(chunk, event, choices) };
    },
    onGap() {
      for (const choice of choices)
        addToChoice(choices, { index: choice["index"], ...markFor(choice, call.droppedBytes) }, 0);
    },
  });
  const inOrder = choices.toSorted((a, b) => Number(a["index"]) - Number(b["index"])).map(finishChoice);
  return { ...about, ...(inOrder.length > 0 ? { choices: inOrder } : {}), ...rest };
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

/** Where the middle of a long answer is missing, its text says so. */
function markFor(choice: Pieces, droppedBytes: number): JsonObject {
  const text = missing(droppedBytes);
  return "text" in choice ? { text } : { delta: { content: text } };
}

/** In the form of an answer that was not streamed. */
function finishChoice({ index, delta, message, ...rest }: Pieces): JsonObject {
  const streamed = isObject(delta) && Object.keys(delta).length > 0 ? delta : undefined;
  const said = streamed ?? message ?? ("text" in rest ? undefined : {});
  return { index, ...(isObject(said) ? { message: { role: "assistant", ...said } } : {}), ...rest };
}
