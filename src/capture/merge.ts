/** Putting the pieces of a streamed answer together, whatever fields they have. */
import { isObject, type JsonFields, setField } from "../json.ts";

/** An object being put together. */
export type Pieces = JsonFields;

/** Strings that name something and are not streamed in pieces: the last one that says something counts. */
const NAMES = new Set(["id", "index", "type", "role", "format", "channel", "object", "call_id", "tool_call_id"]);

/** Of a field whose strings do not grow. */
export function isName(key: string): boolean {
  return NAMES.has(key);
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
    const place =
      isObject(piece) && grow
        ? known.findLastIndex(
            (item, at) =>
              isObject(item) && (continues(item, piece) || (at === known.length - 1 && goesOn(item, piece))),
          )
        : -1;
    const item = place < 0 ? undefined : known[place];
    if (isObject(piece) && isObject(item))
      mergeDelta(item as Pieces, piece, grow); // made by us, so not read-only
    else known.push(isObject(piece) ? mergeDelta({}, piece, grow) : piece);
  }
  return known;
}

/**
 * Is the piece a part of this item? By index where it has one. Some providers leave the index out, or give all parallel
 * tool calls the same one: then a new id together with a new name begins another item, and a piece with neither goes on.
 */
function continues(item: Pieces, piece: Pieces): boolean {
  if (piece["type"] && item["type"] && piece["type"] !== item["type"]) return false;
  if (begins(item, piece)) return false;
  if (piece["index"] !== undefined && piece["index"] !== null) return item["index"] === piece["index"];
  // No index: only pieces of tool calls are continued; a list of anything else is a list of whole items.
  if (!("function" in piece)) return false;
  return piece["id"] ? item["id"] === piece["id"] : !nameOf(piece) || nameOf(piece) === nameOf(item);
}

/** Another tool call under the same index: a new id with a name, or without ids a name after arguments that are whole. */
function begins(item: Pieces, piece: Pieces): boolean {
  if (!nameOf(piece)) return false;
  if (piece["id"]) return Boolean(item["id"]) && item["id"] !== piece["id"];
  return Boolean(nameOf(item)) && isWholeJson(argumentsOf(item));
}

/**
 * A part of text (or thinking) without an index goes on in the part before it: one of its kind that is not signed. (That
 * it is `closed` says nothing of this: Mistral says it of any piece, also in the middle.)
 */
function goesOn(item: Pieces, piece: Pieces): boolean {
  const isText = "text" in piece || "thinking" in piece || "summary" in piece;
  const isBare = [item, piece].every(({ id, index }) => (id ?? index ?? undefined) === undefined);
  const isSigned = Boolean(item["signature"] && (piece["thinking"] || piece["text"]));
  return isText && isBare && !isSigned && item["type"] !== undefined && item["type"] === piece["type"];
}

function nameOf({ function: called }: Pieces): unknown {
  return isObject(called) ? called["name"] : undefined;
}

function argumentsOf({ function: called }: Pieces): unknown {
  return isObject(called) ? called["arguments"] : undefined;
}

function isWholeJson(text: unknown): boolean {
  if (typeof text !== "string") return false;
  try {
    return JSON.parse(text) !== undefined;
  } catch {
    return false;
  }
}
