/** One message of a share page: who speaks, the text, reasoning folded, tool calls, and whatever else it carries. */
import { isObject } from "../json.ts";
import type { TraceMessage } from "../trace.ts";
import { fromTraceMessage } from "../transcript.ts";
import { type Html, html, visibleJson } from "./html.ts";
import { nestingDepth } from "./json-depth.ts";

/** An OpenAI-style message: these fields mean something to us, all others are shown as they are. */
type ShownMessage = Readonly<Record<string, unknown>>;

/** Where providers put what a model thought before it spoke. */
const REASONING_FIELDS = ["reasoning_content", "reasoning", "thinking"];
/** A block of code as Markdown has it, from its opening line to the line that closes it. */
const FENCED = /^(```[^`\n]*\n(?:(?!```).*\n)*```[^\S\n]*(?:\n|$))/m;
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
  return saidCard({ role: stored.role, ...message }, said.choice);
}

/** `choice` numbers the further answers to one question (`n` > 1). */
function saidCard(message: ShownMessage, choice?: number): Html {
  const { role, name, content, refusal, tool_calls: toolCalls, ...others } = message;
  const rest = Object.fromEntries(Object.entries(others).filter(([key]) => !REASONING_FIELDS.includes(key)));
  const speaker = [role, name, choice === undefined ? undefined : `choice ${choice}`].filter(isText).join(" · ");
  const body: (Html | "")[] = [
    ...REASONING_FIELDS.map((field) => reasoning(message[field])),
    ...contentOf(content),
    isText(refusal) ? html`<p class="quiet">Refused: ${refusal}</p>` : "",
    ...(Array.isArray(toolCalls) ? toolCalls.map(toolCall) : []),
    extras(rest),
  ];
  return html`<article class="${toneOf(role)}"><h2>${speaker}</h2>${body}</article>
`;
}

/** How a call ended that did not end well. */
function callCard({ ended, ...known }: ShownMessage): Html {
  const how = isText(ended) ? ended : "not complete";
  return html`<article><h2>call</h2><p class="quiet">The call ended: ${how}.</p>${extras(known)}</article>
`;
}

function toneOf(role: unknown): string {
  return Object.entries(TONES).find(([name]) => name === role)?.[1] ?? "tool";
}

function reasoning(thought: unknown): Html | "" {
  if (thought === undefined || thought === null || thought === "") return "";
  return html`<details><summary>Reasoning</summary>${isText(thought) ? text(thought) : data(thought)}</details>`;
}

function contentOf(content: unknown): readonly Html[] {
  if (isText(content)) return [text(content)];
  if (Array.isArray(content)) return content.map(contentPart);
  return content === undefined || content === null || content === "" ? [] : [data(content)];
}

function contentPart(part: unknown): Html {
  const said = isObject(part) && Object.keys(part).length === 2 && part["type"] === "text" ? part["text"] : undefined;
  return isText(said) ? text(said) : data(part);
}

function toolCall(call: unknown): Html {
  const { name, arguments: input } = isObject(call) && isObject(call["function"]) ? call["function"] : {};
  if (!isText(name) || !isText(input)) return html`<h3>Tool call</h3>${data(call)}`;
  return html`<h3>Calls ${name}</h3>${pre(input)}`;
}

function extras(rest: ShownMessage): Html | "" {
  const told = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== null));
  return Object.keys(told).length === 0 ? "" : html`<details><summary>More</summary>${data(told)}</details>`;
}

function text(said: string): Html {
  return html`<div class="text" dir="auto">${said.split(FENCED).map(proseOrCode)}</div>`;
}

/** Every other piece of a text that is split at FENCED is code, fences and all: nothing of the text is left out. */
function proseOrCode(piece: string, index: number): Html | string {
  return index % 2 === 0 ? piece : html`<code dir="ltr">${piece}</code>`;
}

function data(value: unknown): Html {
  return pre(visibleJson(value));
}

function pre(shown: string): Html {
  return html`<pre>
${shown}</pre>`; // the parser drops a first line break, so one is given to it
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}
