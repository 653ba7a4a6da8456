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

/** Methods that are told, with the chunk that arrived last of their arguments. */
type Handler = Record<string, unknown>;

/** By undici from version 8 on (Node 26), and up to 7. */
const DATA = ["onResponseData", "onData"];
const END = ["onResponseEnd", "onComplete"];

/** What may arrive before anybody reads. Of more it is not known who will, and how. */
const MAX_EARLY_BYTES = 2 ** 18;

export interface Wire {
  /** What `fetch` is to be called with. */
  readonly args: FetchArguments;
  /**
   * Tells everything that has arrived, and everything that will.
   *
   * @returns false when not everything is known; nothing is told then.
   */
  flowTo(take: (chunk: Bytes) => void): boolean;
  /** Has all of it arrived? */
  readonly isOver: boolean;
  /** What arrives is of no interest any more. */
  cut(): void;
}

/** Undefined where what arrives cannot be seen. */
export function tapWire(fetch: unknown, [input, init]: FetchArguments): Wire | undefined {
  // A `Request` may have a dispatcher of its own, which nobody can ask it for.
  if (!isNodeFetch(fetch) || typeof input !== "string" || !isPlain(init)) return undefined;
  const inner = init["dispatcher"] ?? globalDispatcher();
  if (!isDispatcher(inner)) return undefined;
  let early: Bytes[] | undefined;
  let earlyBytes = 0;
  let isOver = false;
  let last: Handler | undefined;
  let take = keepEarly;
  function keepEarly(chunk: Bytes) {
    earlyBytes += chunk.byteLength;
    if (earlyBytes > MAX_EARLY_BYTES) early = undefined;
    early?.push(chunk);
  }
  const dispatcher: Dispatcher = {
    get isMockActive() {
      return inner.isMockActive ?? false;
    },
    dispatch(options, handler) {
      // Anew for each request: a redirect is followed by another one.
      last = handler;
      const isHeard =
        listen(handler, DATA, (chunk) => handler === last && take(chunk)) &&
        listen(handler, END, () => {
          isOver ||= handler === last;
        });
      early = isHeard ? [] : undefined;
      isOver = false;
      earlyBytes = 0;
      return inner.dispatch(options, handler);
    },
  };
  const tapped: RequestInit & { dispatcher: Dispatcher } = { ...init, dispatcher };
  return {
    args: [input, tapped],
    flowTo(taker) {
      const known = early;
      early = undefined;
      if (!known) return false;
      for (const chunk of known) taker(chunk);
      take = taker;
      return true;
    },
    get isOver() {
      return isOver;
    },
    cut() {
      early = undefined;
      take = () => {};
    },
  };
}

/** Puts the listener before one of these methods. */
function listen(handler: Handler, names: readonly string[], listener: (chunk: Bytes) => unknown): boolean {
  const name = names.find((name) => typeof handler[name] === "function");
  if (name === undefined) return false;
  const method = handler[name] as (first: unknown, second: unknown) => unknown; // as has just been found
  // Not `...args`, which would make a list for each chunk.
  handler[name] = (first: unknown, second: unknown) => {
    listener((second ?? first) as Bytes); // what is said of the end, nobody asks
    return method.call(handler, first, second);
  };
  return true;
}

let nodeFetch: unknown;

/** By its source: any other may mind what it is called with, and make something else of what arrives. */
function isNodeFetch(fetch: unknown): boolean {
  if (fetch === nodeFetch) return true;
  const isIt = typeof fetch === "function" && Function.prototype.toString.call(fetch).includes("internal/deps/undici");
  if (isIt) nodeFetch = fetch;
  return isIt;
}

function isPlain(init: unknown): init is Record<string, unknown> {
  return isObject(init) && Object.getPrototypeOf(init) === Object.prototype;
}

/** The one that Node's `fetch` goes by. None before it was first called. */
export function globalDispatcher(): unknown {
  const version = Number.parseInt(process.versions["undici"] ?? "", 10);
  return Reflect.get(globalThis, Symbol.for(`undici.globalDispatcher.${version < 8 ? 1 : 2}`));
}

function isDispatcher(value: unknown): value is Dispatcher {
  return isObject(value) && typeof value["dispatch"] === "function";
}
