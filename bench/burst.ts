/**
 * Floods: `node bench/burst.ts spool [traces]` (default 1,000,000 of 1 KB, in batches of 100 a turn of the loop, endpoint
 * slow), `node bench/burst.ts memory [traces]` (50,000 into a slow endpoint), `node bench/burst.ts rate [traces]` (1,500
 * through 50 requests/s with bursts of 10).
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSpool } from "../src/delivery/spool/spool.ts";
import { TraceLogger } from "../src/index.ts";
import { replies, scriptedEndpoint } from "../test/support.ts";
import { traceOf } from "./support.ts";

const [mode = "spool", count] = process.argv.slice(2);
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
let peakMiB = 0;
const watch = setInterval(() => {
  peakMiB = Math.max(peakMiB, process.memoryUsage().rss / 1024 ** 2);
}, 20);

async function flood(logger: TraceLogger, traces: number): Promise<void> {
  const timesUs = new Float64Array(traces);
  const trace = traceOf(1024);
  for (let i = 0; i < traces; i++) {
    const start = performance.now();
    void logger.logTrace(trace);
    timesUs[i] = (performance.now() - start) * 1000;
    if (i % 100 === 99) await new Promise((resolve) => setImmediate(resolve));
    if (i % 1000 === 0) peakMiB = Math.max(peakMiB, process.memoryUsage().rss / 1024 ** 2);
  }
  timesUs.sort();
  const at = (part: number) => (timesUs[Math.floor(traces * part)] ?? 0).toFixed(0);
  console.log(`logTrace: median ${at(0.5)} µs, p99 ${at(0.99)} µs, p99.9 ${at(0.999)} µs, max ${at(0.9999999)} µs`);
  const { accepted, delivered, pending, spooled, lost } = logger.stats;
  console.log(`accepted ${accepted}, delivered ${delivered}, pending ${pending} (on disk only ${spooled}), lost`, lost);
  console.log(`peak RSS ${Math.round(peakMiB)} MiB`);
}

async function rate(traces: number): Promise<void> {
  let tokens = 10;
  let lastMs = performance.now();
  await using endpoint = await scriptedEndpoint(() => {
    const nowMs = performance.now();
    tokens = Math.min(10, tokens + ((nowMs - lastMs) * 50) / 1000);
    lastMs = nowMs;
    if (tokens < 1) return replies.tooMany;
    tokens--;
    return undefined;
  });
  const logger = new TraceLogger({ endpoint: endpoint.url, onLoss: () => {}, onEvent: () => {} });
  const start = performance.now();
  for (let i = 0; i < traces; i++) void logger.logTrace(traceOf(1024));
  await logger.flush({ timeoutMs: 600_000 });
  const seconds = (performance.now() - start) / 1000;
  const refused = endpoint.requests.length - endpoint.stored.length;
  const share = ((endpoint.stored.length / seconds / 50) * 100).toFixed(1);
  const part = ((refused / endpoint.requests.length) * 100).toFixed(2);
  console.log(
    `${endpoint.stored.length} delivered in ${seconds.toFixed(1)} s: ${share} % of the rate; ${part} % refused`,
  );
  await logger.close();
}

if (mode === "rate") await rate(Number(count ?? 1_500));
else {
  const dir = mkdtempSync(join(tmpdir(), "burst-"));
  // "hang" for a while would be an outage; this one answers nothing at all, so that nothing leaves the memory.
  await using endpoint = await scriptedEndpoint(() => "hang");
  const spool = mode === "spool" ? { dir, open: openSpool, maxBytes: 4 * 1024 ** 3 } : undefined;
  const logger = new TraceLogger({ endpoint: endpoint.url, spool, onLoss: () => {}, onEvent: () => {} });
  await sleep(100);
  await flood(logger, Number(count ?? (mode === "spool" ? 1_000_000 : 50_000)));
  console.log("close:", await logger.close({ timeoutMs: 0 }));
  rmSync(dir, { recursive: true });
}
clearInterval(watch);
