/** The events of a streamed response, put together as far as they came. */
import { isObject, type JsonObject } from "../json.ts";
import { type Pieces, pick } from "./merge.ts";

export interface ResponseCollector {
  add(event: JsonObject, name: string): void;
  end(): CollectedResponse;
}

export interface CollectedResponse {
  /** The last snapshot, its `output` whole or as far as it was streamed. */
  readonly response: JsonObject;
  readonly error: unknown;
  /** The provider told the end. */
  readonly isOver: boolean;
  /** There were events, but none of this API. */
  readonly isForeign: boolean;
}

type Field = readonly [field: string, list?: "content" | "summary", partType?: string];

/** Where the text of a kind of event goes: a field of the item, or of one of its parts. Others: a field of that name. */
const FIELDS: ReadonlyMap<string, Field> = new Map<string, Field>([
  ["output_text", ["text", "content", "output_text"]],
  ["reasoning_text", ["text", "content", "reasoning_text"]],
  ["refusal", ["refusal", "content", "refusal"]],
  ["content_part", ["part", "content"]],
  ["reasoning_summary_text", ["text", "summary", "summary_text"]],
  ["reasoning_summary_part", ["part", "summary"]],
]);
/** What a call is given; OpenAI once wrote `mcp_call.arguments`. */
const GIVEN = /_call[._](arguments|input|code)$/;
const EVENT = /^response\.(.+)\.(added|delta|done)$/;

export function collectResponse(): ResponseCollector {
  const items: Pieces[] = [];
  let snapshot: JsonObject = {};
  let error: unknown;
  let isOver = false;
  let count = 0;
  return {
    add(event, name) {
      count++;
      const type = String(event["type"] ?? name);
      const { response } = event;
      if (isObject(response)) snapshot = { ...snapshot, ...response };
      if (/^response\.(?:completed|incomplete|failed|cancelled|done)$/.test(type)) isOver = true;
      if (type === "error" || (event["type"] === undefined && event["error"])) error ??= event["error"] ?? event;
      const [, kind = "", step] = EVENT.exec(type) ?? [];
      if (step) addToItems(items, event, { kind, step });
    },
    end() {
      const streamed = items.filter(Boolean);
      const last = isOver && Array.isArray(snapshot["output"]) ? snapshot["output"] : [];
      const output = last.length > 0 ? wholeOutput(streamed, last) : streamed;
      const isForeign = count > 0 && error === undefined && output.length === 0 && Object.keys(snapshot).length === 0;
      return { response: { ...snapshot, output }, error, isOver, isForeign };
    },
  };
}

/**
 * In a last snapshot everything stands again, but some gateways leave items out, or what they say. Others give an item
 * another id in every event: then it is the next one of its kind.
 */
function wholeOutput(streamed: readonly Pieces[], last: readonly unknown[]): unknown[] {
  const output = [...last];
  const ids = new Set(streamed.map(({ id }) => id).filter(Boolean));
  const found = new Set<unknown>();
  let next = 0;
  for (const item of streamed) {
    const { id, type } = item;
    const find = (isIt: (one: JsonObject) => boolean) =>
      output.findIndex((one) => isObject(one) && !found.has(one) && (!type || one["type"] === type) && isIt(one));
    let at = id ? find((one) => one["id"] === id) : -1;
    if (at < 0 && type) at = find((one) => !ids.has(one["id"]));
    if (at >= 0) next = at;
    else if (type) output.splice(next, 0, item);
    else continue; // texts of an item that was never told of
    output[next] = filled(output[next], item);
    found.add(output[next++]);
  }
  return output;
}

const SAID = /^(?:content|summary|arguments|input|code|text|refusal)$/;

/** The item or part, and what was said in it before where it says nothing any more. */
function filled(item: unknown, before: Pieces | undefined): unknown {
  if (!isObject(item) || !before) return item;
  return { ...item, ...pick(before, (key, value) => SAID.test(key) && isEmpty(item[key]) && !isEmpty(value)) };
}

const isEmpty = (value: unknown) => !value || (Array.isArray(value) && value.length === 0);

interface Step {
  readonly kind: string;
  readonly step: string;
}

function addToItems(items: Pieces[], event: JsonObject, { kind, step }: Step): void {
  const isThought = kind.startsWith("reasoning");
  const at = placeOf(items, event, isThought);
  if (kind === "output_item") {
    if (isObject(event["item"])) items[at] = structuredClone(filled(event["item"], items[at])) as Pieces; // ours to change
    return;
  }
  items[at] ??= { id: event["item_id"], ...(isThought ? { type: "reasoning" } : {}) };
  if (kind === "output_text.annotation") addAnnotation(items[at], event);
  else addText(items[at], event, { kind, step });
}

/** By index; by id where a gateway leaves the index out; else the item that came last, if it is a thought as well, or none. */
function placeOf(items: readonly Pieces[], { output_index, item_id, item }: JsonObject, isThought: boolean): number {
  if (isIndex(output_index)) return output_index;
  const id = isObject(item) ? item["id"] : item_id;
  const named = items.findIndex((one) => one?.["id"] === id && id !== undefined);
  const goesOn = !isObject(item) && items.length > 0 && isThought === (items.at(-1)?.["type"] === "reasoning");
  return named < 0 ? items.length - Number(goesOn) : named;
}

/** The stream may be hostile: an index of four billion would make a list of that length. */
function isIndex(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value < 10_000;
}

function addText(item: Pieces, event: JsonObject, { kind, step }: Step): void {
  const [field, list, type] = FIELDS.get(kind) ?? [GIVEN.exec(kind)?.[1] ?? kind];
  const index = event[list === "summary" ? "summary_index" : "content_index"];
  if (list && field === "part") {
    setPart(item, { list, index }, event["part"]);
    return;
  }
  const holder = list ? partOf(item, { list, index, type }) : item;
  const delta = isObject(event["delta"]) ? event["delta"]["text"] : event["delta"];
  const whole = event[field];
  if (step === "delta" && typeof delta === "string") holder[field] = `${holder[field] ?? ""}${delta}`;
  else if (step === "done" && typeof whole === "string" && whole !== "") holder[field] = whole;
}

function addAnnotation(item: Pieces, { content_index: index, annotation }: JsonObject): void {
  const part = partOf(item, { list: "content", index, type: "output_text" });
  part["annotations"] = [...(Array.isArray(part["annotations"]) ? part["annotations"] : []), annotation];
}

interface Place {
  readonly list: "content" | "summary";
  readonly index: unknown;
}

function setPart(item: Pieces, place: Place, part: unknown): void {
  const parts = listOf(item, place.list);
  const at = isIndex(place.index) ? place.index : 0;
  if (isObject(part)) parts[at] = structuredClone(filled(part, parts[at])) as Pieces; // ours to change
}

function partOf(item: Pieces, { list, index, type }: Place & { readonly type: string | undefined }): Pieces {
  const parts = listOf(item, list);
  const at = isIndex(index) ? index : 0;
  parts[at] ??= { type };
  return parts[at];
}

function listOf(item: Pieces, list: Place["list"]): Pieces[] {
  if (!Array.isArray(item[list])) item[list] = [];
  return item[list] as Pieces[]; // what the events put there are objects
}
