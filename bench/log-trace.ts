/** What a `logTrace` call costs its caller, and what a delivered trace costs the process. */
import { TraceLogger } from "tracelogger";
import { mean, median, quantile, start, traceOf } from "./support.ts";

using sink = await start("sink.ts");
for (const [name, bytes, count] of [
  ["1 KB", 1_000, 20_000],
  ["50 KB", 50_000, 2_000],
] as const) {
  const logger = new TraceLogger({ endpoint: sink.url });
  const input = traceOf(bytes);
  for (let i = 0; i < 500; i++) void logger.logTrace(input);
  await logger.flush();
  const callUs: number[] = [];
  const cpuBefore = process.cpuUsage();
  const startMs = performance.now();
  for (let i = 0; i < count; i++) {
    await logger.ready();
    const before = process.hrtime.bigint();
    void logger.logTrace(input);
    callUs.push(Number(process.hrtime.bigint() - before) / 1_000);
  }
  await logger.close({ timeoutMs: 60_000 });
  const seconds = (performance.now() - startMs) / 1_000;
  const cpu = process.cpuUsage(cpuBefore);
  const { delivered } = logger.stats;
  console.log(
    `${name}: logTrace median ${median(callUs).toFixed(1)} µs, mean ${mean(callUs).toFixed(1)} µs, p99 ${quantile(callUs, 0.99).toFixed(1)} µs; ` +
      `${((cpu.user + cpu.system) / delivered).toFixed(0)} µs CPU per delivered trace; ${Math.round(delivered / seconds)} traces/s; ${delivered} delivered`,
  );
}
