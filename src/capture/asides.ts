/**
 * What an answer says beside its choices: citations, search results, related questions, what filters found. The contract
 * has no field for it, so it is said in a message of its own, which has no role, because it is none of the conversation.
 */
import { isObject, type JsonObject } from "../json.ts";
import type { TraceMessage } from "../trace.ts";
import { toTraceMessage } from "../transcript.ts";
import { isName, pick } from "./merge.ts";

/** Names, what the trace holds elsewhere (`error` at the end of the call) and what it has no room for (measurements). */
const NOT_SAID =
  /^(?:id|request_id|object|type|created(?:_at)?|model|choices|error|system_fingerprint|service_tier|provider|x_groq|obfuscation|p|stats|usage.*|.*metrics)$/;

function isAside(key: string): boolean {
  return !NOT_SAID.test(key);
}

/** What was said beside the choices until now, and now. Streams tell it in pieces, or all of it again in every chunk. */
export function addAsides(known: JsonObject, body: JsonObject): JsonObject {
  const said = Object.keys(body).filter((key) => isAside(key) && saysSomething(body[key]));
  if (said.length === 0) return known;
  // Parsed JSON has `__proto__` as a field like others, and so has what `fromEntries` makes.
  return grown(known, Object.fromEntries(said.map((key) => [key, body[key]]))) as JsonObject; // of two objects it makes one
}

/** Would the same once more say more? Texts grow; lists take what they have not, and the rest is replaced. */
export function hasGrowingAsides(body: JsonObject): boolean {
  return Object.entries(body).some(([key, value]) => isAside(key) && grows(value));
}

function grows(value: unknown): boolean {
  return isObject(value) ? Object.values(value).some(grows) : typeof value === "string" && value !== "";
}

/** The message that says them, but for what the answer says in the same words. */
export function asideMessages(asides: JsonObject, answered: readonly TraceMessage[]): TraceMessage[] {
  const said = pick(asides, (_, value) => !answered.some(({ content }) => content === value));
  return Object.keys(said).length > 0 ? [toTraceMessage(said, { speaker: "assistant" })] : [];
}

/** A text somewhere: what holds only numbers is a measurement. */
function saysSomething(value: unknown): boolean {
  if (typeof value === "string") return value !== "";
  return typeof value === "object" && value !== null && Object.values(value).some(saysSomething);
}

function grown(known: unknown, piece: unknown): unknown {
  if (typeof known === "string" && typeof piece === "string") return piece.startsWith(known) ? piece : known + piece;
  if (Array.isArray(known) && Array.isArray(piece)) {
    const items = new Set(known.map((item) => JSON.stringify(item)));
    return [...known, ...piece.filter((item) => !items.has(JSON.stringify(item)))];
  }
  if (!isObject(known) || !isObject(piece)) return saysSomething(known) && !saysSomething(piece) ? known : piece;
  const fields = new Map(Object.entries(known));
  for (const [key, value] of Object.entries(piece)) {
    const isNew = isName(key) && saysSomething(value);
    fields.set(key, isNew ? value : grown(fields.get(key), value));
  }
  return Object.fromEntries(fields);
}
