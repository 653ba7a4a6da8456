/** 100 MB through a wrapped client, in a process of its own: what is kept is bounded, and so is its memory. */
import { execFile } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { callEnding } from "../../src/transcript.ts";
import { scriptedEndpoint } from "../support.ts";
import { chunk, type Reply, sse, startChatServer } from "./chat-server.ts";

const MB = 1_000_000;
const event = (content: string, id = "chatcmpl-1") => `data: ${JSON.stringify({ ...chunk({ content }), id })}\n\n`;

const flood =
  (bytes: number, write: (count: number) => string): Reply =>
  async (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    const closed = once(response, "close");
    response.write(event("The first words. "));
    for (let [sent, count] = [0, 0]; sent < bytes && !response.destroyed; count++) {
      const events = write(count);
      sent += events.length;
      if (!response.write(events)) await Promise.race([once(response, "drain"), closed]);
    }
    response.end(`${event("The last words.")}data: [DONE]\n\n`);
  };
/** A kilobyte of text in every event, so that the text alone is far more than a trace may hold. */
const longText = flood(100 * MB, () => event("A thousand letters or so. ".repeat(40)));
/** A word in every event, as models stream: 15 MB hold half a MB of text. */
const words = flood(15 * MB, (count) => Array.from({ length: 100 }, (_, at) => event(` ${count * 100 + at}`)).join(""));

interface Measured {
  readonly seenBytes: number;
  readonly passing: { readonly heap: number; readonly all: number };
  readonly after: { readonly heap: number; readonly all: number };
  readonly maxRssBytes: number;
  readonly lost?: unknown;
}

async function measure(reply: Reply, endpoint?: string): Promise<Measured> {
  await using provider = await startChatServer();
  provider.script(sse(chunk({ content: "warm" })), reply);
  const program = resolve(import.meta.dirname, "programs/long-stream.ts");
  const args = ["--expose-gc", program, provider.baseURL, ...(endpoint === undefined ? [] : [endpoint])];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  console.log(endpoint === undefined ? "bare:   " : "wrapped:", stdout.trim());
  return JSON.parse(stdout);
}

const timeoutMs = 240_000;

test(
  "of 100 MB no more is kept than a trace may hold: head and tail arrive, and it says what was left out",
  async () => {
    await using endpoint = await scriptedEndpoint();
    const bare = await measure(longText);
    const wrapped = await measure(longText, endpoint.url);
    expect(wrapped.seenBytes).toBe(bare.seenBytes);
    expect(wrapped.lost).toBe(0);
    expect(wrapped.passing.heap - bare.passing.heap).toBeLessThan(6 * MB);
    // Off the heap: what is kept, what has just come, and what is freed with the next collection.
    expect(wrapped.passing.all - bare.passing.all).toBeLessThan(15 * MB);
    expect(wrapped.after.all).toBeLessThan(6 * MB);

    const trace = endpoint.stored.at(-1);
    const said = trace?.messages[1]?.content ?? "";
    expect(said).toMatch(/^The first words\. A thousand letters/);
    expect(said).toMatch(/A thousand letters or so\. The last words\.$/);
    expect(said).toMatch(/\[… \d+ (?:bytes|characters) left out …\]/);
    expect(trace && callEnding(trace)).toMatchObject({ ended: "complete", dropped_bytes: expect.any(Number) });
  },
  timeoutMs,
);

test(
  "15 MB that hold half a MB of text are kept whole, and take no more memory",
  async () => {
    await using endpoint = await scriptedEndpoint();
    const bare = await measure(words);
    const wrapped = await measure(words, endpoint.url);
    expect(wrapped.passing.all - bare.passing.all).toBeLessThan(8 * MB);
    const said = endpoint.stored.at(-1)?.messages[1]?.content ?? "";
    const numbers = said.replace("The first words. ", "").replace("The last words.", "").trim().split(" ");
    expect(numbers.length).toBeGreaterThan(50_000);
    expect(numbers.every((number, index) => number === String(index))).toBe(true);
  },
  timeoutMs,
);
