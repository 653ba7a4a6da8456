/**
 * What is left of an endpoint's rate: `node bench/rate.ts [traces] [per second] [burst]`, by default 1,500 traces through 50
 * requests a second with bursts of 10, 429 to all others. The promise is about 10,000.
 */
import { TraceLogger } from "tracelogger";
import { start, traceOf } from "./support.ts";

const [traces = 1_500, perSecond = 50, burst = 10] = process.argv.slice(2).map(Number);
using sink = await start("sink.ts", "rate", perSecond, burst);
const logger = new TraceLogger({ endpoint: sink.url, queue: { maxTraces: traces } });
const startMs = performance.now();
for (let i = 0; i < traces; i++) void logger.logTrace(traceOf(1024));
const { delivered } = await logger.flush({ timeoutMs: 3_600_000 });
const seconds = (performance.now() - startMs) / 1000;
const { requests, wasted, stored } = await sink.counts();
const share = ((delivered / seconds / perSecond) * 100).toFixed(1);
const refused = ((wasted / requests) * 100).toFixed(2);
console.log(
  `${perSecond}/s, bursts of ${burst}: ${delivered} delivered (server holds ${stored}) in ${seconds.toFixed(1)} s: ` +
    `${share} % of the rate; ${wasted} of ${requests} requests refused (${refused} %)`,
);
await logger.close();
