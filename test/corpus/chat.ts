/** Chat completions: how to replay one, what it says, and what must be stored of its answer. */
import type OpenAI from "openai";
import type { Api } from "./api.ts";
import { type AssembledChoice, asidesOf, assembleStream } from "./assemble.ts";
import { listChoices } from "./contract.ts";
import { differs, show } from "./findings.ts";
import { isObject, type JsonObject, objectsIn } from "./json.ts";
import { isEventStream, type Recording } from "./recordings.ts";
import { stringLeaves, toUtterance, type Utterance } from "./said.ts";

export const chat: Api = {
  // A recorded request may hold what the client's types do not know; the provider is sent it as it is.
  call: (client, { request }) =>
    client.chat.completions.create(request as unknown as OpenAI.ChatCompletionCreateParamsNonStreaming),
  utterances: utterancesOf,
  hasChoices,
  isComplete,
  checkAnswer: (trace, recording) =>
    isEventStream(recording) ? checkStreamed(trace, recording) : checkPlain(trace, recording),
};

/** The conversation of a chat completion, in order: what the request said, then every choice. */
function utterancesOf(recording: Recording): Utterance[] {
  const asked = objectsIn(recording.request["messages"]).map((message, i) =>
    toUtterance(message, `request.messages[${i}]`, "request"),
  );
  const answered = answeredMessages(recording).map((message, i) =>
    toUtterance({ role: "assistant", ...message }, `choice ${i}`, "response"),
  );
  const asides = asidesIn(recording);
  const beside = toUtterance({ role: "assistant", asides }, "beside the choices", "response");
  return [...asked, ...answered, ...(asides.length > 0 ? [beside] : [])];
}

function asidesIn(recording: Recording): readonly string[] {
  if (isEventStream(recording)) return assembleStream(recording.response_body).asides;
  const body = plainBody(recording.response_body);
  return Array.isArray(body["choices"]) ? asidesOf(body) : []; // else the body is kept as it came
}

function answeredMessages(recording: Recording): JsonObject[] {
  if (isEventStream(recording)) return assembleStream(recording.response_body).choices.map(({ texts }) => ({ texts }));
  return objectsIn(plainBody(recording.response_body)["choices"]).map(({ message }) =>
    isObject(message) ? message : {},
  );
}

function hasChoices(recording: Recording): boolean {
  if (isEventStream(recording)) return assembleStream(recording.response_body).choices.length > 0;
  return Array.isArray(plainBody(recording.response_body)["choices"]);
}

function plainBody(text: string): JsonObject {
  const body: unknown = JSON.parse(text);
  return isObject(body) ? body : {};
}

/** Did every choice come to an end? Of others it may be told either way: their caller saw no failure. */
function isComplete(recording: Recording): boolean {
  if (!isEventStream(recording)) {
    const choices = objectsIn(plainBody(recording.response_body)["choices"]);
    return choices.length > 0 && choices.every(({ finish_reason, error }) => !isFailure(finish_reason) && !error);
  }
  const { choices } = assembleStream(recording.response_body);
  return (
    choices.length > 0 && choices.every(({ finishReason }) => finishReason !== undefined && !isFailure(finishReason))
  );
}

/** Mistral's word, Z.ai's and DeepSeek's. */
function isFailure(finishReason: unknown): boolean {
  return /^(error|network_error|insufficient_system_resource)$/.test(String(finishReason));
}

/** JSON replies: `choices` and `usage` must be stored exactly as they came. */
function checkPlain(trace: JsonObject, { response_body, request }: Recording): string[] {
  const { choices, usage, model } = plainBody(response_body);
  const came = Array.isArray(choices) ? choices : [];
  const stored = trace["choices"] === undefined ? came : listChoices(trace["choices"]);
  return [
    ...differs("`choices` are", stored, came),
    ...differs("`usage` is", trace["usage"], isObject(usage) ? usage : undefined),
    ...differs("`model` is", trace["model"], model || request["model"]),
  ];
}

/** Streamed replies: `usage` exactly, and every part of every choice as a plain assembly has it. */
function checkStreamed(trace: JsonObject, { response_body, request }: Recording): string[] {
  const { choices, usage, usageElsewhere, models } = assembleStream(response_body);
  const allowed = models.length > 0 ? models : [String(request["model"])];
  const stored = objectsIn(listChoices(trace["choices"]));
  return [
    ...(usage || trace["usage"] ? differs("`usage` is", trace["usage"], usage ?? usageElsewhere) : []),
    ...(allowed.includes(String(trace["model"])) ? [] : [`\`model\` is ${show(trace["model"])}`]),
    ...(trace["choices"] === undefined ? [] : differs("the number of choices is", stored.length, choices.length)),
    ...stored.flatMap((choice, position) => {
      const index = choice["index"] ?? position;
      const told = choices.find((candidate) => candidate.index === index);
      const findings = told === undefined ? ["is not in the stream"] : checkStreamedChoice(choice, told);
      return findings.map((finding) => `choices[${index}] ${finding}`);
    }),
  ];
}

function checkStreamedChoice(choice: JsonObject, told: AssembledChoice): string[] {
  const message = isObject(choice["message"]) ? choice["message"] : {};
  const leaves = stringLeaves(message).map(({ text }) => text);
  const logprobs = isObject(choice["logprobs"]) ? choice["logprobs"]["content"] : undefined;
  return [
    ...differs("finish_reason is", choice["finish_reason"] ?? undefined, told.finishReason),
    ...(told.content === undefined ? [] : differs("content is", message["content"], told.content)),
    ...differs("the number of tool calls is", objectsIn(message["tool_calls"]).length, told.toolCalls),
    ...told.texts.filter((text) => !leaves.some((leaf) => leaf.includes(text))).map((text) => `lacks ${show(text)}`),
    ...(told.logprobs.length > 0 ? differs("logprobs are", logprobs, told.logprobs) : []),
    ...[...told.others].flatMap(([key, values]) => checkOther(key, choice[key], values)),
  ];
}

/** Objects may be merged over the chunks, and texts may be pieces of one; anything else is what came last. */
function checkOther(key: string, stored: unknown, values: readonly unknown[]): string[] {
  const last = values.at(-1);
  if (typeof last === "object") return stored === undefined ? [`lacks \`${key}\``] : [];
  return stored === values.join("") ? [] : differs(`\`${key}\` is`, stored, last);
}
