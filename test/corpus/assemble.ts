/** A plain assembly of streamed chat completions: slow, simple and independent of `src`. */
import { isObject, type JsonObject, objectsIn } from "./json.ts";
import { stringLeaves } from "./said.ts";

export interface AssembledChoice {
  readonly index: number;
  /** Everything said, by where it stands in the deltas. */
  readonly texts: readonly string[];
  /** The whole of `delta.content`, when it came as text alone. */
  readonly content: string | undefined;
  readonly toolCalls: number;
  readonly finishReason: unknown;
  /** Entries of `logprobs.content` over all chunks. */
  readonly logprobs: readonly unknown[];
  /** Other fields of the choice, such as `native_finish_reason`: all their values that are not null. */
  readonly others: ReadonlyMap<string, readonly unknown[]>;
}

export interface AssembledStream {
  readonly choices: readonly AssembledChoice[];
  /** The last one that is not null. */
  readonly usage: JsonObject | undefined;
  /** Where some providers put it instead: in `x_groq`, or in a choice. */
  readonly usageElsewhere: JsonObject | undefined;
  readonly models: readonly string[];
  /** Everything said beside `choices`. */
  readonly asides: readonly string[];
}

/** The JSON of every event, up to `[DONE]`. */
export function parseEvents(body: string): unknown[] {
  const events: unknown[] = [];
  for (const block of body.split(/\r\n\r\n|\n\n|\r\r/)) {
    const lines = block.split(/\r\n|\n|\r/).filter((line) => line.startsWith("data:"));
    const data = lines.map((line) => line.slice("data:".length).replace(/^ /, "")).join("\n");
    if (data.startsWith("[DONE]")) break;
    if (data.trim() !== "") events.push(JSON.parse(data));
  }
  return events;
}

export function assembleStream(body: string): AssembledStream {
  const events = parseEvents(body).filter(isObject);
  const told = events.flatMap((event) => objectsIn(event["choices"]).map(withIndex));
  const indexes = [...new Set(told.map(({ index }) => index))].sort((a, b) => a - b);
  return {
    choices: indexes.map((index) =>
      assembleChoice(
        index,
        told.filter((choice) => choice.index === index),
      ),
    ),
    usage: events.map(({ usage }) => usage).findLast(isObject),
    usageElsewhere: [...events.map(({ x_groq }) => x_groq), ...told]
      .map((holder) => (isObject(holder) ? holder["usage"] : undefined))
      .findLast(isObject),
    models: events
      .map(({ model }) => model)
      .filter((model) => typeof model === "string")
      .filter((model) => model !== ""),
    asides: [...new Set(events.filter(({ object }) => object !== "error").flatMap(asidesOf))],
  };
}

/** Names, and what is told elsewhere. */
const NO_ASIDES =
  /^(id|request_id|object|type|status|created|created_at|model|choices|usage.*|error|x_groq|system_fingerprint|service_tier|provider|obfuscation|p|stats|perf_metrics)$/;
/** Cloudflare says every piece of the answer a second time there. */
const PIECES = "response";

/** The texts that a body, or an event, says beside its choices. */
export function asidesOf(body: JsonObject): string[] {
  const beside = Object.entries(body).filter(([key]) => !NO_ASIDES.test(key) && key !== PIECES);
  return stringLeaves(beside.map(([, value]) => value))
    .map(({ text }) => text)
    .filter((text) => text !== "");
}

function withIndex(choice: JsonObject, position: number): JsonObject & { readonly index: number } {
  return { ...choice, index: typeof choice["index"] === "number" ? choice["index"] : position };
}

function assembleChoice(index: number, told: readonly JsonObject[]): AssembledChoice {
  // A message that comes after deltas is not one more piece: it says again what they said.
  const streamed = told.some(({ delta }) => isObject(delta) && Object.keys(delta).length > 0);
  const deltas = told.map(({ delta, message }) => {
    return isObject(delta) ? delta : isObject(message) && !streamed ? message : {};
  });
  const pieces = collectPieces(deltas);
  const plain = deltas.map(({ content }) => content).filter((content) => typeof content === "string");
  return {
    index,
    texts: [...pieces].flatMap(([path, said]) =>
      PROSE.test(path.replace(/@\d+$/, "")) ? [said.join("")] : [...new Set(said)],
    ),
    content: deltas.some(({ content }) => Array.isArray(content)) ? undefined : plain.join("") || undefined,
    toolCalls: Math.max(
      new Set([...pieces.keys()].flatMap((path) => /^tool_calls#[^.]+/.exec(path) ?? [])).size,
      ...told.map(({ message }) => (isObject(message) ? objectsIn(message["tool_calls"]).length : 0)),
    ),
    finishReason: told.map(({ finish_reason }) => finish_reason).findLast((reason) => Boolean(reason)),
    logprobs: told.flatMap(({ logprobs }) =>
      isObject(logprobs) && Array.isArray(logprobs["content"]) ? logprobs["content"] : [],
    ),
    others: otherValues(told),
  };
}

function otherValues(told: readonly JsonObject[]): Map<string, unknown[]> {
  const others = told.map(({ index, delta, message, finish_reason, logprobs, ...rest }) => rest);
  const said = others.flatMap((rest) => Object.entries(rest)).filter(([, value]) => value !== null);
  const values = new Map<string, unknown[]>();
  for (const [key, value] of said) values.set(key, [...(values.get(key) ?? []), value]);
  return values;
}

/**
 * Fields whose pieces belong together; of all others (ids, names, types) each piece stands for itself, and so does what is
 * told of each of several sources.
 */
const PROSE =
  /(?<!(?:annotations|search_results).*)(^|\.)(content|text|thinking|reasoning|reasoning_content|refusal|arguments|summary|transcript|output)$/;
/** A spoken answer travels as base64 pieces; its transcript is what was said. */
const MEDIA = "audio.data";

type Pieces = Map<string, string[]>;

function collectPieces(deltas: readonly JsonObject[]): Pieces {
  const pieces: Pieces = new Map();
  const calls: OpenCall[] = [];
  let kind: string | undefined;
  let run = 0;
  for (const { role, tool_calls, content, ...delta } of deltas) {
    const comes = kindOf(content);
    if (comes !== undefined && comes !== kind) run++;
    kind = comes ?? kind;
    collectContent(content, run, pieces);
    collect(delta, "", pieces);
    for (const [position, call] of objectsIn(tool_calls).entries()) {
      collect(call, `tool_calls#${openCall(call, position, calls).key}`, pieces);
    }
  }
  return pieces;
}

/** Plain text, or which parts; undefined when nothing comes. Content of one kind is one text until another kind comes. */
function kindOf(content: unknown): string | undefined {
  if (Array.isArray(content)) return [...new Set(objectsIn(content).map(({ type }) => type))].join();
  return content === "" || content === null ? undefined : typeof content;
}

function collectContent(content: unknown, run: number, pieces: Pieces): void {
  const own: Pieces = new Map();
  collect(content, "content", own);
  for (const [path, said] of own) {
    const key = `${path}@${run}`;
    pieces.set(key, [...(pieces.get(key) ?? []), ...said]);
  }
}

/** A tool call of which more may come. */
interface OpenCall {
  readonly key: string;
  readonly slot: number;
  readonly id: unknown;
  json: string;
}

/**
 * The call that a fragment belongs to. Calls are told apart by index; where a provider gives all of them the same one,
 * by id; and where there is no id either, a fragment with a name begins a call when the one before is whole.
 */
function openCall(fragment: JsonObject, position: number, calls: OpenCall[]): OpenCall {
  const { index = position, id, function: called } = fragment;
  const { name, arguments: json } = isObject(called) ? called : {};
  const slot = Number(index);
  const known = calls.find((call) => call.slot === slot && id && call.id === id);
  // A fragment of neither id nor name goes on, even under an index of its own.
  const last = known ?? calls.findLast((call) => call.slot === slot) ?? (id || name ? undefined : calls.at(-1));
  const isOther = id && last?.id ? id !== last.id : Boolean(name) && !id && isWholeJson(last?.json);
  const call = last === undefined || isOther ? { key: `${slot}/${calls.length}`, slot, id, json: "" } : last;
  if (call !== last) calls.push(call);
  if (typeof json === "string") call.json += json;
  return call;
}

function isWholeJson(text: string | undefined): boolean {
  try {
    return isObject(JSON.parse(text ?? ""));
  } catch {
    return false;
  }
}

function collect(value: unknown, path: string, pieces: Pieces): void {
  if (typeof value === "string") {
    if (value === "" || path === MEDIA) return;
    const said = pieces.get(path);
    // Groq tells a tool's arguments again with what the tool gave.
    if (path.endsWith(".arguments") && said?.join("") === value && isWholeJson(value)) return;
    // How far something is, is told by the last one.
    if (said && !/(^|\.)status$/.test(path)) said.push(value);
    else pieces.set(path, [value]);
  } else if (Array.isArray(value)) {
    for (const item of value)
      collect(item, isObject(item) && "index" in item ? `${path}#${item["index"]}` : path, pieces);
  } else if (isObject(value)) {
    for (const [key, inner] of Object.entries(value)) collect(inner, path === "" ? key : `${path}.${key}`, pieces);
  }
}
