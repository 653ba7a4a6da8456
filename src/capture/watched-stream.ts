/** Looking over the shoulder of whoever reads a web stream, who notices nothing, and pays next to nothing. */

import { BodyWatch, openSoon, type WatchOptions } from "./body-watch.ts";
import type { Bytes } from "./bytes.ts";
import { passForParent, ReadyMade, turnInto } from "./turn-into.ts";

type Reader = ReadableStreamDefaultReader<Bytes>;
export type ByteStream = ReadableStream<Bytes>;

/** What is known of a stream. */
interface Watched {
  readonly watch: BodyWatch;
  /** Another stream that has taken its place. */
  relay?: ByteStream;
}

class Known extends ReadyMade {
  readonly #known: Watched;

  constructor(stream: ByteStream, known: Watched) {
    super(stream);
    this.#known = known;
  }

  static of(stream: ByteStream): Watched | undefined {
    return #known in stream ? stream.#known : undefined;
  }
}

const { getReader } = ReadableStream.prototype;

/** By the class's own method, which does not look whether a stream is watched. */
function readerOf(stream: ByteStream): Reader {
  return Reflect.apply(getReader, stream, []) as Reader; // of the default mode
}

/**
 * Watch what is read of this stream. Its own methods do all the work, so that back-pressure, cancellation and errors
 * are what they would be, and no second stream costs its share of each chunk.
 *
 * @returns false for a stream of some other class; nothing is watched then.
 */
export function watchStream(stream: ByteStream, options: WatchOptions): boolean {
  if (!turnInto(stream, WatchedStream)) return false;
  const watch = new BodyWatch(options);
  new Known(stream, { watch });
  openSoon(watch, stream);
  return true;
}

/**
 * Watch the two streams that one was made into by no method of it.
 *
 * @returns false when there is nothing to do: the one has ended, or a relay in its place is read by both.
 */
export function watchBranches(stream: ByteStream, branches: readonly ByteStream[]): boolean {
  const known = Known.of(stream);
  const options = known?.relay ? undefined : known?.watch.split();
  return options !== undefined && branches.every((branch) => watchStream(branch, options));
}

/** What is made of all the text of a watched stream that nobody has begun to read. Undefined for any other. */
export function readWhole<Value>(stream: ByteStream, make: (text: string) => Value): Promise<Value> | undefined {
  const known = Known.of(stream);
  return known && !known.relay ? known.watch.whole(readerOf(stream), make) : undefined;
}

/** Another stream that reads this one and is watched: for what would read this one by no method that can be seen. */
export function relayWatched(stream: ByteStream, options: WatchOptions): ByteStream {
  const isByteStream = canTakeBuffers(stream);
  const watch = new BodyWatch(options);
  const relay = relayOf(watch.reader(stream.getReader()), isByteStream);
  openSoon(watch, relay);
  return relay;
}

/**
 * The methods of a watched stream. Those that show no chunks (`tee`, pipes, readers that bring a buffer) are called on
 * another stream, which reads this one and takes its place from then on.
 */
class WatchedStream extends ReadableStream<Bytes> {
  override get locked(): boolean {
    return Known.of(this)?.relay?.locked ?? super.locked;
  }

  override getReader(options: { mode: "byob" }): ReadableStreamBYOBReader;
  override getReader(): Reader;
  override getReader(options?: ReadableStreamGetReaderOptions): ReadableStreamReader<Bytes>;
  override getReader(options?: ReadableStreamGetReaderOptions): ReadableStreamReader<Bytes> {
    const { watch, relay } = Known.of(this) ?? {};
    if (relay) return relay.getReader(options);
    const reader = super.getReader(options);
    if (!options?.mode) return watch ? watchReader(watch, reader as Reader) : reader; // of the default mode
    reader.releaseLock();
    return (takePlace(this) ?? this).getReader(options);
  }

  override values(options?: ReadableStreamIteratorOptions): ReadableStreamAsyncIterator<Bytes> {
    const { watch, relay } = Known.of(this) ?? {};
    if (relay) return relay.values(options);
    const iterator = super.values(options);
    return watch?.iterator(iterator, options) ?? iterator;
  }

  override [Symbol.asyncIterator](options?: ReadableStreamIteratorOptions): ReadableStreamAsyncIterator<Bytes> {
    return this.values(options);
  }

  override cancel(reason?: unknown): Promise<void> {
    const { watch, relay } = Known.of(this) ?? {};
    if (relay) return relay.cancel(reason);
    if (!super.locked) watch?.end({ how: "cancelled" });
    return super.cancel(reason);
  }

  override tee(): [ByteStream, ByteStream] {
    return takePlace(this)?.tee() ?? super.tee();
  }

  override pipeTo(...args: Parameters<ByteStream["pipeTo"]>): Promise<void> {
    return takePlace(this)?.pipeTo(...args) ?? super.pipeTo(...args);
  }

  override pipeThrough<Piece>(
    through: ReadableWritablePair<Piece, Bytes>,
    options?: StreamPipeOptions,
  ): ReadableStream<Piece> {
    return takePlace(this)?.pipeThrough(through, options) ?? super.pipeThrough(through, options);
  }
}

passForParent(WatchedStream);

/** The stream that is to be used instead; none for a locked one, which is left to say so itself. */
function takePlace(stream: ByteStream): ByteStream | undefined {
  const known = Known.of(stream);
  if (!known || known.relay || stream.locked) return known?.relay;
  const isByteStream = canTakeBuffers(stream);
  known.relay = relayOf(known.watch.reader(readerOf(stream)), isByteStream);
  return known.relay;
}

function watchReader(watch: BodyWatch, reader: Reader): Reader {
  const watched = watch.reader(reader);
  return watch.isWired ? watched : showReads(watched);
}

/**
 * A reader that does by this one what is asked of its methods. It is one of another stream, which reads this one too: so
 * does `Readable.fromWeb` from Node 26 on, which takes a reader and calls no method of it.
 */
function showReads(reader: Reader): Reader {
  // As changeable as methods are: another watch may come on top of this one.
  const field = (value: unknown) => ({ value, configurable: true, writable: true });
  return Object.defineProperties(relayOf(reader, false).getReader(), {
    closed: { get: () => reader.closed, configurable: true },
    read: field(() => reader.read()),
    cancel: field((reason: unknown) => reader.cancel(reason)),
    releaseLock: field(() => reader.releaseLock()),
  });
}

/** The same once more, reading when it is read itself, and not before. */
function relayOf(reader: Reader, isByteStream: boolean): ByteStream {
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

function canTakeBuffers(stream: ByteStream): boolean {
  try {
    // By the method of the class: a watched stream's own would make this very stream.
    Reflect.apply(getReader, stream, [{ mode: "byob" }]).releaseLock();
    return true;
  } catch {
    return false;
  }
}
