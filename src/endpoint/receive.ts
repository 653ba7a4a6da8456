/** From the body of a request to a trace that is worth keeping. */
import * as z from "zod/mini";
import { TraceValidationError } from "../errors.ts";
import { isObject } from "../json.ts";
import { publishedTraceSchema } from "../published-contract.ts";
import { parseTrace, type Trace } from "../trace.ts";
import { asDeployed } from "./as-deployed.ts";
import { Failure } from "./failure.ts";
import { nestingDepth } from "./json-depth.ts";
import type { ModeRules } from "./modes.ts";

/** How large a trace may be, besides its bytes. */
export interface TraceLimits {
  readonly maxMessages: number;
  readonly maxDepth: number;
}

/**
 * @param around levels of nesting that are not the trace's own: 1 for a list of traces.
 * @throws {Failure} `not_json`.
 */
export function parseBody(text: string, { maxDepth }: TraceLimits, around = 0): unknown {
  // Before parsing: what comes out deeper than the stack would break whatever walks over it later.
  if (nestingDepth(text) > maxDepth + around) {
    throw new Failure("not_json", `ValueError: The body is nested more than ${maxDepth} levels deep`);
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Failure("not_json", "ValueError: The body is not JSON", { cause });
  }
}

/**
 * One trace, validated by the rules of the mode, defaults filled in, everything else as it came.
 *
 * @throws {Failure} `invalid_body` (the published schema, where a validator stands in front) or `invalid_trace`.
 */
export function receiveTrace(body: unknown, rules: ModeRules, { maxMessages }: TraceLimits): Trace {
  // Before validation: what is wrong with each of a million messages is of no interest.
  if (isObject(body) && Array.isArray(body["messages"]) && body["messages"].length > maxMessages) {
    throw new Failure("invalid_trace", `ValueError: A trace has at most ${maxMessages} messages`);
  }
  if (rules.validator && !z.safeParse(publishedTraceSchema, body).success) {
    throw new Failure("invalid_body", "ValueError: Invalid request body");
  }
  const trace = parseOrFail(body);
  if (rules.choices === "list" && trace.choices !== undefined && !Array.isArray(trace.choices)) {
    throw new Failure("invalid_trace", "AssertionError: Choices must be a list");
  }
  return trace;
}

function parseOrFail(body: unknown): Trace {
  try {
    const trace = parseTrace(body);
    requireCreated(body);
    return withFieldsAsTheyCame(trace, body);
  } catch (error) {
    if (!(error instanceof TraceValidationError)) throw error;
    throw new Failure("invalid_trace", `ValueError: ${error.message}`, { cause: error, asDeployed: asDeployed(error) });
  }
}

/** A logger fills it in; an endpoint that did would store a trace under another day when it is sent again. */
function requireCreated(body: unknown): void {
  if (typeof body === "object" && body !== null && Object.hasOwn(body, "created")) return;
  const hint = "Write Math.floor(Date.now() / 1000).";
  throw new TraceValidationError([{ path: "created", expected: "whole Unix seconds", got: "nothing", hint }]);
}

/** Validation copies what it reads and drops keys such as `__proto__`; what is stored is what came. */
function withFieldsAsTheyCame(trace: Trace, body: unknown): Trace {
  const { choices, usage } = body as Pick<Trace, "choices" | "usage">; // parseTrace has just proven it
  return { ...trace, ...(choices !== undefined && { choices }), ...(usage !== undefined && { usage }) };
}
