/** Putting the pieces of a streamed answer together, whatever fields they have. */
import { isObject } from "../json.ts";

/** An object being put together. */
export type Pieces = { [key: string]: unknown };

/** Strings that name something and are not streamed in pieces: the last one that says something counts. */
const NAMES = new Set(["id", "index", "type", "role", "format", "channel", "object", "call_id", "tool_call_id"]);

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
    const value = merged(known, piece, grow && !NAMES.has(key) && !(key === "name" && known === piece));
    Object.defineProperty(whole, key, { value, enumerable: true, writable: true, configurable: true });
  }
  return whole;
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
  return piece;
}

function mergeItems(known: unknown[], pieces: readonly unknown[], grow: boolean): unknown[] {
  for (const piece of pieces) {
    const place =
      isObject(piece) && grow ? known.findLastIndex((item) => isObject(item) && continues(item, piece)) : -1;
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
  const begins = Boolean(piece["id"]) && item["id"] !== piece["id"] && Boolean(nameOf(piece)) && Boolean(item["id"]);
  if (begins) return false;
  if (piece["index"] !== undefined && piece["index"] !== null) return item["index"] === piece["index"];
  // No index: only pieces of tool calls are continued; a list of anything else is a list of whole items.
  return "function" in piece && (piece["id"] ? item["id"] === piece["id"] : !nameOf(piece));
}

function nameOf({ function: called }: Pieces): unknown {
  return isObject(called) ? called["name"] : undefined;
}
