/**
 * Where a request takes along what it has begun, fetches and timers, when it ends (Cloudflare's Workers, Vercel's edge
 * runtime), nothing may be sent in the name of nobody: whoever waits, in `flush` or `close`, sends in its own request.
 */
import { monotonicMs } from "./alarm.ts";
import { withDeadline } from "./deadline.ts";

/** So long after its start, what somebody else has begun is taken for something that ended with whoever began it. */
export const STRANDED_MS = 10_000;

/** One who waits, and sends meanwhile. */
export class Driver {
  isOver = false;
  #landed: Promise<unknown> = Promise.resolve();
  #wake = (): void => {};

  constructor(over: Promise<unknown>) {
    void over.then(() => {
      this.isOver = true;
      this.#wake();
    });
  }

  /** All that was begun has come back. */
  get landed(): Promise<unknown> {
    return this.#landed;
  }

  began(landing: Promise<void>): void {
    this.#landed = Promise.all([this.#landed, landing]);
  }

  /** There may be something to do. Fit to be called in another request: what follows happens in this one's. */
  wake(): void {
    this.#wake();
  }

  /** Until it is woken, or the time has come. */
  sleep(untilMs: number): Promise<void> {
    const woken = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    return withDeadline(untilMs - monotonicMs(), (passed) => Promise.race([passed, woken]));
  }
}
