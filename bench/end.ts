/**
 * How soon a process ends after its last delivery: `node bench/end.ts [runs]` (default 20). A child logs 20 traces and has
 * nothing else to do; the time is from the endpoint's last answer to the child's exit, with `close()` and without.
 */
import { TraceLogger } from "tracelogger";
import { median, quantile, run, start, traceOf } from "./support.ts";

async function client(url: string, way: string): Promise<void> {
  const logger = new TraceLogger({ endpoint: url });
  for (let i = 0; i < 20; i++) void logger.logTrace(traceOf(1024));
  if (way === "close()") await logger.close();
}

const [runs = "20", ...rest] = process.argv.slice(2);
if (runs === "client") await client(rest[0] ?? "", rest[1] ?? "");
else {
  for (const way of ["close()", "no call at all"]) {
    const times: number[] = [];
    for (let i = 0; i < Number(runs); i++) {
      using sink = await start("sink.ts");
      const { endedAtMs } = await run("end.ts", ["client", sink.url, way]);
      const { stored, lastAnswerAtMs } = await sink.counts();
      if (stored !== 20) throw new Error(`${stored} of 20 arrived.`);
      times.push(endedAtMs - lastAnswerAtMs);
    }
    console.log(
      `${way}: ends ${median(times)} ms after the last answer (quartiles ${quantile(times, 0.25)}, ${quantile(times, 0.75)}; most ${Math.max(...times)})`,
    );
  }
}
