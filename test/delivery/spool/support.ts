import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { SpoolEvent } from "../../../src/delivery/spool/events.ts";
import { nodeFs, type SpoolFs } from "../../../src/delivery/spool/file-system.ts";
import { openSpool, type Spool, type SpoolDeps, type SpoolOptions } from "../../../src/delivery/spool/spool.ts";
import type { Owner, Processes } from "../../../src/processes.ts";

/** A folder which is gone after the test. */
export function temporaryFolder(): string {
  const dir = mkdtempSync(join(tmpdir(), "spool-"));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** Processes that live and die as the test says, in one PID namespace. */
export class PretendProcesses {
  readonly dead = new Set<number>();
  #lastPid = 0;

  start(): { pid: number; processes: Processes } {
    const pid = ++this.#lastPid;
    const self: Owner = { place: "0123456789ab", pid, startedAt: "7" };
    return {
      pid,
      processes: { self: () => self, isRunning: (owner) => (this.dead.has(owner.pid) ? "no" : "yes") },
    };
  }
}

export interface TestSpool {
  readonly spool: Spool;
  readonly events: SpoolEvent[];
  /** As after `kill -9`: the spool object is left alone, its process counts as dead. */
  kill(): void;
}

/** A spool of a pretended process, without timers. */
export function startSpool(
  world: PretendProcesses,
  options: SpoolOptions,
  deps: Partial<SpoolDeps> & { io?: SpoolFs } = {},
): TestSpool {
  const events: SpoolEvent[] = [];
  const { pid, processes } = world.start();
  const spool = openSpool(options, {
    io: nodeFs,
    processes,
    every: () => () => {},
    onEvent: (event) => events.push(event),
    ...deps,
  });
  return { spool, events, kill: () => world.dead.add(pid) };
}

export const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
export const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

export const recordOf = (id: string, text = `body of ${id}`, acceptedAtMs = Date.now()) => ({
  id,
  body: encode(text),
  acceptedAtMs,
});

/** Adopts and reads back everything; acknowledges nothing. */
export function readAll(spool: Spool, limits = { maxRecords: 1000, maxBytes: 1_000_000 }) {
  while (spool.adopt().hasMore);
  const records = [];
  for (;;) {
    const some = spool.readBack(limits);
    records.push(...some);
    if (some.length === 0 && spool.waiting().records === 0) return records;
  }
}
