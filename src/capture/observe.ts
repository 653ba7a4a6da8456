/** Watching a response body go by: its reader notices nothing, and pays next to nothing. */
import { type BodyEnding, type ObserveOptions, type Recording, startRecording } from "./recording.ts";

type Bytes = Uint8Array<ArrayBuffer>;
type Body = ReadableStream<Bytes>;
type Reader = ReadableStreamDefaultReader<Bytes>;
type Iterator = ReadableStreamAsyncIterator<Bytes>;
type Read = ReadableStreamReadResult<Bytes> | IteratorResult<Bytes>;

export type WatchOptions = ObserveOptions & {
  /** The caller's: an abort ends the call also when nobody is reading. */
  readonly signal?: AbortSignal | undefined;
};

/**
 * Looks over the shoulder of whoever reads this stream. Its own methods do all the work, so that back-pressure,
 * cancellation and errors are what they would be, and no second stream costs its share of each chunk. Only ways of
 * reading that show no chunks (`tee`, pipes, readers that bring a buffer) are served by another stream, which reads
 * this one; made when one of them is used.
 *
 * @returns takes that other stream: for what would read the body by no method that can be seen.
 */
export function observeWebStream(body: Body, options: WatchOptions): () => Body {
  const watch = new BodyWatch(options);
  const { getReader, values, cancel } = body;
  let relay: Body | undefined;
  /** The stream that a method is to be called on; a locked one says itself that it is. */
  const detour = (): Body => {
    if (!relay && !body.locked) {
      const isByteStream = supportsByob(body, getReader);
      relay = relayOf(watch.reader(Reflect.apply(getReader, body, []) as Reader), isByteStream); // the default mode's
    }
    return relay ?? body;
  };
  const detoured = (name: "tee" | "pipeTo" | "pipeThrough") => {
    const own: CallableFunction = body[name];
    return (...args: unknown[]) => {
      const stream = detour();
      return Reflect.apply(stream === body ? own : stream[name], stream, args);
    };
  };
  const iterate = (how?: ReadableStreamIteratorOptions) =>
    relay ? relay.values(how) : watch.iterator(Reflect.apply(values, body, [how]), how);
  define(body, {
    getReader(how?: ReadableStreamGetReaderOptions) {
      if (relay) return relay.getReader(how);
      const reader = Reflect.apply(getReader, body, [how]);
      if (!how?.mode) return watch.reader(reader as Reader); // of the default mode
      reader.releaseLock();
      return detour().getReader(how);
    },
    values: iterate,
    [Symbol.asyncIterator]: iterate,
    cancel(reason: unknown) {
      if (relay) return relay.cancel(reason);
      if (!body.locked) watch.end({ how: "cancelled" });
      return Reflect.apply(cancel, body, [reason]);
    },
    tee: detoured("tee"),
    pipeTo: detoured("pipeTo"),
    pipeThrough: detoured("pipeThrough"),
  });
  const isLocked = Reflect.get.bind(undefined, Object.getPrototypeOf(body), "locked", body);
  Object.defineProperty(body, "locked", { get: () => relay?.locked ?? isLocked(), configurable: true });
  return detour;
}

/**
 * Whether the methods of this class of response read their body by the public methods of its stream, as Node's do:
 * elsewhere what they read would not be seen.
 */
export function readsInTheOpen(response: Response): boolean {
  const Class = response.constructor as typeof Response; // what `instanceof` tells its user
  const known = inTheOpen.get(Class);
  if (known !== undefined) return known;
  let isOpen = false;
  const probe = new ReadableStream();
  const getReader = () => {
    isOpen = true;
    throw new Error("only a probe");
  };
  define(probe, { getReader });
  new Class(probe).text().catch(() => {});
  inTheOpen.set(Class, isOpen);
  return isOpen;
}

const inTheOpen = new WeakMap<typeof Response, boolean>();

/** Everything that is read of one body, by whichever way. */
class BodyWatch {
  readonly #record: Recording;
  readonly #stopListening: () => void;
  #readsUnderWay = 0;
  #endingSoon: BodyEnding | undefined;

  constructor({ signal, maxBytes, onEnd }: WatchOptions) {
    this.#stopListening = onAbort(signal, this);
    this.#record = startRecording({ maxBytes, onEnd });
  }

  end(ending: BodyEnding): void {
    this.#stopListening();
    this.#record.end(ending);
  }

  /** As soon as what is being read has come. */
  endSoon(ending: BodyEnding): void {
    if (this.#readsUnderWay === 0) this.end(ending);
    else this.#endingSoon ??= ending;
  }

  reader(reader: Reader): Reader {
    const { read, cancel, releaseLock } = reader;
    let isReleased = false;
    const fail = (error: unknown) => {
      // Reads under way fail when the lock is given back; the stream goes on.
      if (!isReleased) this.end({ how: "failed", error });
    };
    // `closed` and not only `read()`: a stream breaks for its reader at once, also when nothing is being read.
    reader.closed.catch(fail);
    const seen = this.#seen(fail);
    define(reader, {
      read: () => seen(Reflect.apply(read, reader, [])),
      cancel: (reason: unknown) => {
        if (!isReleased) this.end({ how: "cancelled" });
        return Reflect.apply(cancel, reader, [reason]);
      },
      releaseLock: () => {
        Reflect.apply(releaseLock, reader, []);
        isReleased = true;
      },
    });
    return reader;
  }

  iterator(iterator: Iterator, how: ReadableStreamIteratorOptions | undefined): Iterator {
    const { next, return: leave } = iterator;
    const seen = this.#seen((error) => this.end({ how: "failed", error }));
    define(iterator, {
      next: () => seen(Reflect.apply(next, iterator, [])),
      return: (value: unknown) => {
        if (!how?.preventCancel) this.endSoon({ how: "cancelled" });
        return Reflect.apply(leave ?? next, iterator, [value]);
      },
    });
    return iterator;
  }

  /** Hands a read on as its own promise would be: an error that nobody handles stays unhandled. */
  #seen(fail: (error: unknown) => void) {
    const take = <Result extends Read>(result: Result): Result => {
      if (result.done) this.end({ how: "complete" });
      else this.#record.add(result.value);
      this.#settle();
      return result;
    };
    const refuse = (error: unknown): never => {
      fail(error);
      this.#settle();
      throw error;
    };
    return <Result extends Read>(read: Promise<Result>): Promise<Result> => {
      this.#readsUnderWay++;
      return read.then(take<Result>, refuse);
    };
  }

  #settle() {
    this.#readsUnderWay--;
    if (this.#endingSoon) this.endSoon(this.#endingSoon);
  }
}

/** Apart from the watch, and weakly: a signal that outlives many calls must not hold what was read in them. */
function onAbort(signal: AbortSignal | undefined, watch: BodyWatch): () => void {
  const weakly = new WeakRef(watch);
  const listener = () => weakly.deref()?.endSoon({ how: "failed", error: signal?.reason });
  signal?.addEventListener("abort", listener);
  return () => signal?.removeEventListener("abort", listener);
}

/** The same stream once more, reading when it is read itself, and not before. */
function relayOf(reader: Reader, isByteStream: boolean): Body {
  const source = {
    start(controller: ReadableStreamController<Bytes>) {
      reader.closed.catch((error: unknown) => controller.error(error));
    },
    async pull(controller: ReadableStreamController<Bytes>) {
      const { done, value } = await reader.read();
      if (!done) return controller.enqueue(value);
      controller.close();
      if ("byobRequest" in controller) controller.byobRequest?.respond(0);
    },
    cancel: (reason: unknown) => reader.cancel(reason),
  };
  return isByteStream
    ? new ReadableStream({ ...source, type: "bytes" })
    : new ReadableStream(source, { highWaterMark: 0 });
}

function supportsByob(stream: Body, getReader: Body["getReader"]): boolean {
  try {
    Reflect.apply(getReader, stream, [{ mode: "byob" }]).releaseLock();
    return true;
  } catch {
    return false;
  }
}

/** Own properties that show as little as inherited ones do. */
function define(object: object, values: Record<string | symbol, unknown>): void {
  for (const key of Reflect.ownKeys(values)) {
    Object.defineProperty(object, key, { value: values[key], configurable: true, writable: true });
  }
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
