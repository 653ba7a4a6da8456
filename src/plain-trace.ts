/**
 * Reads what nearly every trace is that holds no `choices`, without the schema. To check one, the schema makes some fifty small
 * objects, more than all else that `logTrace` leaves to the garbage collector; with a flood, the host's heap grows by it.
 *
 * It only ever says yes, and only where `traceInputSchema` does (a test compares them): the rest, and what is wrong and why,
 * is the schema's.
 */
import { isObject, type JsonObject } from "./json.ts";

const FIELDS = new Set(["model", "messages", "id", "object", "created", "system_fingerprint"]);
const MESSAGE_FIELDS = new Set(["role", "content"]);

interface Allowed<Role extends string> {
  readonly roles: readonly Role[];
  readonly maxCreatedSeconds: number;
}

/** A copy of the trace; nothing where only the schema can tell. */
export function readPlain<Role extends string>(input: unknown, { roles, maxCreatedSeconds }: Allowed<Role>) {
  if (!isObject(input) || !hasOnly(input, FIELDS)) return undefined;
  const { model, id, object, created, system_fingerprint } = input;
  const messages = readMessages(input.messages, roles);
  if (typeof model !== "string" || messages === undefined || id === "") return undefined;
  if (!isOptionalText(id) || !isOptionalText(object) || !isOptionalText(system_fingerprint)) return undefined;
  if (!(created === undefined || isCount(created, maxCreatedSeconds))) return undefined;
  return { model, messages, id, object, created, system_fingerprint };
}

function isCount(value: unknown, max: number): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 && value <= max;
}

function readMessages<Role extends string>(value: unknown, roles: readonly Role[]) {
  if (!Array.isArray(value) || value.length === 0) return undefined;
  const messages: { role: Role; content: string }[] = [];
  for (const message of value) {
    if (!isObject(message) || !hasOnly(message, MESSAGE_FIELDS)) return undefined;
    const { content } = message;
    const role = roles.find((known) => known === message.role);
    if (role === undefined || typeof content !== "string") return undefined;
    messages.push({ role, content });
  }
  return messages;
}

function hasOnly(value: JsonObject, fields: ReadonlySet<string>): boolean {
  for (const key in value) if (!fields.has(key)) return false;
  return true;
}

function isOptionalText(value: unknown): value is string | undefined {
  return value === undefined || typeof value === "string";
}
