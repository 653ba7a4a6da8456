/** One message of a share page: who speaks, the text, reasoning folded, tool calls, and whatever else it carries. */
import { isObject } from "../json.ts";
import type { TraceMessage } from "../trace.ts";
import { fromTraceMessage } from "../transcript.ts";
import { type Html, html } from "./html.ts";
import { nestingDepth } from "./json-depth.ts";
import { data, isMachineText, machineText, text } from "./share-text.ts";

/** An OpenAI-style message: these fields mean something to us, all others are shown as they are. */
type ShownMessage = Readonly<Record<string, unknown>>;

/** Where providers put what a model thought before it spoke. */
const REASONING_FIELDS = ["reasoning_content", "reasoning", "thinking"];
/** Content parts that are text, in chat completions and in the Responses API. */
const TEXT_PARTS = ["text", "input_text", "output_text", "summary_text", "reasoning_text"];
const MAX_SHOWN_DEPTH = 100;
/** Which colour a role has; roles not listed here look like a tool's. */
const TONES = { system: "system", developer: "system", user: "user", assistant: "assistant" };

/** The card of a stored message, decoded from the text form where it is in it (transcript.ts). */
export function messageCard(stored: TraceMessage): Html {
  // The text form may be written by strangers, too: what is deeper than any message stays the text that it is.
  if (nestingDepth(stored.content) > MAX_SHOWN_DEPTH) return saidCard(stored);
  const said = fromTraceMessage(stored);
  if ("call" in said) return callCard(isObject(said.call) ? said.call : { call: said.call });
  const message = isObject(said.message) ? said.message : { content: said.message };
  return saidCard({ role: stored.role, ...asChatMessage(message) }, said.choice);
}

/** Items of the Responses API in the form of chat completions. */
function asChatMessage(item: ShownMessage): ShownMessage {
  const { type, name, arguments: input, output, summary, ...rest } = item;
  switch (type) {
    case "message":
      return { ...rest, ...(name === undefined ? {} : { name }) };
    case "function_call":
      return { role: "assistant", ...rest, tool_calls: [{ function: { name, arguments: input } }] };
    case "function_call_output":
      return { ...rest, role: "tool", content: output };
    case "reasoning":
      return { role: "assistant", ...rest, reasoning: summary };
    default:
      return item;
  }
}

/** `choice` numbers the further answers to one question (`n` > 1). */
function saidCard(message: ShownMessage, choice?: number): Html {
  const { role, name, content, refusal, tool_calls: toolCalls, ...others } = message;
  const rest = Object.fromEntries(Object.entries(others).filter(([key]) => !REASONING_FIELDS.includes(key)));
  const speaker = [role, name, choice === undefined ? undefined : `choice ${choice}`].filter(isText).join(" · ");
  const tone = toneOf(role);
  const body: (Html | "")[] = [
    ...REASONING_FIELDS.map((field) => reasoning(message[field])),
    ...contentOf(content, tone),
    isText(refusal) ? refused(refusal) : "",
    ...(Array.isArray(toolCalls) ? toolCalls.map(toolCall) : []),
    extras(rest),
  ];
  return html`<article class="${tone}"><h2>${speaker}</h2>${body}</article>
`;
}

/** How a call ended that did not end well: what went wrong stands in the open. */
function callCard({ ended, error, status, ...known }: ShownMessage): Html {
  const how = isText(ended) ? ended : "not complete";
  const { name, type, code, message, ...more } = isObject(error) ? error : { message: error };
  const what = [name ?? type, status, code].filter((part) => isText(part) || typeof part === "number").join(" · ");
  return html`<article class="${how === "failed" ? "failed" : "call"}"><h2>call</h2><p>The call ended: <b>${how}</b>${what === "" ? "." : html` (${what}).`}</p>${isText(message) ? text(message) : ""}${extras({ ...more, ...known })}</article>
`;
}

function toneOf(role: unknown): string {
  return Object.entries(TONES).find(([name]) => name === role)?.[1] ?? "tool";
}

function reasoning(thought: unknown): Html | "" {
  if (isEmpty(thought)) return "";
  // An item of the Responses API, as LangChain keeps it beside what was said.
  const { type: _, summary, ...rest } = isObject(thought) ? thought : {};
  const shown = Array.isArray(summary) ? [...contentOf(summary, ""), extras(rest)] : contentOf(thought, "");
  return html`<details><summary>Reasoning</summary>${shown}</details>`;
}

/** What a tool says is for programs more often than not. */
function contentOf(content: unknown, tone: string): readonly Html[] {
  if (isText(content)) return [tone === "tool" && isMachineText(content) ? machineText(content) : text(content)];
  if (Array.isArray(content)) return content.map(contentPart);
  return isEmpty(content) ? [] : [data(content)];
}

function contentPart(part: unknown): Html {
  if (!isObject(part)) return data(part);
  const { type, text: said, refusal, ...rest } = part;
  if (type === "refusal" && isText(refusal)) return html`${refused(refusal)}${extras(rest)}`;
  if (type === "reasoning" || type === "thinking") return thinking(part);
  const image = imageOf(part);
  if (image !== undefined) return html`<p class="quiet">Image: ${image}</p>`;
  if (typeof type === "string" && TEXT_PARTS.includes(type) && isText(said)) return html`${text(said)}${extras(rest)}`;
  return data(part);
}

/** Reasoning as a part of what is said: LangChain's, Anthropic's, Mistral's. */
function thinking(part: ShownMessage): Html {
  const field = REASONING_FIELDS.find((name) => !isEmpty(part[name]));
  if (field === undefined) return data(part);
  const { type: _, [field]: thought, ...rest } = part;
  return html`${reasoning(thought)}${extras(rest)}`;
}

/** What stands for a picture: its address, or what it was before it was left out (type, size, hash). Never loaded. */
function imageOf({ type, image_url: image }: ShownMessage): string | undefined {
  if (type !== "image_url" && type !== "input_image") return undefined;
  const said = isObject(image) ? (image["url"] ?? image["data"]) : image;
  return isText(said) && said.length < 2000 ? said : undefined;
}

function refused(refusal: string): Html {
  return html`<p class="quiet">Refused: ${refusal}</p>`;
}

function toolCall(call: unknown): Html {
  const { name, arguments: input } = isObject(call) && isObject(call["function"]) ? call["function"] : {};
  if (!isText(name) || typeof input !== "string") return html`<h3>Tool call</h3>${data(call)}`;
  return html`<h3>Calls ${name}</h3>${machineText(input)}`;
}

function extras(rest: ShownMessage): Html | "" {
  const told = Object.fromEntries(Object.entries(rest).filter(([, value]) => !isEmpty(value)));
  return Object.keys(told).length === 0 ? "" : html`<details><summary>More</summary>${data(told)}</details>`;
}

function isEmpty(value: unknown): boolean {
  return value === undefined || value === null || value === "" || (Array.isArray(value) && value.length === 0);
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}
