/** Work of ended calls that still has to be turned into traces: run off the callers' path, and waited for by `flush`. */
import { isRequestBound } from "../runtime.ts";
import { Alarm, monotonicMs } from "./alarm.ts";
import { withDeadline } from "./deadline.ts";
import { STRANDED_MS } from "./driver.ts";

export type DeferredWork = () => void | Promise<void>;

/** So many traces are built at a time, then the app's own work comes first. */
const AT_ONCE = 25;

export class Deferred {
  /** The process does not stay alive for it: whoever waits for its end is told, and finishes what there is. */
  readonly #alarm = new Alarm(() => this.run(AT_ONCE));
  readonly #waiting: DeferredWork[] = [];
  readonly #running = new Map<Promise<void>, DeferredWork>();
  readonly #onDone: () => void;

  /** `onDone` is told whenever some of the work is done. */
  constructor(onDone: () => void) {
    this.#onDone = onDone;
  }

  get isIdle(): boolean {
    return this.#waiting.length === 0 && this.#running.size === 0;
  }

  /** Does it with what comes in the meantime, so long after. */
  add(work: DeferredWork, gatherMs: number): void {
    if (this.#waiting.push(work) === 1) this.#alarm.set(monotonicMs() + gatherMs);
  }

  /** Runs what waits, until it is done or the time has passed. `null` when nothing is left to wait for. */
  finish(passed: Promise<void>): Promise<unknown> | null {
    this.run();
    if (this.#running.size === 0) return null;
    const begun = new Map(this.#running);
    const over = Promise.race([Promise.all(begun.keys()), passed]);
    if (!isRequestBound()) return over;
    // What a request has begun to hash ends with it, and nobody hears of the hash: begin anew, in this request.
    const beginAgain = () => {
      for (const [running, work] of begun) if (this.#running.delete(running)) this.#waiting.push(work);
      return this.finish(passed);
    };
    return withDeadline(STRANDED_MS, (late) => Promise.race([over, late.then(beginAgain)]));
  }

  /**
   * Start so much of what waits, and soon the rest. By default all of it: at the last moment of the process, whatever
   * can be built without waiting.
   */
  run(atOnce = Number.POSITIVE_INFINITY): void {
    for (const work of this.#waiting.splice(0, atOnce)) {
      const running = work();
      if (!running) continue;
      this.#running.set(running, work);
      void running.finally(() => {
        this.#running.delete(running);
        this.#onDone();
      });
    }
    this.#onDone();
    if (this.#waiting.length > 0) this.#alarm.set(monotonicMs());
  }
}
