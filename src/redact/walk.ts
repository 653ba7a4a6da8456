/**
 * Every string of a value through a redactor: nested ones, object keys, numbers (a card number may be one), and the
 * strings and numbers inside JSON that is itself text, such as the arguments of a tool call, which stays valid JSON
 * and keeps its spacing. What did not change is given back as the very same object.
 */
import type { TextRedactor } from "./patterns.ts";

/** The value with every string in it redacted; `key` is the name it, or the list it is in, stands under. */
export function redactValue(value: unknown, redact: TextRedactor, key?: string): unknown {
  if (typeof value === "string") return redactText(value, redact, key);
  if (typeof value === "number") return redactNumber(value, redact, key);
  if (Array.isArray(value)) {
    const redacted = value.map((item) => redactValue(item, redact, key));
    return redacted.some((item, index) => item !== value[index]) ? redacted : value;
  }
  return typeof value === "object" && value !== null ? redactObject(value, redact) : value;
}

function redactNumber(value: number, redact: TextRedactor, key?: string): unknown {
  const text = String(value);
  const redacted = redact(text, key);
  return redacted === text ? value : redacted;
}

/** The same for an object, which stays one. */
export function redactObject(value: object, redact: TextRedactor): Record<string, unknown> {
  let changed = false;
  const used = new Map<string, number>();
  const entries = Object.entries(value).map(([key, item]): [string, unknown] => {
    const name = unusedName(redact(key), used);
    const redacted = redactValue(item, redact, key);
    changed ||= name !== key || redacted !== item;
    return [name, redacted];
  });
  // fromEntries defines properties of its own, whatever their names: a key `__proto__` stays a key.
  // The cast: an object whose entries did not change is the record of those entries.
  return changed ? Object.fromEntries(entries) : (value as Record<string, unknown>);
}

/** Two keys that both became a marker must not become one key: the second gets a number. */
function unusedName(name: string, used: Map<string, number>): string {
  const count = (used.get(name) ?? 0) + 1;
  used.set(name, count);
  return count === 1 ? name : unusedName(`${name}#${count}`, used);
}

/** Text through a redactor; JSON in it token by token, so that no match can span its syntax or miss its escapes. */
export function redactText(text: string, redact: TextRedactor, key?: string): string {
  return isJsonText(text) ? redactJsonText(text, redact) : redact(text, key);
}

/** A text alone is JSON, too: arguments that were encoded twice. */
function isJsonText(text: string): boolean {
  if (!/^\s*["[{]/.test(text)) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

const JSON_TOKEN = /("[^"\\]*(?:\\.[^"\\]*)*")(\s*:)?|-?\d[\d.eE+-]*|[[\]{}]/g;

function redactJsonText(text: string, redact: TextRedactor): string {
  /** The name of the value to come: the one just read, or that of the list we are in. */
  let key: string | undefined;
  const lists: (string | undefined)[] = [];
  return text.replace(JSON_TOKEN, (token: string, quoted: string | undefined, colon: string | undefined) => {
    if (colon !== undefined && quoted !== undefined) {
      const name = String(JSON.parse(quoted));
      key = name;
      return (redact(name) === name ? quoted : JSON.stringify(redact(name))) + colon;
    }
    const named = key;
    if (token === "[" || token === "{") {
      key = token === "[" ? named : undefined;
      lists.push(key);
      return token;
    }
    if (token === "]" || token === "}") lists.pop();
    key = lists.at(-1);
    if (token === "]" || token === "}") return token;
    if (quoted === undefined) return quoteIfRedacted(token, redact(token, named));
    const literal = String(JSON.parse(quoted));
    const redacted = redactText(literal, redact, named);
    return redacted === literal ? quoted : JSON.stringify(redacted);
  });
}

/** A number that became a marker becomes a string, so that the JSON stays valid. */
const quoteIfRedacted = (number: string, redacted: string): string =>
  redacted === number ? number : JSON.stringify(redacted);
