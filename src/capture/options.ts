import { invalidOption, invalidValue } from "../errors.ts";
import { isObject, type JsonObject } from "../json.ts";
import type { TraceSink } from "../sink.ts";

/** How `wrapOpenAI` and `tracingFetch` capture. `Call` is what `shouldCapture` decides by. */
export interface CaptureOptions<Call = CallInfo> {
  /**
   * Trace calls that failed at once, too (an error status, no connection, aborted before an answer): the request, and a
   * closing message that says how it failed. Calls that failed midway are always traced.
   *
   * @default false
   */
  readonly captureErrors?: boolean | undefined;
  /**
   * Ask for the usage of streamed chat completions and completions (`stream_options.include_usage`), when the caller has
   * said neither yes nor no, and take the chunk that tells it out again. A provider that answers 400 or 422 gets the
   * request as it was, and is not asked again. This is the only option that changes what is sent. Requests whose body is
   * not text are sent as they are.
   *
   * @default false
   */
  readonly includeUsage?: boolean | undefined;
  /**
   * How many bytes of one response to keep while it passes: half of them from its head, half from its tail. What lies
   * between is left out of the trace, which says so. Of a long stream, events that only add text are counted as one: a
   * streamed answer is some thirty times as long as its text.
   *
   * @default 6_000_000 of a stream, which is as much as a trace may hold; 67_108_864 (64 MiB) of what is not streamed
   */
  readonly maxResponseBytes?: number | undefined;
  /**
   * Asked before every call that would be traced; `false` leaves it alone. It fails closed: when it throws, the call is
   * made and not traced.
   *
   * @default every call
   */
  readonly shouldCapture?: ((call: Call) => boolean) | undefined;
}

/** What {@link CaptureOptions.shouldCapture} decides by. */
export interface CallInfo {
  readonly url: string;
  /** The request's body; undefined when it is no JSON object, or cannot be read at once. Parsed when asked for. */
  readonly request: JsonObject | undefined;
}

/** Options with their defaults. */
export type ResolvedCaptureOptions<Call = CallInfo> = Required<CaptureOptions<Call>> & {
  readonly captureErrors: boolean;
  readonly includeUsage: boolean;
  readonly maxResponseBytes: number | undefined;
};

/** @throws {TraceLoggerError} `invalid_option`: which one, what was expected, what came. */
export function resolveCaptureOptions<Call = CallInfo>(
  sink: TraceSink,
  options: CaptureOptions<Call> = {},
): ResolvedCaptureOptions<Call> {
  checkOption("options", "an object", options, isObject(options));
  const { captureErrors = false, includeUsage = false, maxResponseBytes, shouldCapture } = options;
  checkOption(
    "sink",
    "an object with a `logTrace` method, such as a TraceLogger",
    sink,
    typeof sink?.logTrace === "function",
  );
  for (const [name, value] of Object.entries({ captureErrors, includeUsage }))
    checkOption(name, "true or false", value, typeof value === "boolean");
  const isBytes = maxResponseBytes === undefined || (Number.isSafeInteger(maxResponseBytes) && maxResponseBytes >= 0);
  checkOption("maxResponseBytes", "a whole number of bytes", maxResponseBytes, isBytes);
  checkOption(
    "shouldCapture",
    "a function",
    shouldCapture,
    shouldCapture === undefined || typeof shouldCapture === "function",
  );
  // `fetch` is for those who take it to check.
  const resolved = { captureErrors, includeUsage, maxResponseBytes, shouldCapture, fetch: undefined };
  const unknown = Object.keys(options).find((name) => !(name in resolved));
  if (unknown !== undefined) throw invalidOption(`There is no option \`${unknown}\`: see CaptureOptions.`);
  return resolved;
}

/** @throws {TraceLoggerError} `invalid_option` when it is not ok. */
export function checkOption(name: string, expected: string, value: unknown, ok: boolean) {
  if (!ok) throw invalidValue(name, expected, value);
}
