/**
 * What wrapping a client costs: CPU of the process per call, bare against wrapped, interleaved in one run. Prints the
 * median of the ratios of rounds, for capture alone (a sink that does nothing) and for capture with delivery.
 *
 *     node bench/wrapper.ts [rounds]
 */
import OpenAI from "openai";
import { TraceLogger, type TraceSink, wrapOpenAI } from "tracelogger";
import { median, quantile, start } from "./support.ts";

using provider = await start("provider.ts");
using endpoint = await start("sink.ts");
const rounds = Number(process.argv[2] ?? 60);
const ask = { model: "gpt-5", messages: [{ role: "user" as const, content: "Tell me something. ".repeat(10) }] };
const uses = {
  "call with a 1 KB reply": {
    calls: 50,
    use: (client: OpenAI) => client.chat.completions.create(ask),
  },
  "stream of 200 chunks": {
    calls: 10,
    use: async (client: OpenAI) => {
      for await (const _ of await client.chat.completions.create({ ...ask, stream: true }));
    },
  },
};

const bare = new OpenAI({ baseURL: provider.url, apiKey: "bench" });
const nothing: TraceSink = { logTrace: () => undefined };
const logger = new TraceLogger({ endpoint: endpoint.url });
const kinds = {
  // Bare against bare shows what the measurement itself is worth.
  "bare again": { client: bare, settle: async () => {} },
  "wrapped, capture alone": { client: wrapOpenAI(bare, nothing), settle: async () => {} },
  "wrapped, with delivery": { client: wrapOpenAI(bare, logger), settle: () => logger.flush() },
};
type Kind = { readonly client: OpenAI; settle(): Promise<unknown> };

/** CPU per call in µs, building and delivering the traces included. */
async function measure({ client, settle }: Kind, { calls, use }: (typeof uses)[keyof typeof uses]): Promise<number> {
  const before = process.cpuUsage();
  for (let call = 0; call < calls; call++) await use(client);
  await new Promise((resolve) => setTimeout(resolve, 0)); // the last trace is built in a task of its own
  await settle();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / calls;
}

for (const [name, what] of Object.entries(uses)) {
  const ratios: Record<string, number[]> = {};
  const bareUs: number[] = [];
  for (let round = -5; round < rounds; round++) {
    for (const [kind, of] of Object.entries(kinds)) {
      // In turn first and second, so that neither gains from what the other has warmed up.
      const wrappedFirst = round % 2 === 0;
      const first = await measure(wrappedFirst ? of : kinds["bare again"], what);
      const second = await measure(wrappedFirst ? kinds["bare again"] : of, what);
      if (round < 0) continue; // warming up
      const [wrappedUs, baseUs] = wrappedFirst ? [first, second] : [second, first];
      ratios[kind] = [...(ratios[kind] ?? []), wrappedUs / baseUs];
      bareUs.push(baseUs);
    }
  }
  console.log(`${name}: ${median(bareUs).toFixed(0)} µs CPU bare, ${rounds} rounds of ${what.calls} calls`);
  for (const [kind, values] of Object.entries(ratios)) {
    const percent = (q: number) => `${((quantile(values, q) - 1) * 100).toFixed(1)} %`;
    console.log(`  ${kind}: ${percent(0.5)} (quartiles ${percent(0.25)} to ${percent(0.75)})`);
  }
}
await logger.close();
