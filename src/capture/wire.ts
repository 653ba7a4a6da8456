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

type Handler = Record<string, unknown>;

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
  /** The handler of the last request: a redirect is followed by another one. */
  #last: Handler | undefined;
  /** What has arrived, while nobody is told. Undefined when that is not known. */
  #early: Bytes[] | undefined;
  #earlyBytes = 0;
  #isOver = false;
  #take: ((chunk: Bytes) => void) | undefined;

  constructor(inner: Dispatcher, input: string, init: Record<string, unknown>) {
    this.#inner = inner;
    const tapped: RequestInit & { dispatcher: Dispatcher } = { ...init, dispatcher: this };
    this.args = [input, tapped];
  }

  get isMockActive(): boolean {
    return this.#inner.isMockActive ?? false;
  }

  dispatch(options: unknown, handler: Handler): unknown {
    this.#last = handler;
    this.#early = this.#listen(handler) ? [] : undefined;
    this.#isOver = false;
    this.#earlyBytes = 0;
    return this.#inner.dispatch(options, handler);
  }

  /** @returns false when this handler is told in a way that is not known */
  #listen(handler: Handler): boolean {
    for (const [data, end] of METHODS) {
      const { [data]: onData, [end]: onEnd } = handler;
      if (typeof onData !== "function" || typeof onEnd !== "function") continue;
      // Not `...args`, which would make a list for each chunk.
      handler[data] = (first: unknown, second: unknown) => {
        this.#hear(handler, (second ?? first) as Bytes); // the last argument, of both versions
        return onData.call(handler, first, second);
      };
      handler[end] = (first: unknown, second: unknown) => {
        this.#hearEnd(handler);
        return onEnd.call(handler, first, second);
      };
      return true;
    }
    return false;
  }

  #hearEnd(handler: Handler): void {
    this.#isOver ||= handler === this.#last;
  }

  #hear(handler: Handler, chunk: Bytes): void {
    if (handler !== this.#last) return;
    if (this.#take) {
      this.#take(chunk);
      return;
    }
    this.#earlyBytes += chunk.byteLength;
    if (this.#earlyBytes > MAX_EARLY_BYTES) this.#early = undefined;
    this.#early?.push(chunk);
  }

  /**
   * Tells everything that has arrived, and everything that will.
   *
   * @returns false when not everything is known; nothing is told then.
   */
  flowTo(take: (chunk: Bytes) => void): boolean {
    const known = this.#early;
    this.#early = undefined;
    if (!known) return false;
    for (const chunk of known) take(chunk);
    this.#take = take;
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
    this.#take = nobody;
  }
}

const nobody = () => {};

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
