import fc from "fast-check";
import { expect, test } from "vitest";
import type { SpoolRef } from "../../../src/delivery/spool/spool.ts";
import { decode, PretendProcesses, readAll, recordOf, startSpool, type TestSpool, temporaryFolder } from "./support.ts";

type Step =
  | { readonly do: "append"; readonly who: number; readonly length: number; readonly handOut: boolean }
  | { readonly do: "acknowledge"; readonly who: number; readonly which: number }
  | { readonly do: "readBack"; readonly who: number; readonly maxRecords: number }
  | { readonly do: "adopt" | "kill" | "close"; readonly who: number };

const who = fc.nat(2);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("append"), who, length: fc.nat(400), handOut: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("acknowledge"), who, which: fc.nat(20) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("readBack"), who, maxRecords: fc.integer({ min: 1, max: 5 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("adopt", "kill", "close"), who }) },
);

/** Three processes on one root, each replaced when it dies, and what each holds in memory. */
class World {
  readonly #processes = new PretendProcesses();
  readonly #dir: string;
  readonly #running: TestSpool[];
  readonly #held: Map<SpoolRef, string>[] = [new Map(), new Map(), new Map()];
  /** Accepted and not acknowledged: must come back. */
  readonly open = new Set<string>();
  readonly bodies = new Map<string, string>();
  #count = 0;

  constructor(dir: string) {
    this.#dir = dir;
    this.#running = [0, 1, 2].map(() => this.#start());
  }

  take(step: Step): void {
    const process = this.#running[step.who];
    const held = this.#held[step.who];
    if (process === undefined || held === undefined) throw new Error("No such process.");
    const { spool } = process;
    if (step.do === "append") this.#append(process, held, step);
    else if (step.do === "readBack") {
      for (const { ref, id, body } of spool.readBack({ maxRecords: step.maxRecords, maxBytes: 1000 })) {
        expect([...held.values()]).not.toContain(id); // never twice to the same process
        expect(decode(body)).toBe(this.bodies.get(id));
        expect(this.open).toContain(id); // never after it was acknowledged
        held.set(ref, id);
      }
    } else if (step.do === "acknowledge") {
      const [ref, id] = [...held][step.which % Math.max(1, held.size)] ?? [];
      if (ref === undefined || id === undefined) return;
      spool.acknowledge(ref);
      held.delete(ref);
      this.open.delete(id);
    } else if (step.do === "adopt") spool.adopt();
    else {
      if (step.do === "kill") process.kill();
      else spool.close();
      held.clear();
      this.#running[step.who] = this.#start();
    }
  }

  /** All processes die; a last one finds what is left. */
  end(): string[] {
    for (const { kill } of this.#running) kill();
    const { spool, events } = this.#start();
    const records = readAll(spool);
    for (const { id, body } of records) expect(decode(body)).toBe(this.bodies.get(id));
    for (const { ref } of records) spool.acknowledge(ref);
    expect(spool.waiting()).toEqual({ records: 0, bytes: 0 });
    expect(spool.bytesOnDisk).toBe(0);
    expect(events.filter(({ type }) => type !== "adopted")).toEqual([]);
    return records.map(({ id }) => id).sort();
  }

  #start(): TestSpool {
    return startSpool(this.#processes, { dir: this.#dir, segmentBytes: 700 });
  }

  #append({ spool }: TestSpool, held: Map<SpoolRef, string>, step: Step & { do: "append" }): void {
    const id = `id-${this.#count++}`;
    const body = `${id} ${"x".repeat(step.length)}`;
    const ref = spool.append(recordOf(id, body), { handOut: step.handOut });
    if (ref === null) throw new Error("Refused.");
    this.bodies.set(id, body);
    this.open.add(id);
    if (!step.handOut) held.set(ref, id);
  }
}

test("whatever processes do and however they die, exactly what was not acknowledged comes back, unchanged", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const world = new World(temporaryFolder());
      for (const step of steps) world.take(step);
      expect(world.end()).toEqual([...world.open].sort());
    }),
    { numRuns: 150 },
  );
});
