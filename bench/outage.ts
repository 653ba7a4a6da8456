/**
 * What an outage costs: `node bench/outage.ts [seconds]` (default 15). For each kind of trouble, 200 traces are logged
 * while it lasts; prints what was delivered, requests wasted per minute of outage, memory, and the time to recover.
 */

import { TraceLogger } from "../src/index.ts";
import { type Reply, replies, scriptedEndpoint } from "../test/support.ts";
import { traceOf } from "./support.ts";

const outageMs = Number(process.argv[2] ?? 15) * 1000;
const kinds: Record<string, Reply> = {
  "503": replies.unavailable,
  "429": replies.tooMany,
  resets: "reset",
  hang: "hang",
  '200 {"statusCode":500}': replies.failed("ClientError: SlowDown"),
};
const rssMiB = () => Math.round(process.memoryUsage().rss / 1024 ** 2);
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function measure(kind: string, reply: Reply): Promise<string> {
  await using endpoint = await scriptedEndpoint(() => reply);
  await using logger = new TraceLogger({ endpoint: endpoint.url, onLoss: () => {}, onEvent: () => {} });
  const before = rssMiB();
  for (let i = 0; i < 200; i++) {
    void logger.logTrace(traceOf(1024));
    await sleep(outageMs / 200);
  }
  const wastedPerMinute = (endpoint.requests.length * 60_000) / outageMs;
  endpoint.reply = () => undefined;
  const start = performance.now();
  const { delivered, pending, lost } = await logger.flush({ timeoutMs: 120_000 });
  const took = Math.round(performance.now() - start);
  const stored = new Set(endpoint.stored.map(({ id }) => id)).size;
  return `${kind}: delivered ${delivered} of 200 (server holds ${stored}), pending ${pending}, lost ${lost}; ${endpoint.requests.length - endpoint.stored.length} requests wasted (${wastedPerMinute.toFixed(1)}/min); all there ${took} ms after the end; RSS ${before} → ${rssMiB()} MiB`;
}

console.log(`outages of ${outageMs / 1000} s`);
await Promise.all(Object.entries(kinds).map(async ([kind, reply]) => console.log(await measure(kind, reply))));
