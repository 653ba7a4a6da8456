/** One message of a share page: who speaks, the text, reasoning folded, tool calls, and whatever else it carries. */
import { type Html, html, visibleJson } from "./html.ts";

/** An OpenAI-style message: these fields mean something to us, all others are shown as they are. */
export type ShownMessage = Readonly<Record<string, unknown>>;

/** Where providers put what a model thought before it spoke. */
const REASONING_FIELDS = ["reasoning_content", "reasoning", "thinking"];
/** Which colour a role has; roles not listed here look like a tool's. */
const TONES = { system: "system", developer: "system", user: "user", assistant: "assistant" };

/** The card of one message. `choice` numbers the further answers to one question (`n` > 1). */
export function messageCard(message: ShownMessage, choice?: number): Html {
  const { role, name, content, refusal, tool_calls: toolCalls, ...others } = message;
  const rest = Object.fromEntries(Object.entries(others).filter(([key]) => !REASONING_FIELDS.includes(key)));
  const speaker = [role, name, choice === undefined ? undefined : `choice ${choice}`].filter(isText).join(" · ");
  return html`<article class="${toneOf(role)}"><h2>${speaker}</h2>
${REASONING_FIELDS.map((field) => reasoning(message[field]))}${contentOf(content)}${isText(refusal) ? html`<p class="quiet">Refused: ${refusal}</p>` : ""}
${Array.isArray(toolCalls) ? toolCalls.map(toolCall) : ""}${extras(rest)}</article>
`;
}

/** The card of a call that did not end as it should. */
export function callCard(call: ShownMessage): Html {
  return html`<article><h2>call</h2><p class="quiet">Not a complete call: ${String(call["ended"])}.</p>${extras(call)}</article>
`;
}

function toneOf(role: unknown): string {
  return Object.entries(TONES).find(([name]) => name === role)?.[1] ?? "tool";
}

function reasoning(thought: unknown): Html | "" {
  if (thought === undefined || thought === null || thought === "") return "";
  return html`<details><summary>Reasoning</summary>${isText(thought) ? text(thought) : data(thought)}</details>`;
}

function contentOf(content: unknown): Html | readonly Html[] | "" {
  if (isText(content)) return text(content);
  if (Array.isArray(content)) return content.map(contentPart);
  return content === undefined || content === null || content === "" ? "" : data(content);
}

function contentPart(part: unknown): Html {
  const said = isRecord(part) && Object.keys(part).length === 2 && part["type"] === "text" ? part["text"] : undefined;
  return isText(said) ? text(said) : data(part);
}

function toolCall(call: unknown): Html {
  const { name, arguments: input } = isRecord(call) && isRecord(call["function"]) ? call["function"] : {};
  if (!isText(name) || !isText(input)) return html`<h3>Tool call</h3>${data(call)}`;
  return html`<h3>Calls ${name}</h3>${pre(input)}`;
}

function extras(rest: ShownMessage): Html | "" {
  const told = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== null));
  return Object.keys(told).length === 0 ? "" : html`<details><summary>More</summary>${data(told)}</details>`;
}

function text(said: string): Html {
  return html`<div class="text" dir="auto">${said}</div>`;
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

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
