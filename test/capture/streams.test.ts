import OpenAI from "openai";
import OpenAI4 from "openai4";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { wrapOpenAI } from "../../src/capture/openai.ts";
import { tracingFetch } from "../../src/capture/tracing-fetch.ts";
import { TraceLogger } from "../../src/trace-logger.ts";
import { fromTraceMessage } from "../../src/transcript.ts";
import { scriptedEndpoint } from "../support.ts";
import { type ChatServer, chunk, completion, endless, json, type Reply, startChatServer } from "./chat-server.ts";
import { collectGarbage } from "./collect-garbage.ts";
import { collectingSink } from "./collecting-sink.ts";
import { ask } from "./differential-checks.ts";

let server: ChatServer;
beforeAll(async () => {
  server = await startChatServer();
});
afterAll(() => server[Symbol.asyncDispose]());

const MiB = 2 ** 20;
const settings = () => ({ baseURL: server.baseURL, apiKey: "sk-test", maxRetries: 0 });
const clients: readonly (readonly [string, () => OpenAI])[] = [
  ["openai 7", () => new OpenAI(settings())],
  ["openai 4, whose bodies are Node streams", () => new OpenAI4(settings()) as unknown as OpenAI], // of the same form
];
const post = (body: object = ask, init: RequestInit = {}) =>
  [`${server.baseURL}/chat/completions`, { method: "POST", body: JSON.stringify(body), ...init }] as const;

const once = `data: ${JSON.stringify(chunk({ content: "Once" }))}\n\n`;

/** Streams chunks of 16 KiB as fast as they are taken. */
function flood(totalBytes: number) {
  const progress = { writtenBytes: 0, isHeldBack: false };
  const text = `data: ${JSON.stringify(chunk({ content: "x".repeat(16 * 1024 - 200) }))}\n\n`;
  const reply: Reply = async (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    while (progress.writtenBytes < totalBytes && !response.destroyed) {
      progress.writtenBytes += text.length;
      progress.isHeldBack = !response.write(text);
      if (progress.isHeldBack) await new Promise((resolve) => response.once("drain", resolve).once("close", resolve));
    }
    response.end("data: [DONE]\n\n");
  };
  return { reply, progress };
}

/** Resolves when the server is held back, and has been so for a while. */
async function standstill(progress: ReturnType<typeof flood>["progress"]) {
  let [before, unchanged] = [-1, 0];
  const look = () => {
    unchanged = progress.isHeldBack && before === progress.writtenBytes ? unchanged + 1 : 0;
    before = progress.writtenBytes;
    expect(unchanged).toBeGreaterThan(8);
  };
  await vi.waitFor(look, { interval: 25, timeout: 15_000 });
}

/** Reads a flood to its end, and stops at three quarters of it to see by how many bytes the memory in use has grown. */
async function expectGrowthBelow(limitBytes: number, stream: AsyncIterable<unknown>, totalBytes: number) {
  const usedBytes = () => {
    collectGarbage();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  const before = usedBytes();
  let count = 0;
  for await (const _ of stream) {
    if (++count !== Math.floor((totalBytes * 0.75) / (16 * 1024))) continue;
    // Polled, since buffers that are garbage already are freed when it pleases the engine.
    await vi.waitFor(() => expect(usedBytes() - before).toBeLessThan(limitBytes), { interval: 25, timeout: 10_000 });
  }
}

describe.each(clients)("%s, wrapped", (_, makeClient) => {
  test("holds the provider back when it reads slowly, and gets everything when it goes on", async () => {
    const total = 48 * MiB;
    const { reply, progress } = flood(total);
    server.script(reply);
    const sink = collectingSink();
    const client = wrapOpenAI(makeClient(), sink, { maxResponseBytes: 2 * total });
    const stream = await client.chat.completions.create({ ...ask, stream: true });
    const reader = stream[Symbol.asyncIterator]();
    let said = (await reader.next()).value?.choices[0]?.delta.content?.length ?? 0;
    await standstill(progress);
    expect(progress.writtenBytes).toBeLessThan(total / 2); // what sockets and buffers on the way hold
    for (let next = await reader.next(); !next.done; next = await reader.next())
      said += next.value.choices[0]?.delta.content?.length ?? 0;
    expect(progress.writtenBytes).toBeGreaterThanOrEqual(total);
    expect((await sink.settle())[0]?.messages[1]?.content).toHaveLength(said);
  });

  test("keeps no more of a long stream than it may", async () => {
    const total = 100 * MiB;
    server.script(flood(total).reply);
    const sink = collectingSink();
    const client = wrapOpenAI(makeClient(), sink, { maxResponseBytes: MiB });
    const stream = await client.chat.completions.create({ ...ask, stream: true });
    await expectGrowthBelow(total / 4, stream, total);
    expect((await sink.settle())[0]?.messages.at(-1)?.content).toContain('"dropped_bytes"');
  });

  test("keeps a long stream once, not twice", async () => {
    const total = 48 * MiB;
    server.script(flood(total).reply);
    const sink = collectingSink();
    const client = wrapOpenAI(makeClient(), sink, { maxResponseBytes: total });
    const stream = await client.chat.completions.create({ ...ask, stream: true });
    await expectGrowthBelow(1.3 * 0.75 * total, stream, total);
    await sink.settle();
  });

  test.each([
    ["an early break", (client: OpenAI) => breakEarly(client)],
    ["an abort", (client: OpenAI) => abortMidway(client)],
  ])("%s reaches the provider, and what was said is kept", async (_, leave) => {
    server.script(endless(chunk({ role: "assistant", content: "Once " }), chunk({ content: "upon" })));
    const sink = collectingSink();
    await leave(wrapOpenAI(makeClient(), sink));
    expect(await server.requests[0]?.cutOff).toBe(true);
    const [trace] = await sink.settle();
    expect(trace?.messages.slice(1).map((message) => fromTraceMessage(message))).toEqual([
      { message: { role: "assistant", content: "Once upon" } },
      { call: { ended: "aborted" } },
    ]);
  });
});

const abortedOnce = [{ message: { role: "assistant", content: "Once" } }, { call: { ended: "aborted" } }];

test.each(clients)("%s: a stream that nobody reads on ends with the logger that closes", async (_, makeClient) => {
  await using endpoint = await scriptedEndpoint();
  server.script(endless(chunk({ content: "Once" })));
  const logger = new TraceLogger({ endpoint: endpoint.url });
  const stream = await wrapOpenAI(makeClient(), logger).chat.completions.create({ ...ask, stream: true });
  const reader = stream[Symbol.asyncIterator]();
  await reader.next();
  await new Promise((resolve) => setImmediate(resolve)); // what is over by then is not even looked at
  await logger.close();
  expect(endpoint.stored.map(({ messages }) => messages.slice(1).map((message) => fromTraceMessage(message)))).toEqual([
    abortedOnce,
  ]);
  stream.controller.abort();
});

test("a stream that became garbage before its end is aborted", async () => {
  const sink = collectingSink();
  const body = () => new ReadableStream({ start: (controller) => controller.enqueue(Buffer.from(once)) });
  const fetch = tracingFetch(sink, { fetch: async () => new Response(body()) });
  await (async () => {
    const reader = (await fetch(...post())).body?.getReader();
    await reader?.read();
  })();
  await vi.waitFor(() => {
    collectGarbage();
    expect(sink.traces.map(({ messages }) => messages.slice(1).map((message) => fromTraceMessage(message)))).toEqual([
      abortedOnce,
    ]);
  });
});

async function breakEarly(client: OpenAI) {
  for await (const _ of await client.chat.completions.create({ ...ask, stream: true })) break;
}

async function abortMidway(client: OpenAI) {
  const controller = new AbortController();
  const stream = await client.chat.completions.create({ ...ask, stream: true }, { signal: controller.signal });
  for await (const _ of stream) controller.abort();
}

describe("a traced fetch", () => {
  /** A provider's body in the hand of the test. */
  function source() {
    const cancelled: unknown[] = [];
    let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
    const body = new ReadableStream<Uint8Array>({
      start(given) {
        controller = given;
      },
      cancel: (reason) => void cancelled.push(reason),
    });
    return { body, cancelled, fail: (error: unknown) => controller?.error(error) };
  }

  test("hands the caller's own signal on: an abort reaches the real fetch in the same tick", async () => {
    const seen: unknown[] = [];
    const given: typeof fetch = async (_, init) => {
      seen.push(init?.signal);
      return new Response("{}");
    };
    const { signal } = new AbortController();
    await tracingFetch(collectingSink(), { fetch: given })(...post(ask, { signal }));
    expect(seen).toEqual([signal]);
  });

  test("hands a cancellation on in the same tick, with its reason", async () => {
    const { body, cancelled } = source();
    const response = await tracingFetch(collectingSink(), { fetch: async () => new Response(body) })(...post());
    const done = response.body?.cancel("enough");
    expect(cancelled).toEqual(["enough"]);
    await done;
  });

  test("hands an error on as it is: the very same object", async () => {
    const { body, fail } = source();
    const response = await tracingFetch(collectingSink(), { fetch: async () => new Response(body) })(...post());
    const error = new RangeError("mine");
    const read = response.text();
    fail(error);
    await expect(read).rejects.toBe(error);
  });

  test("holds no response that nobody reads: it is collected, and its connection let go, as without tracing", async () => {
    for (const traced of [fetch, tracingFetch(collectingSink())]) {
      server.script(endless(chunk({ content: "Once" })));
      await traced(...post());
      let cutOff: boolean | undefined;
      void server.requests[0]?.cutOff.then((was) => {
        cutOff = was;
      });
      await vi.waitFor(
        () => {
          collectGarbage();
          expect(cutOff).toBe(true);
        },
        { interval: 20, timeout: 10_000 },
      );
    }
  });

  test("reads bodies of HTTP/1.1 that name no type and no length", async () => {
    const body = JSON.stringify(completion({ content: "Grüße 🌍" }));
    server.script((response) => {
      response.useChunkedEncodingByDefault = false;
      response.shouldKeepAlive = false;
      response.writeHead(200);
      response.end(body);
    }, json(body));
    const sink = collectingSink();
    const response = await tracingFetch(sink)(...post());
    expect([await response.text(), response.headers.get("content-type")]).toEqual([body, null]);
    expect((await sink.settle())[0]?.messages[1]).toEqual({ role: "assistant", content: "Grüße 🌍" });
  });
});
