/** Putting the pieces of a streamed answer together, whatever fields they have. */
import { isObject, type JsonFields, type JsonObject, setField } from "../json.ts";
import { parseJson } from "./call.ts";

/** An object being put together. */
export type Pieces = JsonFields;

/** Strings that name something and are not streamed in pieces: the last one that says something counts. */
const NAME = /(?:^|_)(?:id|index|type|role|format|channel|object|status|provider|at)$/;

/** Some of the fields. */
export function pick(fields: JsonObject, isWanted: (key: string, value: unknown) => boolean): JsonObject {
  return Object.fromEntries(Object.entries(fields).filter(([key, value]) => isWanted(key, value)));
}

/** Of a field whose strings do not grow. */
export function isName(key: string): boolean {
  return NAME.test(key);
}

/**
 * Add one delta: strings grow, objects are merged field by field, list items find their place by index, and the rest
 * is replaced. Null and empty never take away what came before.
 *
 * @param grow false where strings are values and not pieces of text (`finish_reason`).
 */
export function mergeDelta(whole: Pieces, delta: Pieces, grow = true): Pieces {
  for (const [key, piece] of Object.entries(delta)) {
    // Own fields only: `__proto__` and `constructor` are fields like others in JSON.
    const known = Object.hasOwn(whole, key) ? whole[key] : undefined;
    const value = merged(known, piece, grow && !isName(key) && !(known === piece && isToldAgain(key, piece)));
    setField(whole, key, value);
  }
  return whole;
}

/** A name that comes with every fragment, and arguments that come again with what the tool gave (Groq). */
function isToldAgain(key: string, value: unknown): boolean {
  return key === "name" || (key === "arguments" && isWholeJson(value));
}

function merged(known: unknown, piece: unknown, grow: boolean): unknown {
  if (known === undefined || known === null) {
    if (Array.isArray(piece)) return mergeItems([], piece, grow);
    return isObject(piece) ? mergeDelta({}, piece, grow) : piece;
  }
  if (piece === null || piece === "") return known;
  if (typeof known === "string" && typeof piece === "string") return grow ? known + piece : piece;
  if (Array.isArray(known) && Array.isArray(piece)) return mergeItems(known, piece, grow);
  if (isObject(known) && isObject(piece)) return mergeDelta(known as Pieces, piece, grow); // made by us, so not read-only
  // Mistral: text, then a list of parts (thinking, references), then text again.
  if (typeof known === "string" && Array.isArray(piece)) return mergeItems(asParts(known), piece, grow);
  if (Array.isArray(known) && typeof piece === "string") return mergeItems(known, asParts(piece), grow);
  return piece;
}

function asParts(text: string): Pieces[] {
  return text === "" ? [] : [{ type: "text", text }];
}

function mergeItems(known: unknown[], pieces: readonly unknown[], grow: boolean): unknown[] {
  for (const piece of pieces) {
    // Made by us, so not read-only.
    const item = isObject(piece) && grow ? itemOf(known.filter(isObject) as Pieces[], piece) : undefined;
    if (isObject(piece) && item) {
      if (isTextSoFar(item, piece)) item["text"] = "";
      mergeDelta(item, piece);
    } else if (!isToldBefore(known, piece)) known.push(isObject(piece) ? mergeDelta({}, piece, grow) : piece);
  }
  return known;
}

/** Some gateways send what an answer cites with every chunk. */
function isToldBefore(known: readonly unknown[], piece: unknown): boolean {
  if (!isObject(piece) || !String(piece["type"]).endsWith("_citation")) return false;
  const told = JSON.stringify(piece);
  return known.some((item) => JSON.stringify(item) === told);
}

/** The item that the piece is a part of: of several calls under one index, the one of its id. */
function itemOf(items: readonly Pieces[], piece: Pieces): Pieces | undefined {
  const last = items.at(-1);
  const found =
    items.findLast((item) => piece["id"] && item["id"] === piece["id"] && continues(item, piece)) ??
    items.findLast((item) => continues(item, piece) || (item === last && goesOn(item, piece)));
  // Some count on with every fragment of one call (Nebius).
  return found ?? (isObject(piece["function"]) && !nameOf(piece) && !piece["id"] ? last : undefined);
}

/**
 * Is the piece a part of this item? By index where it has one. Some providers leave the index out, or give all parallel
 * tool calls the same one: then a new id together with a new name begins another item, and a piece with neither goes on.
 */
function continues(item: Pieces, piece: Pieces): boolean {
  if (piece["type"] && item["type"] && piece["type"] !== item["type"]) return false;
  if (begins(item, piece)) return false;
  const { index } = piece;
  if (index !== undefined && index !== null) return item["index"] === index;
  // No index: only pieces of tool calls are continued; a list of anything else is a list of whole items.
  if (!("function" in piece)) return false;
  return piece["id"] ? item["id"] === piece["id"] : !nameOf(piece) || nameOf(piece) === nameOf(item);
}

/**
 * MiniMax documents, and sends sometimes, a thought that is told all over again in every piece. Not of the first letters:
 * "a" may go on as "and".
 */
function isTextSoFar({ text }: Pieces, piece: Pieces): boolean {
  if (isBare(piece) || typeof text !== "string" || text.length < 3) return false;
  return piece["text"] !== text && String(piece["text"]).startsWith(text);
}

const isBare = ({ id, index }: Pieces) => (id ?? index ?? undefined) === undefined;

/**
 * Another item under the same index: by its id, of a tool call with its name (some count the ids of its fragments, too), or
 * by its name alone after arguments that are whole. A thought that is signed does not go on, and whole images may come
 * one by one.
 */
function begins(item: Pieces, piece: Pieces): boolean {
  if ((item["signature"] && (piece["thinking"] || piece["text"])) || (item["image_url"] && piece["image_url"]))
    return true;
  const name = nameOf(piece);
  if (piece["function"] && !name) return false;
  const { id } = piece;
  return id || !name
    ? Boolean(id && item["id"]) && id !== item["id"]
    : Boolean(nameOf(item)) && isWholeJson(argumentsOf(item));
}

/**
 * A part of text (or thinking) without an index goes on in the part before it: one of its kind that is not signed. (That
 * it is `closed` says nothing of this: Mistral says it of any piece, also in the middle.)
 */
function goesOn(item: Pieces, piece: Pieces): boolean {
  const isText = "text" in piece || "thinking" in piece || "summary" in piece;
  const { type } = item;
  return (
    isText && isBare(item) && isBare(piece) && !begins(item, piece) && type !== undefined && type === piece["type"]
  );
}

function nameOf({ function: called }: Pieces): unknown {
  return isObject(called) ? called["name"] : undefined;
}

function argumentsOf({ function: called }: Pieces): unknown {
  return isObject(called) ? called["arguments"] : undefined;
}

const isWholeJson = (text: unknown) => typeof text === "string" && parseJson(text) !== undefined;
