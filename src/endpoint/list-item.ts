/** A trace in the list: by what those who look for it know of it. */
import { isObject } from "../json.ts";
import type { Trace } from "../trace.ts";
import { callEnding, fromTraceMessage } from "../transcript.ts";
import { type Html, html } from "./html.ts";
import { parseStored } from "./keep.ts";
import { decodeSegment, foldersOf } from "./key.ts";
import { tokenFact } from "./share-page.ts";
import type { Store, StoreEntry } from "./store.ts";

/** A longer trace is listed by its name alone: a hundred of megabytes each would have to be read for one page. */
const MAX_READ_BYTES = 1_000_000;
const MAX_WORDS_LENGTH = 120;
const MAX_NAME_LENGTH = 100;

interface Links {
  /** Of the JSON. */
  readonly json: string;
  /** `undefined` where there is none. */
  readonly page: string | undefined;
}

/** One line of the list. What cannot be read, or not be understood, is listed all the same. */
export async function listItem(entry: StoreEntry, { json, page }: Links, store: Store): Promise<Html> {
  const { key, modifiedMs = 0 } = entry;
  const when = new Date(modifiedMs).toISOString().slice(0, 19).replace("T", " ");
  const id = decodeSegment(key.slice(key.lastIndexOf("/") + 1).replace(/\.json$/, ""));
  const { words = id, facts } = (await summary(entry, store)) ?? { facts: [foldersOf(key).fingerprint] };
  const links =
    page === undefined
      ? html`<a href="${json}">${words}</a>`
      : html`<a href="${page}">${words}</a> <a href="${json}">JSON</a>`;
  return html`<li><time>${when} UTC</time> ${links}<p>${facts.map((fact) => html`${fact} · `)}${id}</p></li>
`;
}

interface Summary {
  /** What the user said first. */
  readonly words: string | undefined;
  readonly facts: readonly (string | Html)[];
}

async function summary({ key, bytes = 0 }: StoreEntry, store: Store): Promise<Summary | undefined> {
  if (bytes > MAX_READ_BYTES) return undefined;
  try {
    const stored = await store.read(key);
    return stored === undefined ? undefined : summaryOf(parseStored(stored, key));
  } catch {
    return undefined; // damaged, or of some other hand: whoever opens it is told
  }
}

function summaryOf(trace: Trace): Summary {
  const { model, system_fingerprint, messages, usage } = trace;
  const { ended } = callEnding(trace);
  const tokens = tokenFact(usage);
  return {
    words: firstWords(messages),
    facts: [
      ...(system_fingerprint === model ? [] : [system_fingerprint.slice(0, MAX_NAME_LENGTH)]),
      model.slice(0, MAX_NAME_LENGTH),
      messages.length === 1 ? "1 message" : `${messages.length} messages`,
      ...(tokens === undefined ? [] : [`tokens: ${tokens}`]),
      ended === "complete" ? ended : html`<b>${ended.slice(0, MAX_NAME_LENGTH)}</b>`,
    ],
  };
}

function firstWords(messages: Trace["messages"]): string | undefined {
  for (const stored of messages) {
    // What a tool says is stored as the user's, and is not.
    const { message } = stored.role === "user" ? fromTraceMessage(stored) : {};
    const words = isObject(message) && message["role"] === "user" ? wordsOf(message["content"]) : "";
    if (words !== "") return words;
  }
  return undefined;
}

function wordsOf(content: unknown): string {
  if (Array.isArray(content))
    return content.map((part) => wordsOf(isObject(part) ? part["text"] : part)).find(Boolean) ?? "";
  if (typeof content !== "string") return "";
  const words = content
    .trimStart()
    .slice(0, 4 * MAX_WORDS_LENGTH)
    .replace(/\s+/g, " ")
    .trim();
  const letters = Array.from(words); // never half of an emoji's surrogates
  return letters.length > MAX_WORDS_LENGTH ? `${letters.slice(0, MAX_WORDS_LENGTH).join("")}…` : words;
}
