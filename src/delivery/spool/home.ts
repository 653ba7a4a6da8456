import { join } from "node:path";
import { findAbandoned, flatten, isAbandoned } from "./adoption.ts";
import { attempt } from "./file-system.ts";
import { directoryName, releasedName } from "./owner.ts";
import type { SpoolDeps, SpoolSettings } from "./settings.ts";

const mostTickMs = 1000;
const mostBeatMs = 10_000;

/** This process's directory under the root: the sign of life that it gives there, and what it may take from others. */
export class Home {
  readonly #settings: SpoolSettings;
  readonly #deps: SpoolDeps;
  /** How often `tick` is to be called. */
  readonly tickMs: number;
  #path: string | undefined;
  #beatAtMs: number | undefined;
  #trustHeartbeatsAtMs = Number.NEGATIVE_INFINITY;

  constructor(settings: SpoolSettings, deps: SpoolDeps) {
    this.#settings = settings;
    this.#deps = deps;
    this.tickMs = Math.min(mostTickMs, settings.staleAfterMs / 8);
  }

  /** Where it is; made when there is none yet. */
  open(): string {
    if (this.#path !== undefined) return this.#path;
    const path = join(this.#settings.dir, directoryName(this.#deps.processes.self()));
    this.#deps.io.makeDirectory(path);
    this.#path = path;
    this.beat();
    return path;
  }

  /** Do we have one that is no longer in its place? */
  get isGone(): boolean {
    return this.#path !== undefined && !this.#deps.io.exists(this.#path);
  }

  /** We are done with it: what is in it, if anything, is there for the taking. */
  release(): void {
    const path = this.#path;
    this.#path = undefined;
    const { io } = this.#deps;
    if (path === undefined || attempt(() => io.removeDirectory(path))) return;
    attempt(() => io.rename(path, join(this.#settings.dir, releasedName())));
  }

  beat(): void {
    const now = this.#deps.now();
    // We were stopped ourselves, or the clock has jumped: the others must have the time for a heartbeat first.
    if (this.#beatAtMs !== undefined && Math.abs(now - this.#beatAtMs) > this.#settings.staleAfterMs / 2)
      this.#trustHeartbeatsAtMs = this.#deps.monotonicMs() + 5 * this.tickMs;
    this.#beatAtMs = now;
    const path = this.#path;
    if (path !== undefined) attempt(() => this.#deps.io.touch(path, now));
  }

  tick(): void {
    const beatMs = Math.min(mostBeatMs, this.#settings.staleAfterMs / 4);
    if (Math.abs(this.#deps.now() - (this.#beatAtMs ?? 0)) >= beatMs) this.beat();
  }

  /** Names of the directories whose owner is gone. */
  findAbandoned(): string[] {
    const { dir, staleAfterMs } = this.#settings;
    const { io, processes, monotonicMs, now } = this.#deps;
    const limitMs = monotonicMs() < this.#trustHeartbeatsAtMs ? Number.POSITIVE_INFINITY : staleAfterMs;
    return findAbandoned(io, dir, (name, atMs) =>
      join(dir, name) === this.#path ? false : isAbandoned(name, { silentMs: now() - atMs, limitMs }, processes),
    );
  }

  /** Moves a directory, and those inside it, into ours: gives back where they are. Nothing if another was quicker. */
  take(name: string): string[] | undefined {
    const { io } = this.#deps;
    const home = this.open();
    const target = join(home, name);
    if (!attempt(() => io.rename(join(this.#settings.dir, name), target))) return undefined;
    return flatten(io, home, target);
  }
}
