/**
 * Reads one long stream, bare or wrapped, and prints as JSON by how many bytes its memory grew: while it passed (garbage
 * collected), at the most while the trace was made and delivered, and after that. Needs --expose-gc.
 *
 *     node --expose-gc long-stream.ts PROVIDER [ENDPOINT [maxResponseBytes]]
 */
import OpenAI from "openai";
import { TraceLogger, wrapOpenAI } from "../../../src/index.ts";

const [baseURL = "", endpoint, maxResponseBytes] = process.argv.slice(2);
const bare = new OpenAI({ baseURL, apiKey: "none", maxRetries: 0 });
const logger = endpoint === undefined ? undefined : new TraceLogger({ endpoint, enabled: true });
const limits = maxResponseBytes === undefined ? {} : { maxResponseBytes: Number(maxResponseBytes) };
const client = logger ? wrapOpenAI(bare, logger, limits) : bare;

const ask = { model: "gpt-test", stream: true as const, messages: [{ role: "user" as const, content: "Tell me." }] };
for await (const _ of await client.chat.completions.create({ ...ask, model: "warm-up" }));
await logger?.flush();

/** Freed buffers are given back in the next turns of the loop, and what they free in the one after. */
async function usedBytes() {
  for (let turn = 0; turn < 3; turn++) {
    globalThis.gc?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { heapUsed, external } = process.memoryUsage();
  return { heap: heapUsed, all: heapUsed + external };
}

const before = await usedBytes();
const passing = { heap: 0, all: 0 };
let seenBytes = 0;
let chunks = 0;
for await (const chunk of await client.chat.completions.create(ask)) {
  seenBytes += chunk.choices[0]?.delta.content?.length ?? 0;
  if (++chunks % 8_192 !== 0) continue;
  const now = await usedBytes();
  passing.heap = Math.max(passing.heap, now.heap - before.heap);
  passing.all = Math.max(passing.all, now.all - before.all);
}
const report = await logger?.flush();
const after = await usedBytes();
const rest = { heap: after.heap - before.heap, all: after.all - before.all };
const { maxRSS } = process.resourceUsage();
console.log(JSON.stringify({ seenBytes, passing, after: rest, maxRssBytes: maxRSS * 1024, lost: report?.lost }));
await logger?.close();
