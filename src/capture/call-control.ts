/**
 * Control over one call: a header that the tracing fetch understands and takes away again. Every client has a way to
 * give one call headers of its own, whatever it is called and however many layers lie between it and `fetch`. The AI
 * SDK hands them to its middleware, too; in LangChain, where models have no headers in common, the same is metadata.
 */
import { invalidOption } from "../errors.ts";
import { parseObject } from "./call.ts";
import { type FetchArguments, isRequest, takeHeader } from "./request.ts";

/** What can be said about the trace of one call. See {@link traceHeaders}. */
export interface CallControl {
  /**
   * The trace's id. It must be unique among all traces of the fingerprint: another trace of that id is overwritten.
   * Where several calls of one logger are given the same (agents, tool loops), the further ones get `-2`, `-3`.
   */
  readonly id?: string | undefined;
  /** The trace's `system_fingerprint`, before the logger's default. */
  readonly systemFingerprint?: string | undefined;
  /** With the logger's `sampleRate`: all calls of one key are logged, or none of them. A conversation's or user's id. */
  readonly sampleKey?: string | undefined;
  /** `true`: this call is not traced. @default false */
  readonly off?: boolean | undefined;
}

export const HEADER = "x-tracelogger";

const TYPES: Readonly<Record<string, string>> = {
  id: "string",
  systemFingerprint: "string",
  sampleKey: "string",
  off: "boolean",
} satisfies Record<keyof CallControl, string>;

/**
 * Request headers that say how to trace one call. They are removed before it is made, so that they never reach the
 * provider; give them to clients and models that are traced, as any other would send them. For LangChain they are
 * metadata: `model.invoke(input, { metadata: traceHeaders({ … }) })`.
 *
 * @throws {TraceLoggerError} `invalid_option` for another field, a text that is empty or no string, or an `off` that is no boolean.
 * @example
 * await openai.chat.completions.create(body, { headers: traceHeaders({ sampleKey: conversationId }) });
 */
export function traceHeaders(control: CallControl): { [HEADER]: string } {
  for (const [name, value] of Object.entries(control)) {
    const type = TYPES[name];
    if (value === undefined || (value !== "" && typeof value === type)) continue;
    const expected = type ? `a ${type}, not empty` : `only ${Object.keys(TYPES)}`;
    throw invalidOption(`Invalid \`${name}\` for traceHeaders: expected ${expected}.`);
  }
  return { [HEADER]: encodeURIComponent(JSON.stringify(control)) };
}

/** What the headers of a call say about its trace, and the call without them. Never throws: fetch does, if it must. */
export function takeControl(args: FetchArguments): { readonly control: CallControl; readonly rest: FetchArguments } {
  try {
    const [input, init] = args;
    // As fetch has it: the headers of `init` stand instead of the request's.
    const found = takeHeader(init?.headers ?? (isRequest(input) ? input.headers : undefined), HEADER);
    if (found) return { control: readControl(found.value), rest: [input, { ...init, headers: found.others }] };
  } catch {
    // Nothing of ours.
  }
  return { control: NOTHING_SAID, rest: args };
}

const NOTHING_SAID: CallControl = {};

/** Strings that are not empty, or nothing: `traceHeaders` has seen to it. */
export function readControl(value: unknown): CallControl {
  try {
    return parseObject(decodeURIComponent(String(value))) ?? {};
  } catch {
    return {}; // not written by `traceHeaders`
  }
}
