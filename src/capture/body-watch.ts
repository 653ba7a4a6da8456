/** Everything that is read of one body, by whichever way. */
import { inTask, type OpenCall, openCallsOf, type TraceSink } from "../sink.ts";
import { type Bytes, decode, isBytes } from "./bytes.ts";
import { closeCall, openCall } from "./open-calls.ts";
import { type BodyEnding, COMPLETE, type ObservedBody, type ReadBody, Recording, recordRead } from "./recording.ts";
import type { Wire } from "./wire.ts";

type Reader = ReadableStreamDefaultReader<Bytes>;
type Iterator = ReadableStreamAsyncIterator<Bytes>;
type Read = ReadableStreamReadResult<Bytes> | IteratorResult<Bytes>;

export interface WatchOptions {
  /** See {@link Recording}. */
  readonly maxBytes: number | undefined;
  /** Called once. Never, when nobody reads the body to an end. */
  readonly onEnd: (body: ObservedBody) => void;
  /** The caller's: an abort ends the call also when nobody is reading. */
  readonly signal?: AbortSignal | undefined;
  /** Who is told in the end: its `close()`, and the end of the process, end the call as well. */
  readonly sink: TraceSink;
  /** By which all of it arrives, as it is read. */
  readonly wire?: Wire | undefined;
  /** Where a watch puts itself, that is one of several of the same body. */
  readonly branches?: BodyWatch[];
}

export class BodyWatch implements OpenCall {
  /** Until the end: its stream may live on for long, and is not to hold what was said. */
  #options: WatchOptions | undefined;
  #record: Recording | undefined;
  #hasReader = false;
  #stopListening: (() => void) | undefined;
  /** Is what arrives recorded, and not what is read? Decided when reading begins. */
  #isWired: boolean | undefined;
  #readsUnderWay = 0;
  #endingSoon: BodyEnding | undefined;
  #branches: BodyWatch[] | undefined;

  /** Does what is read need no watching? */
  get isWired(): boolean {
    return this.#isWired ?? false;
  }

  constructor(options: WatchOptions) {
    this.#options = options;
    options.branches?.push(this);
    openCallsOf(options.sink)?.add(this); // and not only when it is opened: its sink may close in this very turn
  }

  /** Most bodies are over by then, which spares them this. The carrier is what is read: without it nothing is any more. */
  open(carrier: object): void {
    if (!this.#options) return;
    openCall(this, this.#options.sink, carrier);
    this.listen();
  }

  abandon(): void {
    this.end({ how: "cancelled" });
  }

  /** To the caller's signal, where no reader would hear of an abort. */
  listen(): void {
    const { signal } = this.#options ?? {};
    if (!signal || this.#hasReader || this.#stopListening) return;
    this.#stopListening = onAbort(signal, this);
  }

  #add(chunk: Bytes): void {
    if (this.#options) this.#recording(this.#options).add(chunk);
  }

  #recording(options: WatchOptions): Recording {
    this.#record ??= new Recording(options.maxBytes);
    return this.#record;
  }

  end(ending: BodyEnding): void {
    const options = this.#options;
    if (!options) return;
    const record = this.#recording(options);
    this.#stop();
    options.onEnd(record.end(ending));
  }

  /** Nothing is watched from now on. Gives back what only the first end is told: whom to tell. */
  #stop(): WatchOptions | undefined {
    const options = this.#options;
    this.#options = undefined;
    this.#record = undefined;
    this.#stopListening?.();
    this.#stopListening = undefined;
    if (options) closeCall(this, options.sink);
    options?.wire?.cut();
    return options;
  }

  /**
   * The options of two that watch in its stead, streams that give the same. The first that knows the end tells it to the
   * other, and of both the one that saw more is told.
   */
  split(): WatchOptions | undefined {
    const options = this.#stop();
    if (!options) return undefined;
    let other: ObservedBody | undefined;
    const onEnd = (body: ObservedBody) => {
      if (other) return options.onEnd({ ...(lengthOf(other) > lengthOf(body) ? other : body), ending: body.ending });
      other = body;
      if (body.ending.how !== "cancelled") this.endSoon(body.ending);
    };
    this.#branches = [];
    return { ...options, onEnd, branches: this.#branches };
  }

  /** As soon as what is being read has come. */
  endSoon(ending: BodyEnding): void {
    for (const branch of this.#branches ?? []) branch.endSoon(ending);
    if (this.#readsUnderWay === 0) this.end(ending);
    else this.#endingSoon ??= ending;
  }

  /** Is what arrives recorded from now on? */
  #flow(): boolean {
    const options = this.#options;
    return options?.wire?.flowTo(this.#recording(options)) ?? false;
  }

  /** Apart from the reader's methods: a reader may live on for long, and is not to hold what was sent. */
  #endWhen(closed: Promise<unknown>, fail: (error: unknown) => void): void {
    const wire = this.#options?.wire;
    closed.then(() => this.end(wire?.isOver ? COMPLETE : { how: "cancelled" }), fail);
  }

  /** The same reader, watched. */
  reader(reader: Reader): Reader {
    const { read, cancel, releaseLock } = reader;
    let isReleased = false;
    const fail = (error: unknown) => {
      // Reads under way fail when the lock is given back; the stream goes on.
      if (!isReleased) this.end({ how: "failed", error });
    };
    this.#isWired ??= this.#flow();
    // `closed` and not only `read()`: a stream breaks for its reader at once, also when nothing is being read.
    if (this.#isWired) this.#endWhen(reader.closed, fail);
    else reader.closed.catch(fail);
    this.#hasReader = true;
    const seen = this.#seen(fail);
    override(reader, {
      ...(!this.#isWired && { read: () => seen(read.call(reader)) }),
      cancel: (reason) => {
        if (!isReleased) this.end({ how: "cancelled" });
        return cancel.call(reader, reason);
      },
      releaseLock: () => {
        releaseLock.call(reader);
        if (isReleased) return;
        isReleased = true;
        this.#hasReader = false;
        this.listen();
      },
    });
    return reader;
  }

  /**
   * All that there is to read, as a response reads it for `text()` or `json()`. Nobody else reads it: its chunks need no
   * copies.
   */
  async whole<Value>(reader: Reader, make: (text: string) => Value): Promise<Value> {
    this.#hasReader = true;
    this.#stopListening?.(); // its reader hears of an abort, and only then knows all that came
    const chunks: Bytes[] = [];
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        if (!isBytes(value)) throw new TypeError("Received non-Uint8Array chunk"); // Node's words
        chunks.push(value);
      }
    } catch (error) {
      this.#endRead({ chunks, ending: { how: "failed", error } });
      throw error;
    }
    const text = decode(chunks);
    let value: Value | undefined;
    try {
      value = make(text);
      return value;
    } finally {
      this.#endRead({ chunks, text, value, ending: COMPLETE });
    }
  }

  #endRead(read: ReadBody): void {
    const options = this.#stop();
    options?.onEnd(recordRead(read, options.maxBytes));
  }

  /** The same iterator, watched. */
  iterator(iterator: Iterator, options: ReadableStreamIteratorOptions | undefined): Iterator {
    const { next, return: leave } = iterator;
    this.listen();
    if (!this.#isWired) this.#options?.wire?.cut(); // its end can only be seen by watching what is read
    const seen = this.#seen((error) => this.endSoon({ how: "failed", error }));
    override(iterator, {
      next: () => seen(next.call(iterator)),
      // It always has one; the type is that of any iterator.
      ...(leave && {
        return: (value) => {
          if (!options?.preventCancel) this.endSoon({ how: "cancelled" });
          return leave.call(iterator, value);
        },
      }),
    });
    return iterator;
  }

  /** Hands a read on as its own promise would be: an error that nobody handles stays unhandled. */
  #seen(fail: (error: unknown) => void) {
    const take = <Result extends Read>(result: Result): Result => {
      if (result.done) this.endSoon(COMPLETE);
      else if (!this.#isWired) this.#add(result.value);
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

const lengthOf = ({ text, droppedBytes }: ObservedBody) => text.length + droppedBytes;

/** Apart from the watch, and weakly: a signal that outlives many calls must not hold what was read in them. */
function onAbort(signal: AbortSignal, watch: BodyWatch): () => void {
  const weakly = new WeakRef(watch);
  const listener = () => weakly.deref()?.endSoon({ how: "failed", error: signal.reason });
  if (signal.aborted) listener();
  else signal.addEventListener("abort", listener);
  return () => signal.removeEventListener("abort", listener);
}

/** Watches of bodies that came in this turn of the event loop. */
let news: { readonly watch: BodyWatch; readonly carrier: object }[] = [];

export function openSoon(watch: BodyWatch, carrier: object): void {
  if (news.push({ watch, carrier }) > 1) return;
  inTask(() => {
    const watches = news;
    news = [];
    for (const { watch, carrier } of watches) watch.open(carrier);
  });
}

/** In fields that show as little as inherited methods do. */
function override<Target extends object>(target: Target, methods: Partial<Target>): void {
  for (const [name, value] of Object.entries(methods)) {
    Object.defineProperty(target, name, { value, configurable: true, writable: true });
  }
}
