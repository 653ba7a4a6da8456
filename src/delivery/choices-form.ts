/**
 * In what form `choices` travels. The published schema wants an object, the deployed function a list, and a gateway
 * may stand in front of the function and check for the object: then only a trace without `choices` passes. Which
 * deployment this is cannot be known beforehand, so it is found out and remembered. No trace is lost over it, and
 * nothing that was said: what only `choices` held is then written into `messages`.
 */
import { isObject } from "../json.ts";
import type { Trace } from "../trace.ts";
import { sayChoices } from "../transcript.ts";

/** `absent`: this trace has no `choices`, so there is nothing to negotiate. */
export type ChoicesForm = "object" | "list" | "none" | "absent";

const ORDER = ["object", "list", "none"] as const satisfies readonly ChoicesForm[];
export type NegotiatedForm = (typeof ORDER)[number];

interface EncodedTrace {
  readonly json: string;
  readonly form: ChoicesForm;
}

/** A trace as JSON. Lone surrogates, which UTF-8 cannot hold, become U+FFFD. */
export function encodeTrace(trace: Trace, form: NegotiatedForm): EncodedTrace {
  return trace.choices === undefined
    ? { json: encodeJson(trace), form: "absent" }
    : { json: encodeJson(withChoices(trace, form)), form };
}

/** An encoded trace with its `choices` in another form. */
export function reencode(encoded: EncodedTrace, form: NegotiatedForm): string {
  if (encoded.form === form || encoded.form === "absent") return encoded.json;
  return encodeJson(withChoices(decodeTrace(encoded.json), form));
}

export function decodeTrace(json: string): Trace {
  return JSON.parse(json) as Trace; // our own encoding of a parsed trace
}

/** The form in which a trace was written. */
export function formOf(json: string): ChoicesForm {
  const { choices } = decodeTrace(json);
  return choices === undefined ? "absent" : Array.isArray(choices) ? "list" : "object";
}

/** Which forms an endpoint takes, learned from what it accepted. One per logger. */
export class ChoicesNegotiation {
  #accepted: NegotiatedForm = "object";

  /** The form that new traces are encoded in. */
  get accepted(): NegotiatedForm {
    return this.#accepted;
  }

  /** The form to try next for a trace that was refused in some, or `null` when all have been tried. */
  next(form: ChoicesForm, refused: readonly ChoicesForm[]): ChoicesForm | null {
    if (form === "absent") return refused.includes("absent") ? null : "absent";
    return [this.#accepted, ...ORDER].find((candidate) => !refused.includes(candidate)) ?? null;
  }

  /** A trace passed in this form. Says whether that is news. */
  learn(form: ChoicesForm): boolean {
    if (form === "absent" || form === this.#accepted) return false;
    this.#accepted = form;
    return true;
  }
}

function withChoices(trace: Trace, form: NegotiatedForm): Trace {
  const { choices, ...rest } = trace;
  if (choices === undefined) return trace;
  const list = toList(choices);
  if (form === "none") return { ...rest, messages: sayChoices(trace.messages, list) };
  return { ...rest, choices: form === "list" ? list : Array.isArray(choices) ? { ...choices } : choices };
}

type Choices = NonNullable<Trace["choices"]>;

function toList(choices: Choices): Record<string, unknown>[] {
  if (Array.isArray(choices)) return choices;
  const keys = Object.keys(choices);
  const indexed = keys.every((key, index) => key === String(index) && isObject(choices[key]));
  return indexed ? Object.values(choices).filter(isObject) : [choices];
}

/** JSON.stringify writes a lone surrogate as an escape (after an even run of backslashes), and nothing else so. */
const LONE_SURROGATE = /(?<!\\)((?:\\\\)*)\\ud[89a-f][0-9a-f]{2}/g;

function encodeJson(value: unknown): string {
  const json = JSON.stringify(value);
  return json.includes("\\ud") ? replaceLoneSurrogates(json) : json;
}

function replaceLoneSurrogates(json: string): string {
  // Twice: a match consumes the backslashes that the next one's look-behind would need.
  return json.replace(LONE_SURROGATE, "$1\ufffd").replace(LONE_SURROGATE, "$1\ufffd");
}
