/** Watching a body that is a stream of Node's, as node-fetch gives it. */
import type { WatchOptions } from "./body-watch.ts";
import type { Bytes } from "./bytes.ts";
import { closeCall, openCall } from "./open-calls.ts";
import { type BodyEnding, COMPLETE, Recording } from "./recording.ts";

/** What we need of Node's `Readable`. */
export interface NodeStream extends AsyncIterable<unknown> {
  emit(event: string | symbol, ...values: unknown[]): boolean;
  destroy(error?: unknown): unknown;
}

export function isNodeStream(body: unknown): body is NodeStream {
  return typeof body === "object" && body !== null && "pipe" in body && "emit" in body;
}

/** Listening would set the stream flowing; looking at what it emits leaves its back-pressure as it is. */
export function watchNodeStream(body: NodeStream, { maxBytes, onEnd, sink }: WatchOptions): void {
  let record: Recording | undefined = new Recording(maxBytes);
  const end = (ending: BodyEnding) => {
    const ended = record;
    record = undefined;
    if (!ended) return;
    closeCall(call, sink);
    onEnd(ended.end(ending));
  };
  const call = { abandon: () => end({ how: "cancelled" }) };
  openCall(call, sink, body);
  const emit = body.emit;
  body.emit = function (this: NodeStream, event, ...values) {
    const [value] = values;
    if (event === "data") record?.add(typeof value === "string" ? new TextEncoder().encode(value) : (value as Bytes)); // what byte streams emit
    if (event === "end") end(COMPLETE);
    if (event === "error") end({ how: "failed", error: value });
    if (event === "close") end({ how: "cancelled" });
    return Reflect.apply(emit, this, [event, ...values]);
  };
}
