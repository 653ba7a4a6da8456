/**
 * Makes one call through a wrapped client, and leaves by `process.exit` as soon as it has its answer, or in the middle
 * of it, with a spool; or ends by itself, without one, in its main thread or in another.
 *
 *     node leaves.ts PROVIDER ENDPOINT call|stream|midway|ends|worker [SPOOL]
 */
import { Worker } from "node:worker_threads";
import OpenAI from "openai";
import { openSpool } from "../../../src/delivery/spool/spool.ts";
import { TraceLogger, wrapOpenAI } from "../../../src/index.ts";

const [baseURL = "", endpoint = "", kind = "", dir] = process.argv.slice(2);
const ask = { model: "gpt-test", messages: [{ role: "user" as const, content: "Tell me." }] };

if (kind === "worker") new Worker(new URL(import.meta.url), { argv: [baseURL, endpoint, "ends"] });
else {
  const logger = new TraceLogger({ endpoint, enabled: true, ...(dir && { spool: { dir, open: openSpool } }) });
  const client = wrapOpenAI(new OpenAI({ baseURL, apiKey: "none", maxRetries: 0 }), logger);
  if (kind === "call" || kind === "ends") await client.chat.completions.create(ask);
  else
    for await (const _ of await client.chat.completions.create({ ...ask, stream: true }))
      if (kind === "midway") setImmediate(() => process.exit(0));
  if (kind !== "ends") process.exit(0);
}
