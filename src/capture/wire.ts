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

/** With what {@link wireTo} puts on it. */
type Handler = Record<string, unknown> & { [wireKey]?: Wire; [listenerKey]?: Listener; [onDataKey]?: Told };

const wireKey = Symbol();
/** Who is told each chunk, besides. */
const listenerKey = Symbol();
/** Its own method, in whose place {@link tellData} stands. */
const onDataKey = Symbol();

/** Those that are told what arrives, and that all has: by undici from version 8 on (Node 26), and up to 7. */
const SINCE_8 = ["onResponseData", "onResponseEnd"] as const;
const UNTIL_7 = ["onData", "onComplete"] as const;

/** Undefined where what arrives cannot be seen. */
export function tapWire(fetch: unknown, [input, init]: FetchArguments): TappingDispatcher | undefined {
  // A `Request` may have a dispatcher of its own, which nobody can ask it for.
  if (!isNodeFetch(fetch) || typeof input !== "string" || !isPlain(init)) return undefined;
  const inner = init["dispatcher"] ?? globalDispatcher();
  return isDispatcher(inner) ? new TappingDispatcher(inner) : undefined;
}

/** The dispatcher of one call. */
export class TappingDispatcher implements Dispatcher {
  readonly #inner: Dispatcher;
  /** Of the last request: a redirect is followed by another one. */
  wire: Wire | undefined;

  constructor(inner: Dispatcher) {
    this.#inner = inner;
  }

  /** What `fetch` is to be called with. Not kept: a stream would hold the headers of its request. */
  tapped([input, init]: FetchArguments): FetchArguments {
    const tapped: RequestInit & { dispatcher: Dispatcher } = { ...init, dispatcher: this };
    return [input, tapped];
  }

  get isMockActive(): boolean {
    return this.#inner.isMockActive ?? false;
  }

  dispatch(options: unknown, handler: Handler): unknown {
    this.wire = wireTo(handler);
    return this.#inner.dispatch(options, handler);
  }
}

/** Undefined when this handler is told in a way that is not known, or is tapped already. */
function wireTo(handler: Handler): Wire | undefined {
  const [data, end] = SINCE_8[0] in handler ? SINCE_8 : UNTIL_7;
  const { [data]: onData, [end]: onEnd } = handler;
  if (!isTold(onData) || !isTold(onEnd) || handler[wireKey]) return undefined;
  // The same for all handlers, and no closures: see `FollowedCall`.
  handler[data] = tellData;
  handler[end] = tellEnd;
  // What each chunk needs stands on the handler itself: what has to be looked for elsewhere is cold by then.
  handler[onDataKey] = onData;
  const wire = new Wire(handler, onEnd);
  handler[listenerKey] = wire;
  handler[wireKey] = wire;
  return wire;
}

type Told = (first: unknown, second: unknown) => unknown;

const isTold = (method: unknown): method is Told => typeof method === "function";

// Not `...args`, which would make a list for each chunk. Of what both versions are told, the last is what counts.
function tellData(this: Handler, first: unknown, second: unknown): unknown {
  this[listenerKey]?.add((second ?? first) as Bytes);
  return this[onDataKey]?.(first, second);
}

function tellEnd(this: Handler, first: unknown, second: unknown): unknown {
  const wire = this[wireKey] as Wire; // set together with this
  wire.isOver = true;
  return wire.onEnd.call(this, first, second);
}

/** Who is told what arrives. */
interface Listener {
  add(chunk: Bytes): void;
}

const nobody: Listener = { add() {} };

/** What may arrive before anybody reads. Of more it is not known who will, and how. */
const MAX_EARLY_BYTES = 2 ** 18;

/** What arrives for one request. */
export class Wire implements Listener {
  readonly #handler: Handler;
  readonly onEnd: Told;
  /** Has all of it arrived? */
  isOver = false;
  /** What has arrived, while nobody is told. Undefined when that is not known. */
  #early: Bytes[] | undefined = [];
  #earlyBytes = 0;

  constructor(handler: Handler, onEnd: Told) {
    this.#handler = handler;
    this.onEnd = onEnd;
  }

  add(chunk: Bytes): void {
    this.#earlyBytes += chunk.byteLength;
    if (this.#earlyBytes > MAX_EARLY_BYTES) this.#early = undefined;
    this.#early?.push(chunk);
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
    this.#handler[listenerKey] = listener;
    return true;
  }

  /** All of it, if all has arrived, and nobody was told yet. */
  arrived(): readonly Bytes[] | undefined {
    return this.isOver ? this.#early : undefined;
  }

  /** What arrives is of no interest any more. */
  cut(): void {
    this.#early = undefined;
    this.#handler[listenerKey] = nobody;
  }
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
/** Not read by `Reflect.get`, which takes ten times as long to look anything up here. */
const realm: { readonly [key: symbol]: unknown } = globalThis;

/** The one that Node's `fetch` goes by. None before it was first called. */
export function globalDispatcher(): unknown {
  dispatcherKey ??= Symbol.for(
    `undici.globalDispatcher.${Number.parseInt(process.versions["undici"] ?? "", 10) < 8 ? 1 : 2}`,
  );
  return realm[dispatcherKey];
}

function isDispatcher(value: unknown): value is Dispatcher {
  return isObject(value) && typeof value["dispatch"] === "function";
}
