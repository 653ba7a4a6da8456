/** The calls that the benches of the wrapper compare, by clients that are traced or not. */
import OpenAI from "openai";
import { TraceLogger, wrapOpenAI } from "tracelogger";

const ask = { model: "gpt-5", messages: [{ role: "user" as const, content: "Tell me something. ".repeat(10) }] };

/** Calls to be made, some of them at once. */
export interface Calls {
  readonly use: string;
  readonly times: number;
  readonly atOnce: number;
}

export interface Client {
  readonly uses: Record<string, () => Promise<unknown>>;
  readonly logger: TraceLogger | undefined;
}

export function startClient(kind: string, baseURL: string, endpoint: string): Client {
  const bare = new OpenAI({ baseURL, apiKey: "bench" });
  // Sampled out, a trace is built all the same, and goes nowhere.
  const sampleRate = kind === "wrapped, with delivery" ? 1 : 0;
  const logger = kind.startsWith("wrapped") ? new TraceLogger({ endpoint, sampleRate }) : undefined;
  const client = logger ? wrapOpenAI(bare, logger) : bare;
  const uses = {
    call: () => client.chat.completions.create(ask),
    stream: async () => {
      for await (const _ of await client.chat.completions.create({ ...ask, stream: true }));
    },
  };
  return { uses, logger };
}

/** Gives back the CPU of one call in µs, all that follows it included. */
export async function makeCalls({ uses, logger }: Client, { use, times, atOnce }: Calls): Promise<number> {
  const before = process.cpuUsage();
  for (let time = 0; time < times; time += atOnce) {
    await Promise.all(Array.from({ length: atOnce }, () => uses[use]?.()));
  }
  await logger?.flush();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / times;
}
