/**
 * The client of burst.ts: logs 1 KB traces, 100 a turn of the loop, and prints a line of JSON for each step. Plain
 * JavaScript over the built package, and with a histogram: stripping types and keeping a million times would be counted
 * as the logger's memory. `node bench/flood.mjs URL TRACES deliver|leave [SPOOL_DIR MAX_BYTES]`
 */
import { createHistogram } from "node:perf_hooks";
import { TraceLogger } from "tracelogger";

const [url, count, then, dir, maxBytes] = process.argv.slice(2);
const traces = Number(count);
const spool = dir === undefined ? undefined : { dir, maxBytes: Number(maxBytes) };
let lost = 0;
const logger = new TraceLogger({ endpoint: url, spool, onLoss: () => void lost++ });
const half = "Lorem ipsum dolor sit amet. ".repeat(15).slice(0, 402);
const trace = {
  model: "gpt-5",
  messages: [
    { role: "user", content: half },
    { role: "assistant", content: half },
  ],
};

let peakRss = 0;
const look = () => {
  peakRss = Math.max(peakRss, process.memoryUsage.rss());
};
setInterval(look, 20).unref();
const print = (step, seconds, more) => {
  look();
  const { accepted, delivered, pending, spooled } = logger.stats;
  const counts = { accepted, delivered, pending, spooled, lost };
  console.log(JSON.stringify({ step, seconds, ...counts, peakMB: Math.round(peakRss / 1e6), ...more }));
};

const timesNs = createHistogram();
const startMs = performance.now();
for (let i = 0; i < traces; i++) {
  const beforeMs = performance.now();
  void logger.logTrace(trace);
  timesNs.record(Math.max(1, Math.round((performance.now() - beforeMs) * 1e6)));
  if (i % 100 === 99) {
    look();
    await new Promise((resolve) => setImmediate(resolve));
  }
}
const us = (percent) => Math.round(timesNs.percentile(percent) / 1000);
const logTraceUs = { median: us(50), p99: us(99), "p99.9": us(99.9), max: us(100) };
print("logged", (performance.now() - startMs) / 1000, { logTraceUs });

if (then === "deliver") {
  const flushMs = performance.now();
  await logger.flush({ timeoutMs: 3_600_000 });
  print("flushed", (performance.now() - flushMs) / 1000);
}
await logger.close({ timeoutMs: 0 });
print("closed", (performance.now() - startMs) / 1000);
