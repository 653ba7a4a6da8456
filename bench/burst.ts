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
import { TraceLogger } from "tracelogger";
import { openSpool } from "tracelogger/spool";
import { start, traceOf, watchRss } from "./support.ts";

/** Logs so many traces, and prints what that cost the caller. */
async function flood(logger: TraceLogger, traces: number): Promise<void> {
  const timesUs = new Float64Array(traces);
  const trace = traceOf(1024);
  const startMs = performance.now();
  for (let i = 0; i < traces; i++) {
    const before = performance.now();
    void logger.logTrace(trace);
    timesUs[i] = (performance.now() - before) * 1000;
    if (i % 100 === 99) await new Promise((resolve) => setImmediate(resolve));
  }
  const seconds = (performance.now() - startMs) / 1000;
  timesUs.sort();
  const at = (part: number) => (timesUs[Math.min(traces - 1, Math.floor(traces * part))] ?? 0).toFixed(0);
  console.log(
    `${traces} logged in ${seconds.toFixed(1)} s, ${Math.round(traces / seconds)}/s; ` +
      `logTrace: median ${at(0.5)} µs, p99 ${at(0.99)} µs, p99.9 ${at(0.999)} µs, max ${at(1)} µs`,
  );
}

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
  let lost = 0;
  const spool = dir === undefined ? undefined : { dir, maxBytes };
  const logger = new TraceLogger({ endpoint: sink.url, spool, onLoss: () => void lost++ });
  const rss = watchRss();
  await flood(logger, traces);
  const { accepted, delivered, pending, spooled } = logger.stats;
  console.log(
    `then: accepted ${accepted}, delivered ${delivered}, pending ${pending} (on disk only ${spooled}), ` +
      `told lost ${lost}; peak RSS ${rss.peakMiB()} MiB`,
  );
  const startMs = performance.now();
  if (deliver) {
    const report = await logger.flush({ timeoutMs: 3_600_000 });
    const seconds = (performance.now() - startMs) / 1000;
    console.log(
      `flush: ${report.delivered} more in ${seconds.toFixed(1)} s, ${Math.round(report.delivered / seconds)}/s`,
    );
  }
  await logger.close({ timeoutMs: 0 });
  const left = dir === undefined ? 0 : countOnDisk(dir);
  const { stored, again } = await sink.counts();
  const total = logger.stats.delivered;
  console.log(
    `${traces} = ${total} delivered + ${left} on disk + ${lost} told lost + ${traces - total - left - lost} missing; ` +
      `server holds ${stored} (${again} twice); peak RSS ${rss.peakMiB()} MiB`,
  );
  rss.stop();
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
