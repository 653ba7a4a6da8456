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
import { type BodyEnding, type ObservedBody, readAll, unseen } from "./recording.ts";
import type { Api, FetchArguments, MadeCall } from "./request.ts";
import { watchResponse } from "./response.ts";
import { tapWire, type Wire } from "./wire.ts";

export interface FollowedCall {
  /** What this `fetch` is to be called with instead, so that what arrives can be seen. */
  tap(fetch: unknown, args: FetchArguments): FetchArguments;
  /** The response that its caller gets, watched. */
  respond(response: Response): Response;
  /** No response came. */
  fail(error: unknown): void;
}

type FollowSettings = ResolvedCaptureOptions & { readonly sink: TraceSink };

type ToTrace = (call: CapturedCall) => TraceInput | Promise<TraceInput>;

const READERS: Readonly<Record<Api, () => ToTrace | Promise<ToTrace>>> = {
  "chat/completions": once(async () => (await import("./chat-completions.ts")).chatCompletionToTrace),
  responses: once(async () => (await import("./responses.ts")).responseToTrace),
  completions: once(async () => (await import("./completions.ts")).completionToTrace),
};

export function followCall(request: MadeCall, control: CallControl, settings: FollowSettings): FollowedCall {
  const { requestText, signal } = request;
  const { sink, captureErrors, maxResponseBytes: maxBytes } = settings;
  const loadReader = READERS[request.api];
  // While the call is under way, and not when its process may be about to end: then it is there, and nothing waits.
  loading(loadReader());
  const log = (recall: () => ObservedBody, ending?: CallEnding, status?: number) =>
    logMarked(sink, control, () =>
      whenThere(requestText, (requestText) => {
        const { text: responseText, json: responseJson, droppedBytes, tailText } = recall();
        const call = { requestText, responseText, responseJson, status, tailText, droppedBytes, ending };
        const read = () => whenThere(loadReader(), (toTrace) => toTrace(call));
        return orElse(read, () => rawTrace(call));
      }),
    );
  // How it ended is found out now, and not when the trace is built: of a body that breaks, SDKs abort the signal.
  const finish = (body: ObservedBody, status?: number) => log(() => body, toCallEnding(body.ending, signal), status);
  const isStream = typeof requestText === "string" && requestText.includes('"stream":true');
  let wire: Wire | undefined;
  return {
    tap(fetch, args) {
      try {
        if (typeof requestText === "string") wire = tapWire(fetch, args);
      } catch {
        // Arguments that cannot be read are for the real fetch to refuse.
      }
      return wire?.args ?? args;
    },
    respond(response) {
      const { status } = response;
      if (status >= 400 && !captureErrors) {
        wire?.cut();
        return response;
      }
      const arrived = isStream ? undefined : wire?.arrived();
      if (arrived && isJson(arrived)) {
        wire?.cut();
        log(() => readAll(arrived, maxBytes), undefined, status);
        return response;
      }
      // Of any other call that is no stream, all is read at once. And what is compressed arrives as nobody reads it. Its
      // headers are asked with a wire only: of others, a mock's response may have none.
      if (wire && (!isStream || response.headers.has("content-encoding"))) wire.cut();
      const onEnd = (body: ObservedBody) => finish(body, status);
      return watchResponse(response, { maxBytes, onEnd, signal, sink, wire });
    },
    fail: (error) => finish(unseen({ how: "failed", error })),
  };
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
