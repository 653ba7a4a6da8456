/**
 * A process with a spool, for the tests to stop and kill. It writes on stdout, one a line: `+id` when `append` has
 * returned, `?id` before and `-id` after `acknowledge`, `!type` for an event, `.` when it is done and waits.
 */
import { writeSync } from "node:fs";
import { isMainThread, Worker, workerData } from "node:worker_threads";
import { openSpool, type SpoolOptions } from "../../../src/delivery/spool/spool.ts";

export interface ChildPlan {
  readonly options: SpoolOptions;
  readonly name: string;
  /** How many traces to write; then it goes on adopting, delivering and waits for its end. */
  readonly records: number;
  readonly bodyBytes: number;
  /** Adopt and acknowledge what others left, too. */
  readonly delivers: boolean;
  /** Do the same in so many worker threads instead. */
  readonly workers?: number;
  /** Close and end by itself when done. */
  readonly ends?: boolean;
}

const say = (line: string) => writeWhole(`${line}\n`);
const tick = () => new Promise((resolve) => setImmediate(resolve));
const aMoment = new Int32Array(new SharedArrayBuffer(4));

/** Synchronously, also while the reader is slower than we are: then the pipe, which does not block, says EAGAIN. */
function writeWhole(text: string): void {
  for (let rest = Buffer.from(text); rest.length > 0; ) {
    try {
      rest = rest.subarray(writeSync(1, rest));
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EAGAIN")) throw error;
      Atomics.wait(aMoment, 0, 0, 1);
    }
  }
}

const plan: ChildPlan = isMainThread ? JSON.parse(process.argv[2] ?? "") : workerData;

if (plan.workers !== undefined) {
  for (let i = 0; i < plan.workers; i++)
    new Worker(new URL(import.meta.url), { workerData: { ...plan, workers: undefined, name: `${plan.name}-w${i}` } });
} else {
  await work(plan);
}

async function work({ options, name, records, bodyBytes, delivers, ends }: ChildPlan): Promise<void> {
  const spool = openSpool(options, { onEvent: ({ type }) => say(`!${type}`) });
  const acknowledge = (id: string, ref: number) => {
    say(`?${id}`);
    spool.acknowledge(ref);
    say(`-${id}`);
  };
  const deliver = () => {
    spool.adopt();
    for (const { id, ref } of spool.readBack({ maxRecords: 20, maxBytes: 1e6 })) acknowledge(id, ref);
  };
  for (let i = 0; i < records; i++) {
    const id = `${name}-${i}`;
    const handOut = i % 3 === 0;
    const body = new TextEncoder().encode(`${id} ${"x".repeat(bodyBytes)}`);
    const ref = spool.append({ id, body, acceptedAtMs: Date.now() }, { handOut });
    if (ref === null) continue;
    say(`+${id}`);
    if (i % 3 === 1) acknowledge(id, ref);
    if (i % 7 === 0) await tick();
    if (delivers && i % 20 === 0) deliver();
  }
  if (delivers) while (spool.waiting().records > 0) deliver();
  say(".");
  if (ends) spool.close();
  else setInterval(() => {}, 1000);
}
