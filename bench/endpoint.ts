/**
 * Traces per second, and per second of the server's CPU time, into the Node server with a `fileStore`: one trace a POST,
 * and 100 in one, alternating in one run. Needs a build. `node bench/endpoint.ts [rounds]`; TRACELOGGER_BENCH_DIR says
 * where the files go (a folder under the working directory when it is unset).
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { Agent, request } from "node:http";
import { median, traceOf } from "./support.ts";

const rounds = Number(process.argv[2] ?? 5);
const TRACES = 5_000;
const IN_FLIGHT = 8;
/** Until the compiler has done its best, as in a server that has run for minutes: a round of batches is 50 requests only. */
const WARM_UP_ROUNDS = { single: 4, batch: 12 };
let count = 0;

let singlePerCpuSecond: number | undefined;

for (const wanted of [[], ["packed"], ["pages"], ["packed", "pages on demand"]]) {
  const server = fork(new URL("endpoint-server.ts", import.meta.url), wanted, {
    stdio: ["ignore", "pipe", "inherit", "ipc"],
  });
  if (!server.stdout) throw new Error("the server has no stdout");
  const url = String((await once(server.stdout, "data"))[0]).trim();
  const agent = new Agent({ keepAlive: true, maxSockets: IN_FLIGHT });
  const ask = async (what: "cpu" | "file"): Promise<number> => {
    server.send(what);
    return Number((await once(server, "message"))[0]);
  };
  const post = (body: string) =>
    new Promise<void>((resolve, reject) => {
      request(url, { agent, method: "POST", headers: { "content-type": "application/json" } }, (response) => {
        if (response.statusCode !== 200) reject(new Error(`HTTP ${response.statusCode}`));
        response.resume().on("end", resolve);
      })
        .on("error", reject)
        .end(body);
    });

  /** Traces per second of the server's CPU, and of the clock. */
  async function measure(size: number): Promise<{ perCpuSecond: number; perSecond: number }> {
    const bodies = Array.from({ length: TRACES / size }, () => {
      const traces = Array.from({ length: size }, () =>
        JSON.stringify({ ...traceOf(1_000), id: `t${++count}`, created: 1_714_857_600 }),
      );
      return size === 1 ? String(traces[0]) : `[${traces.join(",")}]`;
    });
    const [beforeUs, startMs] = [await ask("cpu"), performance.now()];
    const waiting = bodies.values();
    await Promise.all(
      Array.from({ length: IN_FLIGHT }, async () => {
        for (const body of waiting) await post(body);
      }),
    );
    const seconds = (performance.now() - startMs) / 1_000;
    return { perCpuSecond: TRACES / (((await ask("cpu")) - beforeUs) / 1e6), perSecond: TRACES / seconds };
  }

  for (let round = 0; round < WARM_UP_ROUNDS.single; round++) await measure(1);
  for (let round = 0; round < WARM_UP_ROUNDS.batch; round++) await measure(100);
  const single: { perCpuSecond: number; perSecond: number }[] = [];
  const batch: typeof single = [];
  for (let round = 0; round < rounds; round++) {
    single.push(await measure(1));
    batch.push(await measure(100));
  }
  const of = (runs: typeof single, name: keyof (typeof single)[number]) =>
    Math.round(median(runs.map((run) => run[name])));
  // Against single requests of the same store, and against those that make a file a trace, without pages.
  singlePerCpuSecond ??= of(single, "perCpuSecond");
  const ratios = [of(single, "perCpuSecond"), singlePerCpuSecond].map((than) => of(batch, "perCpuSecond") / than);
  console.log(
    `fileStore${wanted.map((word) => `, ${word}`).join("")}: single ${of(single, "perCpuSecond")} traces per CPU second (${of(single, "perSecond")}/s), ` +
      `batch of 100 ${of(batch, "perCpuSecond")} (${of(batch, "perSecond")}/s): ` +
      `${ratios.map((ratio) => ratio.toFixed(1)).join(" times, of single files ")} times. ` +
      `An empty file costs ${(await ask("file")).toFixed(0)} µs here.`,
  );
  agent.destroy();
  server.disconnect();
}
