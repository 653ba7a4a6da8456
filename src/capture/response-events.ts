/** The events of a streamed response, put together as far as they came. */
import { isObject, type JsonObject } from "../json.ts";
import type { Pieces } from "./merge.ts";

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
  ["function_call_arguments", ["arguments"]],
  ["mcp_call_arguments", ["arguments"]],
  ["custom_tool_call_input", ["input"]],
  ["code_interpreter_call_code", ["code"]],
]);
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
      // In a last snapshot everything stands again, but some gateways leave it empty, or the reasoning out.
      const kinds = new Set<unknown>([undefined, ...last.map((item) => isObject(item) && item["type"])]);
      const left = last.length > 0 ? streamed.filter(({ type }) => !kinds.has(type)) : streamed;
      const output = [...left, ...last];
      const isForeign = count > 0 && error === undefined && output.length === 0 && Object.keys(snapshot).length === 0;
      return { response: { ...snapshot, output }, error, isOver, isForeign };
    },
  };
}

interface Step {
  readonly kind: string;
  readonly step: string;
}

function addToItems(items: Pieces[], event: JsonObject, { kind, step }: Step): void {
  const at = placeOf(items, event);
  if (kind === "output_item") {
    if (isObject(event["item"])) items[at] = structuredClone(event["item"]) as Pieces; // a copy that is ours to change
    return;
  }
  items[at] ??= { id: event["item_id"] };
  if (kind === "output_text.annotation") addAnnotation(items[at], event);
  else addText(items[at], event, { kind, step });
}

/** By index; by id where a gateway leaves the index out; else the item that came last. */
function placeOf(items: readonly Pieces[], { output_index, item_id, item }: JsonObject): number {
  if (isIndex(output_index)) return output_index;
  if (isObject(item)) {
    const known = items.findIndex((one) => one?.["id"] === item["id"] && item["id"] !== undefined);
    return known < 0 ? items.length : known;
  }
  const named = items.findIndex((one) => one?.["id"] === item_id);
  return named < 0 ? Math.max(0, items.length - 1) : named;
}

/** The stream may be hostile: an index of four billion would make a list of that length. */
function isIndex(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value < 10_000;
}

function addText(item: Pieces, event: JsonObject, { kind, step }: Step): void {
  const [field, list, type] = FIELDS.get(kind) ?? [kind];
  const index = event[list === "summary" ? "summary_index" : "content_index"];
  if (list && field === "part") {
    setPart(item, { list, index }, event["part"]);
    return;
  }
  const holder = list ? partOf(item, { list, index, type }) : item;
  const { delta } = event;
  const whole = event[field];
  if (step === "delta" && typeof delta === "string") holder[field] = `${holder[field] ?? ""}${delta}`;
  else if (step === "done" && typeof whole === "string") holder[field] = whole;
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
  if (isObject(part))
    listOf(item, place.list)[isIndex(place.index) ? place.index : 0] = structuredClone(part) as Pieces; // ours to change
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
