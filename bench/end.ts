/**
 * How soon a process ends after its last delivery: `node bench/end.ts [runs]` (default 20). A child logs 20 traces and has
 * nothing else to do, with `close()` and without. The time is from the endpoint's last answer to the child's own `exit` event,
 * when nothing holds it any more; and to its death, which has Node's taking down in it. That is why a process with nothing of
 * ours is measured, too: plain `fetch` of the same traces.
 */
import { writeSync } from "node:fs";
import { TraceLogger } from "tracelogger";
import { median, quantile, run, start, traceOf } from "./support.ts";

const TRACES = 20;
const BARE = "plain fetch";

async function client(url: string, way: string): Promise<void> {
  process.on("exit", () => writeSync(1, String(Date.now())));
  if (way === BARE) {
    const bodies = Array.from({ length: TRACES }, (_, id) => JSON.stringify({ id: String(id), ...traceOf(1024) }));
    await Promise.all(bodies.map(async (body) => (await fetch(url, { method: "POST", body })).text()));
    return;
  }
  const logger = new TraceLogger({ endpoint: url });
  for (let i = 0; i < TRACES; i++) void logger.logTrace(traceOf(1024));
  if (way === "close()") await logger.close();
}

async function measure(way: string, runs: number): Promise<void> {
  const toExitMs: number[] = [];
  const toDeathMs: number[] = [];
  for (let i = 0; i < runs; i++) {
    using sink = await start("sink.ts");
    const { endedAtMs, printed } = await run("end.ts", ["client", sink.url, way]);
    const { stored, lastAnswerAtMs } = await sink.counts();
    if (stored !== TRACES) throw new Error(`${stored} of ${TRACES} arrived.`);
    toExitMs.push(Number(printed) - lastAnswerAtMs);
    toDeathMs.push(endedAtMs - lastAnswerAtMs);
  }
  const show = (values: number[]) =>
    `${median(values)} ms (quartiles ${quantile(values, 0.25)}, ${quantile(values, 0.75)}; most ${Math.max(...values)})`;
  console.log(`${way}: after the last answer exit at ${show(toExitMs)}, gone at ${show(toDeathMs)}`);
}

const [runs = "20", ...rest] = process.argv.slice(2);
if (runs === "client") await client(rest[0] ?? "", rest[1] ?? "");
else for (const way of [BARE, "close()", "no call at all"]) await measure(way, Number(runs));
