import { describeGot, invalidOption } from "./errors.ts";
import { isObject } from "./json.ts";
import { type Hide, hideContent, looksLikeIdentifier } from "./redact/hide.ts";
import {
  redactCardNumbersInText,
  redactEmailsInText,
  redactSecretsInText,
  type TextRedactor,
} from "./redact/patterns.ts";
import { redactObject, redactValue } from "./redact/walk.ts";
import { isPromise } from "./thenable.ts";
import type { Trace, TraceMessage } from "./trace.ts";
import { fromTraceMessage, toCallMessage, toTraceMessage } from "./transcript.ts";

/**
 * Takes something out of a trace before it leaves: what the `redact` option of `TraceLogger` takes. `id`, `model`,
 * `created`, `object` and `system_fingerprint` say where a trace is kept; the ready-made ones do not touch them.
 */
export type TraceRedactor<Result extends Trace | Promise<Trace> = Trace | Promise<Trace>> = (trace: Trace) => Result;

/**
 * Replaces API keys and tokens by `[REDACTED:secret]`, wherever they stand in messages, choices and usage: keys of
 * the common providers by their shape (`sk-…`, `ghp_…`, `AKIA…`, `AIza…`, `xox…`, JWTs, …), private key blocks, the
 * credentials of `Authorization` headers and URLs, and what stands under names such as `api_key` or `password` (in text,
 * where it is in quotes or has a digit).
 *
 * It finds what looks like a secret, not every secret: a password in a sentence passes, and so do cookies and keys that
 * are nothing but letters and digits.
 *
 * @example
 * new TraceLogger({ redact: composeRedactors(redactSecrets(), redactEmails()) });
 */
export function redactSecrets(): TraceRedactor<Trace> {
  return redactingText(redactSecretsInText);
}

/** Replaces e-mail addresses by `[REDACTED:email]`, wherever they stand in messages, choices and usage. */
export function redactEmails(): TraceRedactor<Trace> {
  return redactingText(redactEmailsInText);
}

/**
 * Replaces card numbers by `[REDACTED:card]`: 13 to 19 digits, plain or in groups, that begin and are as long as those of
 * an issuer and pass the Luhn check. Of other numbers of that length, one in some twenty-five does so, too.
 */
export function redactCardNumbers(): TraceRedactor<Trace> {
  return redactingText(redactCardNumbersInText);
}

/** Options of {@link redactContent}. */
export interface RedactContentOptions {
  /**
   * Goes into every hash before the text. Without one, whoever holds the trace can tell a short text ("yes") by
   * hashing guesses; with one kept secret, equal texts can still be told to be equal. @default ""
   */
  readonly salt?: string;
}

/**
 * Replaces everything said, numbers included, by its length in characters and its SHA-256:
 * `[REDACTED:content,chars=12,sha256=…]`. Roles, the order of messages, the names of called tools, finish reasons and the
 * figures of `usage` stay.
 */
export function redactContent({ salt = "" }: RedactContentOptions = {}): TraceRedactor<Promise<Trace>> {
  return async (trace) => {
    const texts = new Set<string>();
    hideTrace(trace, (content) => {
      texts.add(content);
      return "";
    });
    const stands = new Map<string, string>();
    for (const text of texts) stands.set(text, await describeText(text, salt));
    return hideTrace(trace, (content) => stands.get(content) ?? "[REDACTED:content]");
  };
}

/** One redactor out of several, each given what the one before it left. Synchronous as long as all of them are. */
export function composeRedactors(...redactors: readonly TraceRedactor<Trace>[]): TraceRedactor<Trace>;
export function composeRedactors(...redactors: readonly TraceRedactor[]): TraceRedactor;
export function composeRedactors(...redactors: readonly TraceRedactor[]): TraceRedactor {
  // Now, and not by the loss of every trace.
  for (const redactor of redactors) {
    if (typeof redactor !== "function")
      throw invalidOption(
        `composeRedactors: expected functions, such as \`redactSecrets()\`, got ${describeGot(redactor)}.`,
      );
  }
  return (trace) =>
    redactors.reduce<Trace | Promise<Trace>>(
      (redacted, redactor) => (isPromise(redacted) ? Promise.resolve(redacted).then(redactor) : redactor(redacted)),
      trace,
    );
}

/** Every string of messages, choices and usage. */
function redactingText(redact: TextRedactor): TraceRedactor<Trace> {
  return (trace) => ({
    ...trace,
    messages: trace.messages.map((message) => mapSaid(message, (said) => redactValue(said, redact))),
    ...(trace.choices && { choices: redactChoices(trace.choices, redact) }),
    ...(trace.usage && { usage: redactObject(trace.usage, redact) }),
  });
}

/** What the stored text says, changed and stored again: so that redacted text can still be decoded. */
function mapSaid(stored: TraceMessage, change: (said: unknown) => unknown): TraceMessage {
  const said = fromTraceMessage(stored);
  const before = said.call ?? said.message;
  const after = change(before);
  if (after === before) return stored;
  const { content } = said.call
    ? toCallMessage({ ...Object(after), ended: said.call.ended })
    : toTraceMessage(after, said.choice === undefined ? {} : { choice: said.choice });
  return { role: stored.role, content };
}

type Choices = NonNullable<Trace["choices"]>;

function redactChoices(choices: Choices, redact: TextRedactor): Choices {
  return Array.isArray(choices) ? choices.map((choice) => redactObject(choice, redact)) : redactObject(choices, redact);
}

/** Each choice by itself, in the list or object that they came in. */
function mapChoices(choices: Choices, change: (choice: object) => Record<string, unknown>): Choices {
  if (Array.isArray(choices)) return choices.map(change);
  return Object.values(choices).every(isObject)
    ? Object.fromEntries(Object.entries(choices).map(([key, choice]) => [key, change(Object(choice))]))
    : change(choices);
}

function hideTrace(trace: Trace, hide: Hide): Trace {
  const hideText: TextRedactor = (text) => (looksLikeIdentifier(text) ? text : hide(text));
  return {
    ...trace,
    messages: trace.messages.map((message) =>
      mapSaid(message, (said) => (isObject(said) ? hideContent(said, hide) : hide(JSON.stringify(said)))),
    ),
    ...(trace.choices && { choices: mapChoices(trace.choices, (choice) => hideContent(choice, hide)) }),
    ...(trace.usage && { usage: redactObject(trace.usage, hideText) }),
  };
}

async function describeText(text: string, salt: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(salt + text));
  const hex = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
  return `[REDACTED:content,chars=${text.length},sha256=${hex}]`;
}
