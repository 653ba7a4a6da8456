/**
 * Makes one call through a wrapped client, and leaves by `process.exit` as soon as it has its answer, or in the middle
 * of it.
 *
 *     node leaves.ts PROVIDER ENDPOINT SPOOL call|stream|midway
 */
import OpenAI from "openai";
import { openSpool } from "../../../src/delivery/spool/spool.ts";
import { TraceLogger, wrapOpenAI } from "../../../src/index.ts";

const [baseURL = "", endpoint, dir = "", kind] = process.argv.slice(2);
const logger = new TraceLogger({ endpoint, enabled: true, spool: { dir, open: openSpool } });
const client = wrapOpenAI(new OpenAI({ baseURL, apiKey: "none", maxRetries: 0 }), logger);
const ask = { model: "gpt-test", messages: [{ role: "user" as const, content: "Tell me." }] };
if (kind === "call") await client.chat.completions.create(ask);
else
  for await (const _ of await client.chat.completions.create({ ...ask, stream: true }))
    if (kind === "midway") setImmediate(() => process.exit(0));
process.exit(0);
