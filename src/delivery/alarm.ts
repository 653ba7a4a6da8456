/** A monotonic clock in milliseconds: the wall clock may jump by a day, and must not hold up or expire anything. */
export const monotonicMs = (): number => performance.now();

/** Long waits are cut into pieces: setTimeout fires at once when asked for more than 2^31 ms. */
const MAX_WAIT_MS = 60 * 60_000;

/** One timer that can be moved. It keeps the process alive only while someone is waiting (`hold`). */
export class Alarm {
  readonly #ring: () => void;
  /** Runs work outside the async context of whoever happened to call, so that no request's context leaks into ours. */
  readonly #outside: <T>(work: () => T) => T;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #atMs = Number.POSITIVE_INFINITY;
  #holders = 0;

  constructor(ring: () => void) {
    this.#ring = ring;
    this.#outside = contextSnapshot();
  }

  /** Ring at this time (monotonic), and no longer at the one set before. `Infinity`: not at all. */
  set(atMs: number): void {
    if (atMs === this.#atMs) return;
    clearTimeout(this.#timer);
    this.#atMs = atMs;
    this.#timer = undefined;
    if (atMs === Number.POSITIVE_INFINITY) return;
    const waitMs = Math.min(Math.max(0, atMs - monotonicMs()), MAX_WAIT_MS);
    this.#timer = this.#outside(() => setTimeout(() => this.#fire(), waitMs));
    this.#apply();
  }

  /** Ring as soon as the caller is done, without a timer: where a test has stopped them, whoever waits still gets on. */
  ringSoon(): void {
    this.#outside(() => void Promise.resolve().then(() => this.#ring()));
  }

  /** While held, the timer keeps the process alive. Gives back the release. */
  hold(): () => void {
    this.#holders++;
    this.#apply();
    return () => {
      this.#holders--;
      this.#apply();
    };
  }

  #fire(): void {
    this.#atMs = Number.POSITIVE_INFINITY;
    this.#timer = undefined;
    this.#ring();
  }

  #apply(): void {
    // Timers are numbers outside Node, Bun and Deno, and hold nothing open there.
    if (typeof this.#timer !== "object") return;
    if (this.#holders > 0) this.#timer.ref();
    else this.#timer.unref();
  }
}

/** Runs work in the async context of now, whoever calls later. */
function contextSnapshot(): <T>(work: () => T) => T {
  const inside = <T>(work: () => T): T => work();
  try {
    // Not an import: the core runs where there is no node:async_hooks.
    return globalThis.process?.getBuiltinModule?.("node:async_hooks").AsyncLocalStorage.snapshot() ?? inside;
  } catch {
    return inside; // the process of Next's edge runtime has all of Node's functions, and each of them throws
  }
}
