/** A call of the chat completions API → a trace. Lenient: whatever a provider bends, what was said is kept. */
import { isObject, type JsonObject } from "../json.ts";
import type { TraceInput, TraceMessage } from "../trace.ts";
import { choiceMessages, toTraceMessage } from "../transcript.ts";
import { type Answer, areChoices, readEvents, toTrace } from "./answer.ts";
import { addAsides } from "./asides.ts";
import { type CapturedCall, isEventStream, keptText, missing, parseObject, responseObject } from "./call.ts";
import { describeMedia } from "./media.ts";
import { mergeDelta, type Pieces, pick } from "./merge.ts";
import { whenThere } from "./once.ts";

export function chatCompletionToTrace(call: CapturedCall): TraceInput | Promise<TraceInput> {
  return choicesToTrace(call, requestMessages);
}

/** The answer is a list of choices; what was asked is read by `toAsked`. */
export function choicesToTrace(
  call: CapturedCall,
  toAsked: (request: JsonObject | undefined) => readonly TraceMessage[],
): TraceInput | Promise<TraceInput> {
  const request = parseObject(call.requestText);
  return whenThere(describeMedia(request?.["messages"]), () => {
    const answer = isEventStream(call.responseText) ? readStream(call) : readJson(call);
    const { choices } = answer;
    const error = answer.error ?? failureOf(choices);
    const said = { request, asked: toAsked(request), answered: choiceMessages(choices) };
    return toTrace(call, said, { ...answer, error });
  });
}

/** Reasons to finish that mean a failure: Mistral's, Z.ai's (its inference failed) and DeepSeek's (it was cut off by load). */
const FAILURES: readonly unknown[] = ["error", "network_error", "insufficient_system_resource"];

/** Some tell that they failed within a choice (OpenRouter), or in one word and no more. */
function failureOf(choices: unknown): unknown {
  for (const choice of Array.isArray(choices) ? choices : []) {
    const { error, finish_reason } = asObject(choice);
    if (error || FAILURES.includes(finish_reason)) return error || { finish_reason };
  }
  return undefined;
}

export function requestMessages(request: JsonObject | undefined): TraceMessage[] {
  const { agent_id, messages } = request ?? {};
  if (!Array.isArray(messages)) return [];
  // Mistral's agents have a model and instructions of their own, which are said elsewhere, and only named here.
  const context = agent_id === undefined || agent_id === null ? messages : [{ agent_id }, ...messages];
  return context.map((message) => toTraceMessage(message));
}

function readJson(call: CapturedCall): Answer {
  const body = responseObject(call);
  const { model, choices, usage, error } = body ?? {};
  const understood = areChoices(choices) || (error !== undefined && error !== null);
  if (!body || !understood) return { model, choices, usage, error, unread: keptText(call).trim() };
  return { model, choices, usage, error, asides: addAsides({}, body), unread: "" };
}

function readStream(call: CapturedCall): Answer {
  const choices: Pieces[] = [];
  let about: JsonObject = {};
  let asides: JsonObject = {};
  const rest = readEvents(call, {
    joinsText: true,
    take(chunk, event) {
      const told = readChunk(chunk, event, choices);
      about = { ...about, ...told };
      if (told["error"] !== chunk) asides = addAsides(asides, chunk);
    },
    onGap() {
      for (const choice of choices)
        addToChoice(choices, { index: choice["index"], ...markFor(choice, call.droppedBytes) }, 0);
    },
  });
  const inOrder = choices.toSorted((a, b) => Number(a["index"]) - Number(b["index"])).map(finishChoice);
  return { ...about, ...(inOrder.length > 0 ? { choices: inOrder } : {}), asides, ...rest };
}

/** Adds the chunk to the choices, and gives back what it says about the answer as a whole. */
function readChunk(chunk: JsonObject, event: string, choices: Pieces[]): JsonObject {
  const { model, error, x_groq } = chunk;
  const groq = asObject(x_groq);
  let usage = chunk["usage"] ?? groq["usage"];
  for (const [position, piece] of [chunk["choices"]].flat().entries()) {
    if (!isObject(piece)) continue;
    addToChoice(choices, piece, position);
    usage ??= piece["usage"]; // Moonshot
  }
  const failure = error ?? groq["error"] ?? (event === "error" || chunk["object"] === "error" ? chunk : undefined);
  return {
    ...(model ? { model } : {}),
    ...(isObject(usage) ? { usage } : {}),
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
  const { text, message, ...values } = rest;
  mergeDelta(choice, values, false);
  if (isObject(message)) mergeDelta(choice, { message }, isPieceOfMessage(choice, piece, message));
  else if (message !== undefined) mergeDelta(choice, { message }, false);
  if (text !== undefined) mergeDelta(choice, { text });
  if (isObject(delta)) mergeDelta(choice, { delta });
}

/**
 * Some say `message` where others say `delta`. Beside or after deltas it is the message so far, and so it is where it
 * begins with what was said until then.
 */
function isPieceOfMessage(choice: Pieces, { delta }: JsonObject, message: JsonObject): boolean {
  if (isObject(delta) || Object.keys(asObject(choice["delta"])).length > 0) return false;
  const { content: known = "" } = asObject(choice["message"]);
  const { content = "" } = message;
  return !(typeof content === "string" && typeof known === "string" && content.startsWith(known));
}

const asObject = (value: unknown): JsonObject => (isObject(value) ? value : {});

/** Where the middle of a long answer is missing, its text says so. */
function markFor(choice: Pieces, droppedBytes: number): JsonObject {
  const text = missing(droppedBytes);
  return "text" in choice ? { text } : { delta: { content: text } };
}

/** In the form of an answer that was not streamed. */
function finishChoice({ index, delta, message, ...rest }: Pieces): JsonObject {
  const streamed = asObject(delta);
  const said = Object.keys(streamed).length > 0 ? withWhole(streamed, message) : (message ?? nothing(rest));
  return { index, ...(isObject(said) ? { message: { role: "assistant", ...said } } : {}), ...rest };
}

const nothing = (choice: JsonObject) => ("text" in choice ? undefined : {});

/** A whole message that came beside or after the deltas may hold more than they do. */
function withWhole(streamed: JsonObject, message: unknown): JsonObject {
  const whole = asObject(message);
  return { ...whole, ...streamed, ...pick(whole, (key, value) => saysMore(value, streamed[key])) };
}

function saysMore(value: unknown, streamed: unknown): boolean {
  if (typeof value === "string" && typeof streamed === "string") return value.startsWith(streamed);
  return value !== null && (streamed === null || (Array.isArray(streamed) && streamed.length === 0));
}
