/** From what the caller handed over to the bytes that travel: parse, fill defaults, redact, encode once. */

import * as z from "zod/mini";
import { DeliveryError, isTraceLoggerError, TraceLoggerError, TraceValidationError } from "../errors.ts";
import type { LossReason } from "../receipts.ts";
import { isThenable } from "../thenable.ts";
import { parseTrace, type Trace, traceSchema } from "../trace.ts";
import { type ChoicesForm, encodeTrace, type NegotiatedForm } from "./choices-form.ts";
import { smallerTraces, tellCut } from "./truncate.ts";

export interface PrepareOptions {
  readonly systemFingerprint?: string | undefined;
  readonly redact?: ((trace: Trace) => Trace | Promise<Trace>) | undefined;
  readonly maxTraceBytes: number;
}

/** A trace that cannot go on, and why. */
export interface Refused {
  readonly loss: { readonly id: string | null; readonly reason: LossReason; readonly error: TraceLoggerError };
  /** What the caller may want to save: the trace, or the input as it was. */
  readonly trace: unknown;
}

export type Prepared = { readonly trace: Trace } | Refused;
export type Encoded =
  | { readonly id: string; readonly json: string; readonly bytes: number; readonly form: ChoicesForm }
  | Refused;

/** Parse and redact. A promise only when `redact` gives one; it never rejects. */
export function prepare(input: unknown, options: PrepareOptions): Prepared | Promise<Prepared> {
  let trace: Trace;
  try {
    trace = parseTrace(input, options);
  } catch (error) {
    return refuse("invalid", { id: readId(input), error: asOurs(error), trace: input });
  }
  if (!options.redact) return { trace };
  try {
    return redacted(asWritten(trace), options.redact);
  } catch (cause) {
    return refuse("invalid", { id: trace.id, error: unwritable(cause), trace });
  }
}

/**
 * The open-ended fields as JSON will say them, `toJSON` and getters included: what `redact` has not seen does not leave.
 * And they are the caller's objects, which `redact` must not change, nor the caller what was redacted.
 */
function asWritten(trace: Trace): Trace {
  const { choices, usage } = trace;
  if (choices === undefined && usage === undefined) return trace;
  return { ...trace, ...JSON.parse(JSON.stringify({ choices, usage })) };
}

export interface EncodeLimits {
  readonly maxTraceBytes: number;
  /** Cut what is too large, instead of refusing it. */
  readonly truncate: boolean;
}

/** Write the trace as JSON, if that can be done and it is not too large. */
export function encodeChecked(trace: Trace, form: NegotiatedForm, limits: EncodeLimits): Encoded {
  try {
    const encoded = encodeTrace(trace, form);
    const bytes = utf8Bytes(encoded.json);
    if (bytes <= limits.maxTraceBytes) return { id: trace.id, bytes, ...encoded };
    return (
      (limits.truncate && encodeCut(trace, form, { bytes, maxTraceBytes: limits.maxTraceBytes })) ||
      tooLarge(trace, bytes, limits.maxTraceBytes)
    );
  } catch (cause) {
    return refuse("invalid", { id: trace.id, error: unwritable(cause), trace });
  }
}

/** The largest version of the trace that fits, if any does. */
function encodeCut(
  trace: Trace,
  form: NegotiatedForm,
  { bytes, maxTraceBytes }: { bytes: number; maxTraceBytes: number },
): Encoded | undefined {
  for (const smaller of smallerTraces(trace, maxTraceBytes)) {
    const size = utf8Bytes(encodeTrace(smaller, form).json);
    if (size > maxTraceBytes) continue;
    const encoded = encodeTrace(tellCut(smaller, bytes - size), form);
    const cutBytes = utf8Bytes(encoded.json);
    if (cutBytes <= maxTraceBytes) return { id: trace.id, bytes: cutBytes, ...encoded };
  }
  return undefined;
}

const encoder = new TextEncoder();

function utf8Bytes(text: string): number {
  // Where there is a Buffer it counts without writing the bytes.
  return globalThis.Buffer?.byteLength(text) ?? encoder.encode(text).byteLength;
}

function redacted(trace: Trace, redact: NonNullable<PrepareOptions["redact"]>): Prepared | Promise<Prepared> {
  const failed = (cause: unknown): Prepared => {
    const message = "`redact` failed or gave back no valid trace, so it was not sent: mend the `redact` option.";
    return refuse("redact_failed", {
      id: trace.id,
      error: new DeliveryError(message, { code: "redact_failed", cause }),
      trace,
    });
  };
  const check = (result: unknown): Prepared => {
    const checked = z.safeParse(traceSchema, result);
    return checked.success ? { trace: checked.data } : failed(checked.error);
  };
  try {
    const result: unknown = redact(trace);
    return isThenable(result) ? Promise.resolve(result).then(check).catch(failed) : check(result);
  } catch (cause) {
    return failed(cause);
  }
}

function tooLarge(trace: Trace, bytes: number, maxTraceBytes: number): Refused {
  const issue = {
    path: "",
    expected: `at most ${maxTraceBytes} bytes of JSON`,
    got: `${bytes}`,
    hint: "Log less of it, or raise `maxTraceBytes` if your endpoint takes more.",
  };
  return refuse("too_large", { id: trace.id, error: new TraceValidationError([issue]), trace });
}

/** BigInt, cycles, `toJSON` or getters that throw: all deep inside `choices` or `usage`, the only open-ended fields. */
function unwritable(cause: unknown): TraceValidationError {
  const issue = {
    path: "choices or usage",
    expected: "data that can be written as JSON",
    got: "a cycle, a BigInt, or a property that throws",
    hint: "Hand over what the provider sent, or a plain copy of it.",
  };
  return new TraceValidationError([issue], cause);
}

function refuse(
  reason: LossReason,
  { id, error, trace }: { id: string | null; error: TraceLoggerError; trace: unknown },
): Refused {
  return { loss: { id, reason, error }, trace };
}

function asOurs(error: unknown): TraceLoggerError {
  if (isTraceLoggerError(error)) return error;
  return new TraceLoggerError("The trace could not be read.", { code: "invalid_trace", cause: error });
}

function readId(input: unknown): string | null {
  try {
    const id: unknown = Reflect.get(Object(input), "id");
    return typeof id === "string" ? id : null;
  } catch {
    return null;
  }
}
