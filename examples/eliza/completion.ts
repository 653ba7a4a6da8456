import { randomUUID } from "node:crypto";
import type OpenAI from "openai";
import { startSession } from "./engine.ts";
import { type ChatMessage, type ChatRequest, textOf } from "./request.ts";
import { listener } from "./script.ts";
import { chooseTools, toolResults } from "./tools.ts";

type Completion = OpenAI.ChatCompletion;
type Choice = Completion["choices"][number];
type Chunk = OpenAI.ChatCompletionChunk;

/** Answer a conversation. ELIZA keeps nothing between requests: the conversation so far is heard again each time. */
export function complete(request: ChatRequest, now: Date = new Date()): Completion {
  const choices = Array.from({ length: request.n ?? 1 }, (_, index) => choose(request, index));
  return {
    id: `chatcmpl-${randomUUID()}`,
    object: "chat.completion",
    created: Math.floor(now.getTime() / 1000),
    model: request.model,
    system_fingerprint: "eliza_1966",
    choices,
    usage: count(request, choices),
  };
}

function choose(request: ChatRequest, index: number): Choice {
  const called = chooseTools(request);
  if (called.length > 0) {
    const calls = called.map((fn) => ({ id: `call_${randomUUID()}`, type: "function" as const, function: fn }));
    return toChoice(index, { content: null, tool_calls: calls }, "tool_calls");
  }
  const words = tokenize(toolResults(request.messages) ?? answer(request.messages, index));
  const limit = request.max_completion_tokens ?? request.max_tokens ?? words.length;
  const content = words.slice(0, limit).join("");
  return toChoice(index, { content }, limit < words.length ? "length" : "stop");
}

function toChoice(
  index: number,
  said: Pick<Choice["message"], "content" | "tool_calls">,
  reason: Choice["finish_reason"],
): Choice {
  return { index, message: { role: "assistant", refusal: null, ...said }, logprobs: null, finish_reason: reason };
}

function answer(messages: readonly ChatMessage[], variant: number): string {
  const session = startSession(listener, variant);
  const said = messages.filter(({ role }) => role === "user").map((message) => session.reply(textOf(message)));
  return said.at(-1) ?? "How do you do. Please tell me what troubles you.";
}

/** ELIZA's tokens: a word or a mark with the space before it. Joined, they are the text again. */
export function tokenize(text: string): string[] {
  return text.match(/\s*(?:[\p{L}\p{N}'’]+|[^\s])|\s+$/gu) ?? [];
}

function count(request: ChatRequest, choices: readonly Choice[]): OpenAI.CompletionUsage {
  const sum = (texts: readonly string[]) => texts.reduce((total, text) => total + tokenize(text).length, 0);
  const prompt = sum([...request.messages.map(textOf), ...(request.tools ?? []).map((tool) => JSON.stringify(tool))]);
  const completion = sum(choices.flatMap(({ message }) => [message.content ?? "", ...argumentsOf(message)]));
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
}

function argumentsOf(message: Choice["message"]): string[] {
  return (message.tool_calls ?? []).flatMap((call) =>
    call.type === "function" ? [call.function.name, call.function.arguments] : [],
  );
}

/** The same completion as a stream tells it: a role, then token by token, all choices side by side. */
export function* toChunks(completion: Completion, includeUsage: boolean): Generator<Chunk> {
  const { id, created, model, system_fingerprint, usage } = completion;
  const chunk = (choices: Chunk["choices"]): Chunk => ({
    id,
    object: "chat.completion.chunk",
    created,
    model,
    ...(system_fingerprint ? { system_fingerprint } : {}),
    choices,
    ...(includeUsage ? { usage: null } : {}),
  });
  const told = completion.choices.map((choice) => [...toDeltas(choice)]);
  for (let step = 0; told.some((deltas) => step < deltas.length); step++) {
    for (const deltas of told) {
      const delta = deltas[step];
      if (delta) yield chunk([delta]);
    }
  }
  if (includeUsage && usage) yield { ...chunk([]), usage };
}

type ChunkChoice = Chunk["choices"][number];

function* toDeltas({ index, message, finish_reason }: Choice): Generator<ChunkChoice> {
  const tell = (delta: ChunkChoice["delta"]): ChunkChoice => ({ index, delta, logprobs: null, finish_reason: null });
  yield tell({ role: "assistant", content: message.content === null ? null : "", refusal: null });
  for (const content of tokenize(message.content ?? "")) yield tell({ content });
  for (const [position, call] of (message.tool_calls ?? []).entries()) {
    if (call.type !== "function") continue;
    const { id, type } = call;
    const { name, arguments: json } = call.function;
    yield tell({ tool_calls: [{ index: position, id, type, function: { name, arguments: "" } }] });
    for (const piece of tokenize(json)) {
      yield tell({ tool_calls: [{ index: position, function: { arguments: piece } }] });
    }
  }
  yield { ...tell({}), finish_reason };
}
