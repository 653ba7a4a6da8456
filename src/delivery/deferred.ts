/** Work of ended calls that still has to be turned into traces: run off the callers' path, and waited for by `flush`. */
import { isRequestBound } from "../runtime.ts";
import { inTask } from "../sink.ts";
import { contextSnapshot } from "./alarm.ts";
import { withDeadline } from "./deadline.ts";
import { STRANDED_MS } from "./driver.ts";

export type DeferredWork = () => void | Promise<void>;

export class Deferred {
  readonly #outside = contextSnapshot();
  #waiting: DeferredWork[] = [];
  readonly #running = new Map<Promise<void>, DeferredWork>();
  readonly #onDone: () => void;

  /** `onDone` is told whenever some of the work is done. */
  constructor(onDone: () => void) {
    this.#onDone = onDone;
  }

  get isIdle(): boolean {
    return this.#waiting.length === 0 && this.#running.size === 0;
  }

  add(work: DeferredWork): void {
    this.#waiting.push(work);
    // Not unref'd: a process that ends right after a call still has its trace to build.
    if (this.#waiting.length === 1) this.#outside(() => inTask(() => this.run()));
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

  /** Start what waits, at once: at the last moment of the process, whatever can be built without waiting. */
  run(): void {
    const works = this.#waiting;
    this.#waiting = [];
    for (const work of works) {
      const running = work();
      if (!running) continue;
      this.#running.set(running, work);
      void running.finally(() => {
        this.#running.delete(running);
        this.#onDone();
      });
    }
    if (works.length > 0) this.#onDone();
  }
}
