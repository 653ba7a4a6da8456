/**
 * Floods of 1 KB traces, 100 a turn of the loop:
 * - `node bench/burst.ts disk [traces]` (default 100,000; the promise is about 1,000,000): with a spool, while the endpoint takes
 *   100 ms for each; then the process closes at once, and what stands on disk is counted
 * - `node bench/burst.ts spool [traces]` (20,000): with a spool, and then waits until all are delivered
 * - `node bench/burst.ts memory [traces]` (50,000): without a spool, to the slow endpoint: what does not fit is refused
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSpool } from "tracelogger/spool";
import { run, start } from "./support.ts";

interface Burst {
  readonly traces: number;
  readonly sink: readonly (string | number)[];
  readonly dir?: string;
  /** Wait until everything is delivered, instead of closing at once. */
  readonly deliver: boolean;
}

const maxBytes = 4 * 1024 ** 3;

async function burst({ traces, sink: sinkArgs, dir, deliver }: Burst): Promise<void> {
  using sink = await start("sink.ts", ...sinkArgs);
  const spool = dir === undefined ? [] : [dir, maxBytes];
  const { printed } = await run("flood.mjs", [sink.url, traces, deliver ? "deliver" : "leave", ...spool]);
  const steps = printed
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  for (const { step, seconds, logTraceUs, ...counts } of steps) {
    const rate = logTraceUs
      ? `, ${Math.round(traces / seconds)} traces/s; logTrace in µs ${JSON.stringify(logTraceUs)}`
      : "";
    console.log(`${step} after ${seconds.toFixed(1)} s${rate}; ${JSON.stringify(counts)}`);
  }
  const { delivered, lost } = steps.at(-1);
  const left = dir === undefined ? 0 : countOnDisk(dir);
  const { stored, again } = await sink.counts();
  console.log(
    `${traces} = ${delivered} delivered + ${left} on disk + ${lost} told lost + ${traces - delivered - left - lost} missing; ` +
      `server holds ${stored} (${again} twice)`,
  );
}

/** As the next process would find them. */
function countOnDisk(dir: string): number {
  const spool = openSpool({ dir, maxBytes });
  let records = 0;
  for (let hasMore = true; hasMore; ) {
    const found = spool.adopt();
    records += found.records;
    hasMore = found.hasMore;
  }
  spool.close();
  return records;
}

async function inFolder(work: (dir: string) => Promise<void>): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), "burst-"));
  await work(dir);
  rmSync(dir, { recursive: true });
}

const [mode, count] = process.argv.slice(2);
const slow = ["slow", 100] as const;
if (mode === undefined || mode === "disk")
  await inFolder((dir) => burst({ traces: Number(count ?? 100_000), sink: slow, dir, deliver: false }));
if (mode === undefined || mode === "spool")
  await inFolder((dir) => burst({ traces: Number(count ?? 20_000), sink: ["store"], dir, deliver: true }));
if (mode === undefined || mode === "memory")
  await burst({ traces: Number(count ?? 50_000), sink: slow, deliver: true });
