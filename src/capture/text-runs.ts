/**
 * A streamed answer is hundreds of events that differ in a few letters each. Instead of reading them all, which would
 * double what the client itself spends on them, events that are alike but for the text they add are joined to one event
 * with all of their text, still as JSON, and that one is read.
 */
import { isObject, type JsonObject } from "../json.ts";
import { hasGrowingAsides } from "./asides.ts";
import { parseJson, parseObject } from "./call.ts";
import { isName } from "./merge.ts";
import { EventReader, type ServerSentEvent } from "./sse.ts";

/** An event's text around the text it adds, and around the padding that some providers put against eavesdroppers. */
export interface TextSlot {
  /** What stands before, between and after the strings that may differ. */
  readonly around: readonly string[];
  /** Which of those strings is the text. */
  readonly at: number;
}

/** An event as it is read, or a run of them as one. */
export interface JoinedEvent extends ServerSentEvent {
  /** Its text, line ends and all. */
  readonly raw: string;
  /** Its data, when that is JSON. */
  readonly chunk: unknown;
  readonly isFirst: boolean;
  readonly isLast: boolean;
}

/** The events of a text; with `joinsText`, those that only add text come as one. */
export function* readJoined(text: string, joinsText: boolean): Generator<JoinedEvent> {
  const reader = new EventReader(text);
  let slot: TextSlot | undefined;
  for (;;) {
    const start = reader.position;
    const run = slot && findTextRun(slot, reader.text, start);
    if (run) reader.position = run.end;
    const found = run ? new EventReader(run.joined).next() : reader.next();
    if (!found) return;
    const raw = run?.joined ?? reader.text.slice(start, reader.position);
    // The end is not left to the parser: the error of what is no JSON costs as much as two hundred events.
    const chunk = isDone(found) ? undefined : parseJson(found.data);
    yield { ...found, raw, chunk, isFirst: start === 0, isLast: reader.position >= reader.text.length };
    if (joinsText && !run && isObject(chunk)) slot = findTextSlot(raw, chunk) ?? slot;
  }
}

/** Does the event say that the stream is over? */
export function isDone({ data }: ServerSentEvent): boolean {
  return data.trim() === "[DONE]";
}

/** A run of events as one event, and where it ends. */
export interface TextRun {
  readonly joined: string;
  readonly end: number;
}

/**
 * What all events look like that do nothing but add text to the one choice of this event. Undefined for an event that
 * does more, or whose text cannot be told apart from the rest of it.
 */
export function findTextSlot(event: string, chunk: JsonObject): TextSlot | undefined {
  const added = addedText(chunk);
  const [before, after] = added ? cut(event, added) : [];
  if (before === undefined || after === undefined) return undefined;
  const slot = aroundPadding(before, after, chunk["obfuscation"]);
  // The proof: with another text in its place, and no padding, that is what is read.
  const probe = parseObject(new EventReader(fill(slot, PROBE)).next()?.data);
  return probe && addedText(probe) === PROBE && (slot.around.length === 2 || probe["obfuscation"] === "")
    ? slot
    : undefined;
}

const PROBE = "probe";

/** All events from here on that are alike. */
export function findTextRun(slot: TextSlot, text: string, start: number): TextRun | undefined {
  const { around, at } = slot;
  const [opening = "", ...between] = around;
  const closing = between.pop() ?? "";
  // Where one event follows upon another like it, which is nearly everywhere, both are looked at together.
  const joint = closing + opening;
  if (!standsAt(opening, text, start)) return undefined;
  let end = start;
  let said = "";
  for (let from = start + opening.length; ; from = end + opening.length) {
    let piece = "";
    let to = from;
    for (let index = 0; ; index++) {
      to = endOfString(text, from);
      if (index === at) piece = text.slice(from, to);
      if (index === between.length) break; // a look beyond it is slow until this is compiled
      const part = between[index] ?? "";
      if (!standsAt(part, text, to)) return runOf(slot, said, { start, end });
      from = to + part.length;
    }
    const goesOn = standsAt(joint, text, to);
    if (goesOn || standsAt(closing, text, to)) {
      said += piece;
      end = to + closing.length;
    }
    if (!goesOn) return runOf(slot, said, { start, end });
  }
}

/** By comparing slices: `startsWith` would make this most of what reading a stream costs. */
function standsAt(part: string, text: string, position: number): boolean {
  return text.slice(position, position + part.length) === part;
}

function runOf(slot: TextSlot, said: string, { start, end }: { start: number; end: number }): TextRun | undefined {
  return end > start ? { joined: fill(slot, said), end } : undefined;
}

/** The text of an event that adds text to its one choice and, read twice, would change nothing else. */
function addedText(chunk: JsonObject): string | undefined {
  const { choices } = chunk;
  const [choice, second] = Array.isArray(choices) ? choices : [];
  if (!isObject(choice) || second !== undefined || hasGrowingAsides(chunk)) return undefined;
  const { delta, ...values } = choice;
  if (!isObject(delta) || "text" in values || !Object.values(values).every(isFlat)) return undefined;
  const growing = Object.entries(delta).filter(([key, value]) => value !== "" && !(isName(key) || isUnchanging(value)));
  const [[key, value] = [], ...others] = growing;
  const isText = typeof value === "string" && key !== "name" && others.length === 0;
  return isText && Object.values(delta).every(isFlat) ? value : undefined;
}

function isFlat(value: unknown): boolean {
  return typeof value !== "object" || value === null;
}

function isUnchanging(value: unknown): boolean {
  return typeof value !== "string" && isFlat(value);
}

/** Around a string of the JSON, where it stands just once, its quotes included in what is around. */
function cut(json: string, value: string): readonly [before?: string, after?: string] {
  const literal = JSON.stringify(value);
  const found = json.indexOf(literal);
  if (found < 0 || json.includes(literal, found + 1)) return [];
  return [json.slice(0, found + 1), json.slice(found + literal.length - 1)];
}

function aroundPadding(before: string, after: string, padding: unknown): TextSlot {
  const none = { around: [before, after], at: 0 };
  if (typeof padding !== "string") return none;
  const [first, between] = cut(before, padding);
  if (first !== undefined && between !== undefined) return { around: [first, between, after], at: 1 };
  const [middle, last] = cut(after, padding);
  return middle !== undefined && last !== undefined ? { around: [before, middle, last], at: 0 } : none;
}

function fill({ around, at }: TextSlot, text: string): string {
  return around.slice(0, at + 1).join("") + text + around.slice(at + 1).join("");
}

const [SPACE, QUOTE, BACKSLASH] = [0x20, 0x22, 0x5c];
const ESCAPE = /\\(?:["\\/bfnrt]|u[\da-f]{4})/iy;

/** Where a string of JSON ends; earlier, where it is none. */
function endOfString(json: string, start: number): number {
  let at = start;
  while (at < json.length) {
    const code = json.charCodeAt(at);
    if (code === QUOTE || code < SPACE) break;
    if (code === BACKSLASH) {
      ESCAPE.lastIndex = at;
      if (!ESCAPE.test(json)) break;
      at = ESCAPE.lastIndex;
    } else at++;
  }
  return at;
}
