/** Watching a response body go by: what passed, and how it ended. The reader of it notices nothing. */

/** How a body ended: read to its end, given up by its reader, or broken. */
export type BodyEnding =
  | { readonly how: "complete" }
  | { readonly how: "cancelled" }
  | { readonly how: "failed"; readonly error: unknown };

/** What passed. */
export interface ObservedBody {
  readonly chunks: readonly Uint8Array[];
  /** Bytes that passed but were not kept, because of `maxBytes`. */
  readonly droppedBytes: number;
  /** What came last, when bytes were dropped before it. */
  readonly tail: readonly Uint8Array[];
  readonly ending: BodyEnding;
}

export interface ObserveOptions {
  /** How many bytes to keep: the first ones and the last ones, half and half. */
  readonly maxBytes: number;
  /** Called once. Never, when nobody reads the body to an end. */
  readonly onEnd: (body: ObservedBody) => void;
}

interface Recording {
  add(chunk: Uint8Array): void;
  end(ending: BodyEnding): void;
}

function startRecording({ maxBytes, onEnd }: ObserveOptions): Recording {
  const maxTailBytes = Math.floor(maxBytes / 2);
  const chunks: Uint8Array[] = [];
  const tail = keepLast(maxTailBytes);
  let room = maxBytes - maxTailBytes;
  let ended = false;
  return {
    add(chunk) {
      const fitting = Math.min(room, chunk.byteLength);
      room -= fitting;
      if (fitting === chunk.byteLength) chunks.push(chunk);
      else if (fitting === 0) tail.add(chunk);
      else {
        chunks.push(chunk.slice(0, fitting));
        tail.add(chunk.slice(fitting));
      }
    },
    end(ending) {
      if (ended) return;
      ended = true;
      const { droppedBytes, kept } = tail.end();
      const isWhole = droppedBytes === 0;
      onEnd({ chunks: isWhole ? [...chunks, ...kept] : chunks, droppedBytes, tail: isWhole ? [] : kept, ending });
    },
  };
}

/** The last bytes, no more than this, in the chunks they came in. */
function keepLast(maxBytes: number) {
  let chunks: Uint8Array[] = [];
  let first = 0;
  let bytes = 0;
  let droppedBytes = 0;
  return {
    add(chunk: Uint8Array) {
      chunks.push(chunk);
      bytes += chunk.byteLength;
      while (bytes > maxBytes) {
        const oldest = chunks[first] ?? NOTHING;
        const dropped = Math.min(bytes - maxBytes, oldest.byteLength);
        bytes -= dropped;
        droppedBytes += dropped;
        // A copy of what is left of a huge one, so that it is freed. The list itself is cut only now and then: that moves
        // all of it.
        if (dropped < oldest.byteLength) chunks[first] = oldest.slice(dropped);
        else chunks[first++] = NOTHING;
      }
      if (first > 1024 && first > chunks.length / 2) {
        chunks = chunks.slice(first);
        first = 0;
      }
    },
    end: () => ({ droppedBytes, kept: chunks.slice(first) }),
  };
}

const NOTHING = new Uint8Array();

/**
 * A stream that reads `response.body` when it is read itself, and not before: back-pressure, cancellation and errors
 * pass unchanged. The reader is taken on first use, and the response held until then, because a fetch implementation
 * cancels the unlocked body of a response that was garbage collected, and should do so when ours was.
 *
 * @param options.signal the caller's: an abort before the first read ends the call too.
 */
export function observeWebStream(
  response: { readonly body: ReadableStream<Uint8Array> },
  options: ObserveOptions & { readonly signal?: AbortSignal | undefined },
): ReadableStream<Uint8Array> {
  const isByteStream = supportsByob(response.body);
  const { signal } = options;
  const onEnd = (body: ObservedBody) => {
    signal?.removeEventListener("abort", onAbort);
    options.onEnd(body);
  };
  const record = startRecording({ ...options, onEnd });
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  let start = () => {};

  const source = {
    start(controller: ReadableStreamDefaultController<Uint8Array>) {
      start = () => {
        if (reader) return;
        reader = response.body.getReader();
        // `closed` and not `read()`: a stream breaks for its reader at once, also when nothing is being read.
        reader.closed.catch((error: unknown) => {
          record.end({ how: "failed", error });
          controller.error(error);
        });
      };
    },
    async pull(controller: ReadableStreamDefaultController<Uint8Array>) {
      start();
      const { done, value } = (await reader?.read()) ?? { done: true };
      if (!done) {
        // Enqueueing to a byte stream detaches the chunk's buffer: keep a copy.
        record.add(isByteStream ? value.slice() : value);
        controller.enqueue(value);
        return;
      }
      record.end({ how: "complete" });
      controller.close();
      if ("byobRequest" in controller) (controller as ReadableByteStreamController).byobRequest?.respond(0); // `in` has proven it
    },
    cancel(reason: unknown) {
      record.end({ how: "cancelled" });
      start();
      return reader?.cancel(reason);
    },
  };
  const observed = isByteStream
    ? new ReadableStream({ ...source, type: "bytes" } as UnderlyingByteSource) // both kinds of controller do what `source` asks of them
    : new ReadableStream(source, { highWaterMark: 0 });
  // Weakly: a signal that outlives many calls must not hold their responses.
  const weakStart = new WeakRef(start);
  const onAbort = () => weakStart.deref()?.();
  signal?.addEventListener("abort", onAbort, { once: true });
  return observed;
}

/** What we need of Node's `Readable`, which node-fetch gives as the body of a response. */
export interface NodeStream {
  emit(event: string | symbol, ...values: unknown[]): boolean;
}

export function isNodeStream(body: unknown): body is NodeStream {
  return typeof body === "object" && body !== null && "pipe" in body && "emit" in body;
}

/** Listening would set the stream flowing; looking at what it emits leaves its back-pressure as it is. */
export function observeNodeStream(body: NodeStream, options: ObserveOptions): void {
  const record = startRecording(options);
  const emit = body.emit;
  body.emit = function (this: NodeStream, event, ...values) {
    const [value] = values;
    if (event === "data")
      record.add(typeof value === "string" ? new TextEncoder().encode(value) : (value as Uint8Array)); // what byte streams emit
    if (event === "end") record.end({ how: "complete" });
    if (event === "error") record.end({ how: "failed", error: value });
    if (event === "close") record.end({ how: "cancelled" });
    return Reflect.apply(emit, this, [event, ...values]);
  };
}

function supportsByob(stream: ReadableStream<Uint8Array>): boolean {
  try {
    stream.getReader({ mode: "byob" }).releaseLock();
    return true;
  } catch {
    return false;
  }
}
