/**
 * A process that makes calls when it is told to, and answers what CPU each cost: of wrapper.ts. In a process of its own,
 * so that neither the compiler nor the garbage collector mixes up the costs of kinds.
 */
import OpenAI from "openai";
import { TraceLogger, wrapOpenAI } from "tracelogger";

const [kind, baseURL, endpoint] = process.argv.slice(2);
const ask = { model: "gpt-5", messages: [{ role: "user" as const, content: "Tell me something. ".repeat(10) }] };
const bare = new OpenAI({ baseURL, apiKey: "bench" });
const logger = kind === "wrapped, with delivery" ? new TraceLogger({ endpoint }) : undefined;
const client = kind?.startsWith("wrapped") ? wrapOpenAI(bare, logger ?? { logTrace: () => undefined }) : bare;

const uses: Record<string, () => Promise<unknown>> = {
  call: () => client.chat.completions.create(ask),
  stream: async () => {
    for await (const _ of await client.chat.completions.create({ ...ask, stream: true }));
  },
};

/** Calls to be made, some of them at once. */
export interface Calls {
  readonly use: string;
  readonly times: number;
  readonly atOnce: number;
}

process.on("message", async ({ use, times, atOnce }: Calls) => {
  const before = process.cpuUsage();
  for (let time = 0; time < times; time += atOnce) {
    await Promise.all(Array.from({ length: atOnce }, () => uses[use]?.()));
  }
  await new Promise((resolve) => setImmediate(resolve)); // the last trace is built in a task of its own
  await logger?.flush();
  const { user, system } = process.cpuUsage(before);
  process.send?.((user + system) / times);
});
process.on("disconnect", () => process.exit());
process.send?.("ready");
