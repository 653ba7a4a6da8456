import { TraceLoggerError } from "../errors.ts";
import { defer, type TraceSink } from "../sink.ts";
import type { TraceInput } from "../trace.ts";
import type { CallEnding } from "../transcript.ts";
import { type CapturedCall, parseObject, rawTrace } from "./call.ts";
import { type CallControl, takeControl } from "./call-control.ts";
import type { UsageCall } from "./include-usage.ts";
import { type CaptureOptions, type ResolvedCaptureOptions, resolveCaptureOptions } from "./options.ts";
import type { BodyEnding, ObservedBody } from "./recording.ts";
import { describeRequest, type OutgoingRequest, snapshotBody } from "./request.ts";
import { watchResponse } from "./response.ts";

export type Fetch = typeof fetch;

/** What `tracingFetch` takes besides {@link CaptureOptions}. */
export interface TracingFetchOptions extends CaptureOptions {
  /** The `fetch` that does the work. @default the global one, as it is when a call is made */
  readonly fetch?: Fetch | undefined;
}

type ToTrace = (call: CapturedCall) => Promise<TraceInput>;

/**
 * The APIs that are captured, by the path that a POST goes to. Reading a call is loaded when the first one is made, so
 * that an import of this package does not cost it.
 */
const APIS: readonly (readonly [path: RegExp, load: () => Promise<ToTrace>])[] = [
  [/\/chat\/completions\/?$/, once(async () => (await import("./chat-completions.ts")).chatCompletionToTrace)],
  [/\/responses\/?$/, once(async () => (await import("./responses.ts")).responseToTrace)],
  [/\/completions\/?$/, once(async () => (await import("./completions.ts")).completionToTrace)],
];

/** An `import()` takes its time also when there is nothing left to load. */
function once(load: () => Promise<ToTrace>): () => Promise<ToTrace> {
  let loaded: Promise<ToTrace> | undefined;
  return () => {
    loaded ??= load();
    return loaded;
  };
}

/** On every fetch of ours: the sinks it writes to. `Symbol.for`, so that the ESM and the CJS copy understand each other. */
const sinksOf = Symbol.for("tracelogger.sinks");

/** Does this fetch already write to the sink? */
export function tracesTo(fetch: object, sink: TraceSink): boolean {
  return sinksBehind(fetch).includes(sink);
}

function sinksBehind(fetch: object): readonly TraceSink[] {
  return sinksOf in fetch ? (fetch[sinksOf] as readonly TraceSink[]) : []; // only we set it
}

/**
 * A `fetch` that traces OpenAI-style calls (chat completions, responses, completions; streamed or not) and passes everything else on untouched.
 * Give it to anything that takes a custom `fetch`. The caller sees what it would see without it: the request is not
 * changed, the response passes as it comes, and what goes wrong with tracing never reaches the caller.
 *
 * @throws {TraceLoggerError} `invalid_option`
 */
export function tracingFetch(sink: TraceSink, options: TracingFetchOptions = {}): Fetch {
  const resolved = resolveCaptureOptions(sink, options);
  const { fetch: given } = options;
  if (given !== undefined && typeof given !== "function") {
    throw new TraceLoggerError(`Invalid option \`fetch\`: expected a function, got ${typeof given}.`, {
      code: "invalid_option",
    });
  }
  if (given && tracesTo(given, sink)) return given;
  const base: Fetch = (...request) => (given ?? globalThis.fetch)(...request);

  const refusing = new Set<string>();
  const behind = sinksBehind(given ?? {});
  const traced: Fetch = (...args) => {
    const { control, rest } = takeControl(args);
    // Another tracing fetch behind this one needs to know, too, and takes the header away.
    const request = behind.length > 0 ? args : rest;
    const capture = control.off ? undefined : startCapture(rest, { ...resolved, sink, control });
    if (!capture) return base(...request);
    if (resolved.includeUsage) return askForUsage({ ...capture, args: request, send: base, refusing });
    return base(...request).then(capture.respond, capture.fail);
  };
  return Object.assign(traced, { [sinksOf]: [sink, ...behind] });
}

async function askForUsage(call: Omit<UsageCall, "text"> & Capture): Promise<Response> {
  const { text, args, send, respond, fail } = call;
  try {
    const loaded = await import("./include-usage.ts").catch(() => undefined);
    if (loaded) return await loaded.callWithUsage({ ...call, text: typeof text === "string" ? text : undefined });
    return respond(await send(...args));
  } catch (error) {
    return fail(error);
  }
}

interface Capture {
  readonly url: string;
  readonly text: ReturnType<typeof snapshotBody>;
  respond(response: Response): Response;
  fail(error: unknown): never;
}

type CaptureSettings = ResolvedCaptureOptions & { readonly sink: TraceSink; readonly control: CallControl };

/** Undefined for what is not captured. Never throws: an argument that cannot be read is for the real fetch to refuse. */
function startCapture(args: Parameters<Fetch>, settings: CaptureSettings): Capture | undefined {
  try {
    const request = describeRequest(args);
    const load = request.method === "POST" ? findApi(request.url) : undefined;
    if (!load) return undefined;
    const requestText = snapshotBody(request.body);
    const call = {
      url: request.url,
      get request() {
        return typeof requestText === "string" ? parseObject(requestText) : undefined;
      },
    };
    if (settings.shouldCapture && !settings.shouldCapture(call)) return undefined;
    return captureCall({ ...request, requestText }, load, settings);
  } catch {
    return undefined;
  }
}

function findApi(url: string): (() => Promise<ToTrace>) | undefined {
  const [path = ""] = url.split(/[?#]/, 1);
  return APIS.find(([pattern]) => pattern.test(path))?.[1];
}

type ReadRequest = OutgoingRequest & { readonly requestText: ReturnType<typeof snapshotBody> };

function captureCall(request: ReadRequest, load: () => Promise<ToTrace>, settings: CaptureSettings): Capture {
  const { sink, control, captureErrors, maxResponseBytes } = settings;
  // While the call is under way, and not when its process may be about to end.
  const reader = load();
  reader.catch(() => {});
  const finish = (body: ObservedBody, status?: number) => {
    const deliver = async () => {
      const { chunks, droppedBytes, tail } = body;
      const ending = toCallEnding(body.ending, request.signal);
      const call = {
        requestText: await request.requestText,
        responseText: decode(chunks),
        status,
        tailText: decode(tail),
        droppedBytes,
        ending,
      };
      const trace = await reader.then((toTrace) => toTrace(call)).catch(() => rawTrace(call));
      // Not awaited: a receipt may take as long as the endpoint does.
      const options = { sampleKey: control.sampleKey, truncate: true };
      void Promise.resolve(sink.logTrace(controlled(trace, control), options)).catch(() => {});
    };
    guard(() => defer(sink, () => deliver().catch(() => {})));
  };
  return {
    url: request.url,
    text: request.requestText,
    respond(response) {
      const { status } = response;
      if (status >= 400 && !captureErrors) return response;
      const onEnd = (body: ObservedBody) => finish(body, status);
      return watchResponse(response, { maxBytes: maxResponseBytes, onEnd, signal: request.signal });
    },
    fail(error) {
      if (captureErrors) finish({ chunks: [], droppedBytes: 0, tail: [], ending: { how: "failed", error } });
      throw error;
    },
  };
}

function controlled(trace: TraceInput, { id, systemFingerprint }: CallControl): TraceInput {
  return { ...trace, ...(id && { id }), ...(systemFingerprint && { system_fingerprint: systemFingerprint }) };
}

/** The host is sacred: nothing that a sink does reaches it. */
function guard(work: () => void) {
  try {
    work();
  } catch {
    // There is nobody to tell: sinks report their own troubles.
  }
}

function toCallEnding(ending: BodyEnding, signal: AbortSignal | undefined): CallEnding | undefined {
  if (ending.how === "complete") return undefined;
  const error = ending.how === "failed" ? ending.error : undefined;
  const byCaller =
    ending.how === "cancelled" || signal?.aborted || (error instanceof Error && error.name === "AbortError");
  return byCaller ? { ended: "aborted" } : { ended: "failed", error: describeError(error) };
}

function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return String(error);
  const { name, message, cause } = error;
  const code = "code" in error ? error.code : undefined;
  return {
    name,
    message,
    ...(code === undefined ? {} : { code }),
    ...(cause === undefined ? {} : { cause: describeError(cause) }),
  };
}

function decode(chunks: readonly Uint8Array[]): string {
  const decoder = new TextDecoder();
  return chunks.map((chunk) => decoder.decode(chunk, { stream: true })).join("") + decoder.decode();
}
