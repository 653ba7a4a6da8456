/** From a call that is made, however it goes, to the trace that the sink gets. Loaded by those who trace calls. */
import type { TraceSink } from "../sink.ts";
import type { TraceInput } from "../trace.ts";
import type { CallEnding } from "../transcript.ts";
import type { Bytes } from "./bytes.ts";
import { type CapturedCall, rawTrace } from "./call.ts";
import type { CallControl } from "./call-control.ts";
import { toEnding } from "./ending.ts";
import { logMarked } from "./mark-trace.ts";
import { loading, once, orElse, whenThere } from "./once.ts";
import type { ResolvedCaptureOptions } from "./options.ts";
import { type BodyEnding, COMPLETE, type ObservedBody, recordRead, unseen } from "./recording.ts";
import type { Api, FetchArguments, MadeCall } from "./request.ts";
import { watchResponse } from "./response.ts";
import { type TappingDispatcher, tapWire } from "./wire.ts";

type FollowSettings = ResolvedCaptureOptions & { readonly sink: TraceSink };

type ToTrace = (call: CapturedCall) => TraceInput | Promise<TraceInput>;

const READERS: Readonly<Record<Api, () => ToTrace | Promise<ToTrace>>> = {
  "chat/completions": once(async () => (await import("./chat-completions.ts")).chatCompletionToTrace),
  responses: once(async () => (await import("./responses.ts")).responseToTrace),
  completions: once(async () => (await import("./completions.ts")).completionToTrace),
};

/**
 * A call under way. Of methods, and not of closures: V8 forgets what it compiled of closures with the last of them, so
 * that those made for each call never get far.
 */
export class FollowedCall {
  readonly #request: MadeCall;
  readonly #control: CallControl;
  readonly #settings: FollowSettings;
  #dispatcher: TappingDispatcher | undefined;

  constructor(request: MadeCall, control: CallControl, settings: FollowSettings) {
    this.#request = request;
    this.#control = control;
    this.#settings = settings;
    // While the call is under way, and not when its process may be about to end: then it is there, and nothing waits.
    loading(READERS[request.api]());
  }

  /** What this `fetch` is to be called with instead, so that what arrives can be seen. */
  tap(fetch: unknown, args: FetchArguments): FetchArguments {
    try {
      if (typeof this.#request.requestText === "string") this.#dispatcher = tapWire(fetch, args);
      return this.#dispatcher?.tapped(args) ?? args;
    } catch {
      return args; // what cannot be read is for the real fetch to refuse
    }
  }

  /** The response that its caller gets, watched. */
  respond(response: Response): Response {
    const { status } = response;
    const wire = this.#dispatcher?.wire;
    const { requestText, signal } = this.#request;
    const { sink, captureErrors, maxResponseBytes: maxBytes } = this.#settings;
    if (status >= 400 && !captureErrors) {
      wire?.cut();
      return response;
    }
    const arrived = wire?.arrived();
    if (arrived && isJson(arrived)) {
      wire?.cut();
      // Read at once: until the trace is built it would be cold, and hold the memory that it came in.
      this.#log(recordRead({ chunks: arrived, ending: COMPLETE }, maxBytes), undefined, status);
      return response;
    }
    const isStream = String(requestText).includes('"stream":true');
    // Of any other call that is no stream, all is read at once. And what is compressed arrives as nobody reads it. Its
    // headers are asked with a wire only: of others, a mock's response may have none.
    if (wire && (!isStream || response.headers.has("content-encoding"))) wire.cut();
    const onEnd = (body: ObservedBody) => this.#finish(body, status);
    return watchResponse(response, { maxBytes, onEnd, signal, sink, wire });
  }

  /** No response came. */
  fail(error: unknown): void {
    if (this.#settings.captureErrors) this.#finish(unseen({ how: "failed", error }));
  }

  #finish(body: ObservedBody, status?: number): void {
    // How it ended is found out now, and not when the trace is built: of a body that breaks, SDKs abort the signal.
    this.#log(body, toCallEnding(body.ending, this.#request.signal), status);
  }

  /** What waits to be built holds what was said, and nothing of this call: that would hold all that `fetch` has made. */
  #log(body: ObservedBody, ending: CallEnding | undefined, status: number | undefined): void {
    const { api, requestText } = this.#request;
    logMarked(this.#settings.sink, this.#control, toBuild({ api, requestText, body, ending, status }));
  }
}

interface EndedCall extends Pick<MadeCall, "api" | "requestText">, Pick<CapturedCall, "ending" | "status"> {
  readonly body: ObservedBody;
}

const toBuild = (call: EndedCall) => () => whenThere(call.requestText, (requestText) => buildTrace(call, requestText));

function buildTrace(
  { api, body, status, ending }: EndedCall,
  requestText: string | undefined,
): TraceInput | Promise<TraceInput> {
  const { text: responseText, json: responseJson, droppedBytes, tailText } = body;
  const call = { requestText, responseText, responseJson, status, tailText, droppedBytes, ending };
  const read = () => whenThere(READERS[api](), (toTrace) => toTrace(call));
  return orElse(read, () => rawTrace(call));
}

const BRACE = "{".charCodeAt(0);

/** Then it is not compressed: whatever begins so is empty as Brotli (RFC 7932, section 9.1), and none of the others. */
function isJson([first]: readonly Bytes[]): boolean {
  return first?.[0] === BRACE;
}

function toCallEnding(ending: BodyEnding, signal: AbortSignal | undefined): CallEnding | undefined {
  if (ending.how === "complete") return undefined;
  return ending.how === "cancelled" ? { ended: "aborted" } : toEnding(ending.error, signal);
}
