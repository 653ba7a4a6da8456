/**
 * Floods of 1 KB traces, 100 a turn of the loop: `node bench/burst.ts spool [traces]` (default 100,000; the promise is about
 * 1,000,000) writes all of them to disk and then waits until all are delivered; `node bench/burst.ts memory [traces]`
 * (50,000) sends them to an endpoint that takes 100 ms for each, without a spool: what does not fit is refused.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TraceLogger, type TraceLoggerOptions } from "tracelogger";
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

async function burst(traces: number, sinkArgs: (string | number)[], options: TraceLoggerOptions): Promise<void> {
  using sink = await start("sink.ts", ...sinkArgs);
  const refused = new Map<string, number>();
  const logger = new TraceLogger({
    endpoint: sink.url,
    onLoss: ({ reason }) => void refused.set(reason, (refused.get(reason) ?? 0) + 1),
    ...options,
  });
  const rss = watchRss();
  await flood(logger, traces);
  const { accepted, delivered, pending, spooled } = logger.stats;
  console.log(`then: accepted ${accepted}, delivered ${delivered}, pending ${pending} (on disk only ${spooled})`);
  console.log(`      told lost: ${JSON.stringify(Object.fromEntries(refused))}; peak RSS ${rss.peakMiB()} MiB`);
  const startMs = performance.now();
  const report = await logger.flush({ timeoutMs: 3_600_000 });
  const seconds = (performance.now() - startMs) / 1000;
  const { stored, again } = await sink.counts();
  const total = logger.stats.delivered;
  const lost = [...refused.values()].reduce((sum, count) => sum + count, 0);
  console.log(
    `flush: ${report.delivered} more delivered in ${seconds.toFixed(1)} s, ${Math.round(report.delivered / seconds)}/s; ` +
      `delivered ${total}, server holds ${stored} (${again} twice), lost ${lost}, missing ${traces - stored - lost}; peak RSS ${rss.peakMiB()} MiB`,
  );
  await logger.close();
  rss.stop();
}

const [mode, count] = process.argv.slice(2);
if (mode !== "memory") {
  const dir = mkdtempSync(join(tmpdir(), "burst-"));
  await burst(Number(count ?? 100_000), ["store"], { spool: { dir, maxBytes: 4 * 1024 ** 3 } });
  rmSync(dir, { recursive: true });
}
if (mode !== "spool") await burst(Number(count ?? 50_000), ["slow", 100], {});
