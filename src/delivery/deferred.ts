/** Work of ended calls that still has to be turned into traces: run off the callers' path, and waited for by `flush`. */
import { inTask } from "../sink.ts";
import { contextSnapshot } from "./alarm.ts";

export type DeferredWork = () => void | Promise<void>;

export class Deferred {
  readonly #outside = contextSnapshot();
  #waiting: DeferredWork[] = [];
  readonly #running = new Set<Promise<void>>();
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

  /** Runs what waits. `null` when nothing is left to wait for, else a promise of the end of it. */
  finish(): Promise<unknown> | null {
    this.run();
    return this.#running.size === 0 ? null : Promise.all(this.#running);
  }

  /** Start what waits, at once: at the last moment of the process, whatever can be built without waiting. */
  run(): void {
    const works = this.#waiting;
    this.#waiting = [];
    for (const work of works) {
      const running = work();
      if (!running) continue;
      this.#running.add(running);
      void running.finally(() => {
        this.#running.delete(running);
        this.#onDone();
      });
    }
    if (works.length > 0) this.#onDone();
  }
}
