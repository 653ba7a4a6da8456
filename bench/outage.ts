/**
 * What outages cost: `node bench/outage.ts [seconds]` (default 15). For each kind of trouble a client of its own logs 200
 * traces while it lasts, all kinds at the same time. Prints what arrived, requests wasted, memory, and how long after the
 * end of the outage the last trace was there.
 */
import { TraceLogger } from "tracelogger";
import { TROUBLES } from "./sink.ts";
import { rssMiB, run, sleep, start, traceOf } from "./support.ts";

const TRACES = 200;

interface Report {
  readonly delivered: number;
  readonly rssMiB: readonly number[];
  readonly heapMiB: readonly number[];
}

/** Memory at a quarter of the outage, at its end, and after everything has arrived. */
async function client(url: string, outageMs: number): Promise<void> {
  const logger = new TraceLogger({ endpoint: url, onEvent: () => {} });
  const rss = [rssMiB()];
  const heap: number[] = [];
  const look = () => {
    rss.push(rssMiB());
    globalThis.gc?.();
    heap.push(process.memoryUsage().heapUsed / 1024 ** 2);
  };
  for (let i = 0; i < TRACES; i++) {
    void logger.logTrace(traceOf(1024));
    await sleep(outageMs / TRACES);
    if (i === TRACES / 4) look();
  }
  look();
  const { delivered } = await logger.flush({ timeoutMs: 180_000 });
  look();
  console.log(JSON.stringify({ delivered, rssMiB: rss, heapMiB: heap } satisfies Report));
}

async function measure(kind: string, outageMs: number): Promise<string> {
  using sink = await start("sink.ts", "outage", kind, outageMs);
  const { printed } = await run("outage.ts", ["client", sink.url, outageMs], ["--expose-gc"]);
  const report: Report = JSON.parse(printed);
  const { stored, again, wasted, firstRequestAtMs, lastAnswerAtMs } = await sink.counts();
  const afterMs = lastAnswerAtMs - firstRequestAtMs - outageMs;
  const round = (values: readonly number[]) => values.map((value) => value.toFixed(0)).join(" → ");
  return (
    `${kind}: server holds ${stored} of ${TRACES} (${again} twice), ${wasted} requests wasted; ` +
    `all there ${(afterMs / 1000).toFixed(1)} s after the end; ` +
    `RSS ${round(report.rssMiB)} MiB, heap after gc ${round(report.heapMiB)} MiB`
  );
}

const [seconds = "15", ...rest] = process.argv.slice(2);
if (seconds === "client") await client(rest[0] ?? "", Number(rest[1]));
else {
  console.log(`outages of ${seconds} s (memory: start → a quarter into it → its end → all delivered)`);
  const outageMs = Number(seconds) * 1000;
  await Promise.all(Object.keys(TROUBLES).map(async (kind) => console.log(await measure(kind, outageMs))));
}
