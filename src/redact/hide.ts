/**
 * All content of a message or a choice replaced by its length and hash; who spoke, in which order, which tools were
 * called and how it ended stay. What is not known to be structure counts as content.
 */

import { isObject } from "../json.ts";

/** Gives back what stands for a piece of content. */
export type Hide = (content: string) => string;

/** Objects and lists under these names are structure: their own members are looked at. All others are content. */
const CONTAINERS = new Set([
  "message",
  "delta",
  "content",
  "tool_calls",
  "function",
  "function_call",
  "custom",
  "error",
]);
/** Numbers under these names are figures; others, and what is true or false, may be what a tool answered. */
const FIGURES = new Set(["index", "status", "code", "created", "cut_bytes"]);
/** Strings under these names are structure, where they look like identifiers. `name` is not: it may be a person's. */
const STRUCTURE = new Set(
  "role type id tool_call_id call_id index model object status finish_reason ended media_type".split(" "),
);

export const looksLikeIdentifier = (text: string): boolean => /^[\w.:/+-]{1,128}$/.test(text);

/** An object of structure (a message, a choice) with everything said in it hidden. */
export function hideContent(object: object, hide: Hide, parent = ""): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(object).map(([key, value]) => [key, hideMember(value, { key, parent, hide })]),
  );
}

interface Place {
  readonly key: string;
  /** The name of the object that holds it. */
  readonly parent: string;
  readonly hide: Hide;
}

function hideMember(value: unknown, place: Place): unknown {
  const { key, hide } = place;
  if (typeof value === "string") return value === "" || isStructure(value, place) ? value : hide(value);
  if (value === null || value === undefined || (typeof value === "number" && FIGURES.has(key))) return value;
  // Numbers in a list are a text, too: tokens.
  const isListed = Array.isArray(value) && !value.some((item) => typeof item === "number");
  if (!CONTAINERS.has(key) || !(isListed || isObject(value))) return hide(JSON.stringify(value));
  if (isListed) return value.map((item) => hideMember(item, { key, parent: key, hide }));
  return hideContent(value, hide, key);
}

function isStructure(value: string, { key, parent }: Place): boolean {
  if (key === "detail") return IMAGE_DETAILS.has(value);
  // Elsewhere `code` is what a model wrote.
  const named =
    STRUCTURE.has(key) || (key === "name" && TOOL_NAMES.has(parent)) || (key === "code" && parent === "error");
  return named && looksLikeIdentifier(value);
}

/** How closely an image is looked at. Errors have a `detail`, too, which is a text. */
const IMAGE_DETAILS = new Set(["low", "high", "auto", "original"]);
/** Where `name` is that of a tool or of a kind of error. */
const TOOL_NAMES = new Set(["function", "function_call", "custom", "error"]);
