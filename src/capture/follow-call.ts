/** From a call that is made, however it goes, to the trace that the sink gets. Loaded by those who trace calls. */
import type { TraceSink } from "../sink.ts";
import type { TraceInput } from "../trace.ts";
import type { CallEnding } from "../transcript.ts";
import { type CapturedCall, rawTrace } from "./call.ts";
import type { CallControl } from "./call-control.ts";
import { toEnding } from "./ending.ts";
import { logMarked } from "./mark-trace.ts";
import { loading, once, orElse, whenThere } from "./once.ts";
import type { ResolvedCaptureOptions } from "./options.ts";
import { type BodyEnding, type ObservedBody, unseen } from "./recording.ts";
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
  const { sink, captureErrors, maxResponseBytes } = settings;
  const loadReader = READERS[request.api];
  // While the call is under way, and not when its process may be about to end: then it is there, and nothing waits.
  loading(loadReader());
  const finish = ({ text, json, droppedBytes, tailText, ending: bodyEnding }: ObservedBody, status?: number) => {
    // Now, and not when the trace is built: when a body has broken, SDKs abort the signal themselves.
    const ending = toCallEnding(bodyEnding, request.signal);
    logMarked(sink, control, () =>
      whenThere(request.requestText, (requestText) => {
        const call = { requestText, responseText: text, responseJson: json, status, tailText, droppedBytes, ending };
        const read = () => whenThere(loadReader(), (toTrace) => toTrace(call));
        return orElse(read, () => rawTrace(call));
      }),
    );
  };
  let wire: Wire | undefined;
  return {
    tap(fetch, args) {
      const { requestText } = request;
      try {
        // Of any other call all that arrives is read at once.
        if (typeof requestText === "string" && requestText.includes('"stream":true')) wire = tapWire(fetch, args);
      } catch {
        // Arguments that cannot be read are for the real fetch to refuse.
      }
      return wire?.args ?? args;
    },
    respond(response) {
      const { status } = response;
      if (status >= 400 && !captureErrors) return response;
      const onEnd = (body: ObservedBody) => finish(body, status);
      // What arrives is not what is read then. Asked with a wire only: of others, a mock's response may have no headers.
      if (wire && response.headers.has("content-encoding")) wire.cut();
      return watchResponse(response, { maxBytes: maxResponseBytes, onEnd, signal: request.signal, sink, wire });
    },
    fail: (error) => finish(unseen({ how: "failed", error })),
  };
}

function toCallEnding(ending: BodyEnding, signal: AbortSignal | undefined): CallEnding | undefined {
  if (ending.how === "complete") return undefined;
  return ending.how === "cancelled" ? { ended: "aborted" } : toEnding(ending.error, signal);
}
