/**
 * The mapping: OpenAI-style messages ⇄ the contract's `{ role, content }` (README, "The mapping"). The contract knows
 * three roles and plain text, so whatever a message holds besides is kept as text, in one reversible form:
 *
 *     ::: assistant {"tool_calls":[{"id":"call_1","type":"function","function":{"name":"get_weather"}}]}
 *     I'll look it up.
 *     ::: /tool_calls/0/function/arguments
 *     {"city":"Paris"}
 *
 * A header (role, further choice, the fields as JSON), the content, and one block for every other string that JSON
 * would have to escape or that reads as prose, under its JSON Pointer: so everything said can be found literally. The
 * fence is longer than any run of colons that begins a line of the texts, so that nothing in them is ever escaped.
 */
import { isObject, type JsonFields, type JsonObject, setField } from "./json.ts";
import type { TraceMessage } from "./trace.ts";

/** How a call ended: the closing message of its trace. Calls that were complete, and whole in the trace, have none. */
export interface CallEnding extends JsonObject {
  /** `aborted`: by the caller. `failed`: by the provider or on the way. */
  readonly ended: "complete" | "aborted" | "failed";
}

/** What a stored message says: an OpenAI-style message (of which choice, when it is not the first), or how the call ended. */
export type Said =
  | { readonly message: unknown; readonly choice?: number; readonly call?: never }
  | { readonly call: CallEnding; readonly message?: never; readonly choice?: never };

const STORED_AS: { readonly [role: string]: TraceMessage["role"] } = {
  system: "system",
  developer: "system",
  assistant: "assistant",
};
const WORD = /^[\w.-]+$/;
/** Stands for a role that is missing or not a word (then the JSON holds it). */
const NO_ROLE = "?";
const LOOKS_ENCODED = /^:{3,} /;
const HEADER = /^(:{3,}) ([\w.-]+|\?)(?:\/(\d+))?(?: (.*))?$/s;
/** What JSON would escape (quotes, controls, lone surrogates) or what reads as prose. */
const PROSE = /[\s"\\\p{Cc}\p{Cs}]/u;

/**
 * Store an OpenAI-style message in the contract's form. A plain `{ role: system | user | assistant, content: string }`
 * stays as it is; everything else (other roles, tool calls, content parts, refusals, names, …) becomes text that
 * {@link fromTraceMessage} turns back, equal but for the order of keys.
 *
 * @param options.choice index of the choice that said it; the first one (0) is not marked. @default 0
 * @throws {TypeError} when the message is cyclic.
 */
export function toTraceMessage(
  message: unknown,
  options: { readonly choice?: number; readonly speaker?: TraceMessage["role"] } = {},
): TraceMessage {
  const { role, content } = isObject(message) ? message : {};
  const known = typeof role === "string" && WORD.test(role) ? role : undefined;
  const named = known !== undefined && Object.hasOwn(STORED_AS, known) && STORED_AS[known];
  const stored = named || (known === undefined && options.speaker) || "user";
  const plain = known === stored && !options.choice && hasOnlyContent(message);
  if (plain && typeof content === "string" && !LOOKS_ENCODED.test(content)) return { role: stored, content };
  const mark = options.choice ? `/${options.choice}` : "";
  return {
    role: stored,
    content: encode((known ?? NO_ROLE) + mark, known === undefined ? message : withoutRole(message)),
  };
}

function hasOnlyContent(message: unknown): boolean {
  return Object.keys(message ?? {}).every((key) => key === "role" || key === "content");
}

function withoutRole(message: unknown): JsonObject {
  const { role, ...fields } = isObject(message) ? message : {};
  return fields;
}

/** The closing message of a call that did not end well. */
export function toCallMessage(call: CallEnding): TraceMessage {
  return { role: "system", content: encode("call", call) };
}

/**
 * How the call behind a trace ended, to filter on: what its closing message says, or `{ ended: "complete" }`. Where
 * traces are queried as text, those that did not end well are the ones whose last content begins with `::: call `.
 */
export function callEnding({ messages }: { readonly messages: readonly TraceMessage[] }): CallEnding {
  const last = messages.at(-1);
  return (last && fromTraceMessage(last).call) ?? { ended: "complete" };
}

/** The reverse of {@link toTraceMessage} and {@link toCallMessage}. Text that is not in our form is the message itself. */
export function fromTraceMessage(stored: TraceMessage): Said {
  const decoded = decode(stored.content);
  if (decoded === undefined) return { message: { role: stored.role, content: stored.content } };
  const { role, choice, value } = decoded;
  // Only a call's message has this role *and* is stored as `system`: a message of the role "call" is stored as `user`.
  if (role === "call" && stored.role === "system" && isObject(value)) return { call: value as CallEnding }; // written by toCallMessage
  const message = role === NO_ROLE || !isObject(value) ? value : { role, ...value };
  return choice === undefined ? { message } : { message, choice };
}

/**
 * The messages, and after them every choice whose message is not yet said there: a deployment that takes no `choices`
 * still gets everything that was said. Fields that say nothing (null, empty lists) are left out of a choice's message.
 *
 * @param choices as in a trace: a list, or an object keyed by index. A choice of neither a `message` nor a
 *   `text` is kept whole.
 */
export function sayChoices(messages: readonly TraceMessage[], choices: unknown): TraceMessage[] {
  // An earlier turn may have had the same words: only what was said since the last question answers it.
  const answers = messages.slice(messages.findLastIndex(({ role }) => role === "user") + 1);
  const said = new Set(answers.map(({ content }) => content));
  return [...messages, ...choiceMessages(choices).filter(({ content }) => !said.has(content) && said.add(content))];
}

/** What every choice said, as messages. See {@link sayChoices}. */
export function choiceMessages(choices: unknown): TraceMessage[] {
  return listChoices(choices).map(toChoiceMessage);
}

function listChoices(choices: unknown): readonly unknown[] {
  if (!isObject(choices)) return Array.isArray(choices) ? choices : [];
  const keyedByIndex = Object.keys(choices).every((key) => /^\d+$/.test(key));
  return keyedByIndex ? Object.values(choices) : [choices];
}

function toChoiceMessage(choice: unknown, position: number): TraceMessage {
  const { index, message, text } = isObject(choice) ? choice : {};
  const spoken = isObject(message) ? message : typeof text === "string" ? { content: text } : choice;
  const said: JsonFields = { role: "assistant" };
  const fields: JsonObject = isObject(spoken) ? spoken : { choice };
  for (const key of Object.keys(fields)) {
    const value = fields[key];
    if (value !== null && !(Array.isArray(value) && value.length === 0)) setField(said, key, value);
  }
  const at = typeof index === "number" && Number.isSafeInteger(index) && index >= 0 ? index : position;
  return toTraceMessage(said, { choice: at });
}

function encode(head: string, value: unknown): string {
  const pointers = new Map<unknown, string>();
  const blocks: (readonly [pointer: string, text: string])[] = [];
  let content: string | undefined;
  const json = JSON.stringify(value, function (this: unknown, key: string, leaf: unknown) {
    const parent = pointers.get(this);
    const pointer = parent === undefined ? "" : `${parent}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`;
    if (typeof leaf === "bigint") return String(leaf);
    // Depth first: the pointer set last for an object that occurs twice is the one its fields need next.
    if (typeof leaf === "object") pointers.set(leaf, pointer);
    if (typeof leaf !== "string") return leaf;
    if (pointer === "/content") content = leaf;
    else if (PROSE.test(leaf)) blocks.push([pointer, leaf]);
    else return leaf;
    return undefined; // leaves the key out of an object, and null in a list to hold the place
  });
  const fence = fenceFor([content ?? "", ...blocks.map(([, text]) => text)]);
  return [
    `${fence} ${head}${json === undefined || json === "{}" ? "" : ` ${json}`}`,
    ...(content === undefined ? [] : [content]),
    // RFC 6901, section 5: a pointer in JSON string form, so that a line break in a key does not break the line.
    ...blocks.map(([pointer, text]) => `${fence} ${JSON.stringify(pointer).slice(1, -1)}\n${text}`),
  ].join("\n");
}

function fenceFor(texts: readonly string[]): string {
  const runs = texts.flatMap((text) => [...text.matchAll(/(?<![^\n]):{3,}/g)].map(([run]) => run.length));
  return ":".repeat(1 + runs.reduce((longest, length) => Math.max(longest, length), 2));
}

interface Decoded {
  readonly role: string;
  readonly choice: number | undefined;
  readonly value: unknown;
}

function decode(text: string): Decoded | undefined {
  const lineEnd = text.indexOf("\n");
  const [, fence, role, choice, json] = HEADER.exec(lineEnd < 0 ? text : text.slice(0, lineEnd)) ?? [];
  if (fence === undefined || role === undefined) return undefined;
  const [first = "", ...blocks] = text.split(`\n${fence} `);
  try {
    let value: unknown = JSON.parse(json ?? "{}");
    if (lineEnd >= 0 && first.length > lineEnd) value = put(value, "/content", first.slice(lineEnd + 1));
    for (const block of blocks) {
      const [pointer = "", ...lines] = block.split("\n");
      value = put(value, JSON.parse(`"${pointer}"`), lines.join("\n"));
    }
    return { role, choice: choice === undefined ? undefined : Number(choice), value };
  } catch {
    return undefined; // somebody's own text that begins like ours
  }
}

/** Set the string at a JSON Pointer. The text may be hostile: own properties only, never through a prototype. */
function put(root: unknown, pointer: string, text: string): unknown {
  const keys = pointer.split("/").map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));
  const last = keys.pop();
  if (last === undefined || keys.length === 0) return text;
  let parent = root;
  for (const key of keys.slice(1)) {
    parent = Object.getOwnPropertyDescriptor(parent, key)?.value;
  }
  // In a list, only at a place that was held for it: an index of four billion would make a list of that length.
  if (Array.isArray(parent) && !Object.hasOwn(parent, last)) throw new RangeError(`no place ${last} in the list`);
  Object.defineProperty(parent, last, { value: text, enumerable: true, writable: true, configurable: true });
  return root;
}
