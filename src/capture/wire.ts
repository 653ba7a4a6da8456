/**
 * What arrives for a call, seen as it comes in from the network: that costs next to nothing, where watching the reads of
 * a stream costs a promise each. Only for Node's own `fetch`, which hands what it is given as `dispatcher` a handler.
 */
import { isObject } from "../json.ts";
import type { Bytes } from "./bytes.ts";
import type { FetchArguments } from "./request.ts";

/** What Node's `fetch` needs of a dispatcher (undici, docs/docs/api/Dispatcher.md). */
interface Dispatcher {
  readonly isMockActive?: boolean;
  dispatch(options: unknown, handler: Handler): unknown;
}

type Handler = Record<string, unknown> & { [tapKey]?: Tap };

/** On a handler: who else is told what it is told. */
const tapKey = Symbol();

/** Who is told what arrives. */
interface Listener {
  add(chunk: Bytes): void;
}

/** Those that are told what arrives, and that all has: by undici from version 8 on (Node 26), and up to 7. */
const METHODS = [
  ["onResponseData", "onResponseEnd"],
  ["onData", "onComplete"],
] as const;

/** What may arrive before anybody reads. Of more it is not known who will, and how. */
const MAX_EARLY_BYTES = 2 ** 18;

/** Undefined where what arrives cannot be seen. */
export function tapWire(fetch: unknown, [input, init]: FetchArguments): Wire | undefined {
  // A `Request` may have a dispatcher of its own, which nobody can ask it for.
  if (!isNodeFetch(fetch) || typeof input !== "string" || !isPlain(init)) return undefined;
  const inner = init["dispatcher"] ?? globalDispatcher();
  return isDispatcher(inner) ? new Wire(inner, input, init) : undefined;
}

/** The dispatcher of one call. One object for all that is to be known of it: each more would cost every call. */
export class Wire implements Dispatcher {
  /** What `fetch` is to be called with. */
  readonly args: FetchArguments;
  readonly #inner: Dispatcher;
  /** Of the last request: a redirect is followed by another one. */
  #last: Tap | undefined;
  /** What has arrived, while nobody is told. Undefined when that is not known. */
  #early: Bytes[] | undefined;
  #earlyBytes = 0;
  #isOver = false;
  #listener: Listener | undefined;

  constructor(inner: Dispatcher, input: string, init: Record<string, unknown>) {
    this.#inner = inner;
    const tapped: RequestInit & { dispatcher: Dispatcher } = { ...init, dispatcher: this };
    this.args = [input, tapped];
  }

  get isMockActive(): boolean {
    return this.#inner.isMockActive ?? false;
  }

  dispatch(options: unknown, handler: Handler): unknown {
    this.#last = tap(handler, this);
    this.#early = this.#last && [];
    this.#isOver = false;
    this.#earlyBytes = 0;
    return this.#inner.dispatch(options, handler);
  }

  /** Of one of its requests, this has arrived. */
  hear(tap: Tap, chunk: Bytes): void {
    if (tap !== this.#last) return;
    if (this.#listener) {
      this.#listener.add(chunk);
      return;
    }
    this.#earlyBytes += chunk.byteLength;
    if (this.#earlyBytes > MAX_EARLY_BYTES) this.#early = undefined;
    this.#early?.push(chunk);
  }

  /** Of one of its requests, all has arrived. */
  hearEnd(tap: Tap): void {
    this.#isOver ||= tap === this.#last;
  }

  /**
   * Tells everything that has arrived, and everything that will.
   *
   * @returns false when not everything is known; nothing is told then.
   */
  flowTo(listener: Listener): boolean {
    const known = this.#early;
    this.#early = undefined;
    if (!known) return false;
    for (const chunk of known) listener.add(chunk);
    this.#listener = listener;
    return true;
  }

  /** Has all of it arrived? */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** All of it, if all has arrived, and nobody was told yet. */
  arrived(): readonly Bytes[] | undefined {
    return this.#isOver ? this.#early : undefined;
  }

  /** What arrives is of no interest any more. */
  cut(): void {
    this.#early = undefined;
    this.#listener = nobody;
  }
}

const nobody: Listener = { add() {} };

type Told = (first: unknown, second: unknown) => unknown;

/** Between a handler and whoever tells it what arrives. */
interface Tap {
  readonly wire: Wire;
  readonly onData: Told;
  readonly onEnd: Told;
}

/** Undefined when this handler is told in a way that is not known, or is tapped already. */
function tap(handler: Handler, wire: Wire): Tap | undefined {
  for (const [data, end] of METHODS) {
    const { [data]: onData, [end]: onEnd } = handler;
    if (!isTold(onData) || !isTold(onEnd) || handler[tapKey]) continue;
    // The same for all handlers, and no closures: see `FollowedCall`.
    handler[data] = tellData;
    handler[end] = tellEnd;
    handler[tapKey] = { wire, onData, onEnd };
    return handler[tapKey];
  }
  return undefined;
}

const isTold = (method: unknown): method is Told => typeof method === "function";

// Not `...args`, which would make a list for each chunk. Of what both versions are told, the last is what counts.
function tellData(this: Handler, first: unknown, second: unknown): unknown {
  const by = this[tapKey] as Tap; // set together with this
  by.wire.hear(by, (second ?? first) as Bytes);
  return by.onData.call(this, first, second);
}

function tellEnd(this: Handler, first: unknown, second: unknown): unknown {
  const by = this[tapKey] as Tap;
  by.wire.hearEnd(by);
  return by.onEnd.call(this, first, second);
}

let nodeFetch: unknown;

/** By its source: any other may mind what it is called with, and make something else of what arrives. */
export function isNodeFetch(fetch: unknown): boolean {
  if (fetch === nodeFetch) return true;
  const isIt = typeof fetch === "function" && Function.prototype.toString.call(fetch).includes("internal/deps/undici");
  if (isIt) nodeFetch = fetch;
  return isIt;
}

function isPlain(init: unknown): init is Record<string, unknown> {
  return isObject(init) && Object.getPrototypeOf(init) === Object.prototype;
}

let dispatcherKey: symbol | undefined;

/** The one that Node's `fetch` goes by. None before it was first called. */
export function globalDispatcher(): unknown {
  dispatcherKey ??= Symbol.for(`undici.globalDispatcher.${undiciVersion() < 8 ? 1 : 2}`);
  return Reflect.get(globalThis, dispatcherKey);
}

function undiciVersion(): number {
  return Number.parseInt(process.versions["undici"] ?? "", 10);
}

function isDispatcher(value: unknown): value is Dispatcher {
  return isObject(value) && typeof value["dispatch"] === "function";
}
