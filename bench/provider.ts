/**
 * A provider on loopback in a process of its own: a completion of 1 KB, or a stream of 200 chunks. Prints its URL.
 *
 *     node bench/provider.ts [milliseconds from chunk to chunk]
 */
import { createServer } from "node:http";
import { sleep } from "./support.ts";

const about = { id: "chatcmpl-1", created: 1_700_000_000, model: "gpt-5" };
const message = {
  role: "assistant",
  content: "Lorem ipsum dolor sit amet. ".repeat(26),
  refusal: null,
  annotations: [],
};
const whole = JSON.stringify({
  ...about,
  object: "chat.completion",
  choices: [{ index: 0, message, logprobs: null, finish_reason: "stop" }],
  usage: { prompt_tokens: 9, completion_tokens: 200, total_tokens: 209 },
});
const event = (delta: object, finish_reason: string | null = null) => {
  const choices = [{ index: 0, delta, logprobs: null, finish_reason }];
  return `data: ${JSON.stringify({ ...about, object: "chat.completion.chunk", choices })}\n\n`;
};
const events = Array.from({ length: 199 }, () => event({ content: " word" }));

/** So that each arrives by itself, as they do from models: as fast as can be written, twenty and more are read at once. */
const chunkEveryMs = Number(process.argv[2] ?? 2);

const server = createServer(async (request, response) => {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part);
  if (!JSON.parse(Buffer.concat(parts).toString()).stream) {
    response.writeHead(200, { "content-type": "application/json" }).end(whole);
    return;
  }
  response.writeHead(200, { "content-type": "text/event-stream" });
  for (const text of events) {
    response.write(text);
    await sleep(chunkEveryMs);
  }
  response.end(`${event({}, "stop")}data: [DONE]\n\n`);
});
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (typeof address === "object") console.log(`http://127.0.0.1:${address?.port}/v1`);
});
process.on("disconnect", () => process.exit());
