/** What OpenAI-compatible providers do with the format, through a real client over real HTTP. */
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { wrapOpenAI } from "../../src/capture/openai.ts";
import type { Trace } from "../../src/trace.ts";
import { fromTraceMessage } from "../../src/transcript.ts";
import { type ChatServer, json, type Reply, raw, startChatServer } from "./chat-server.ts";
import { ask, drain } from "./differential-checks.ts";
import { recordingSink } from "./recording-sink.ts";

let server: ChatServer;
beforeAll(async () => {
  server = await startChatServer();
});
afterAll(() => server[Symbol.asyncDispose]());

const create = (client: OpenAI) => client.chat.completions.create(ask);
const stream = async (client: OpenAI) => drain(await client.chat.completions.create({ ...ask, stream: true }));

/** The valid traces of the calls that these replies answer. */
async function tracesOf(use: (client: OpenAI) => Promise<unknown>, ...replies: Reply[]): Promise<Trace[]> {
  server.script(...replies);
  const sink = recordingSink();
  const client = wrapOpenAI(new OpenAI({ baseURL: server.baseURL, apiKey: "k", maxRetries: 0, logLevel: "off" }), sink);
  for (const _ of replies) await use(client).catch(() => {});
  return sink.flush();
}

const answer = (more: object = {}, choice: object = {}) => ({
  id: "chatcmpl-123",
  object: "chat.completion",
  created: 1_700_000_000,
  model: "m",
  choices: [{ index: 0, message: { role: "assistant", content: "Hello there." }, finish_reason: "stop", ...choice }],
  ...more,
});
const piece = (content: string, more: object = {}) => {
  return { id: "chatcmpl-123", model: "m", choices: [{ index: 0, delta: { content } }], ...more };
};
const events = (...data: object[]) => data.map((item) => `data: ${JSON.stringify(item)}\n\n`).join("");
const done = "data: [DONE]\n\n";

/** One byte per write, so that no character and no line end is safe. */
const byteByByte =
  (text: string): Reply =>
  async (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (const byte of Buffer.from(text))
      await new Promise<void>((resolve) => response.write(Uint8Array.of(byte), () => resolve()));
    response.end();
  };

const encoded = (coding: "gzip" | "br" | "deflate", body: string, type: string): Reply => {
  const compress = { gzip: gzipSync, br: brotliCompressSync, deflate: deflateSync }[coding];
  return raw(compress(body), { "content-type": type, "content-encoding": coding });
};

const untyped =
  (body: string): Reply =>
  (response) => {
    response.shouldKeepAlive = false;
    response.useChunkedEncodingByDefault = false;
    response.writeHead(200).end(body);
  };

const jsonText = JSON.stringify(answer());
const sseText = events(piece("Hello "), piece("there.")) + done;

describe("the conversation is whole in one valid trace, when", () => {
  const cases: [string, (client: OpenAI) => Promise<unknown>, Reply][] = [
    ["created is a float", create, json(answer({ created: 1_700_000_000.123 }))],
    ["created is 0", create, json(answer({ created: 0 }))],
    ["created is missing", create, json(answer({ created: undefined }))],
    ["the index is missing", create, json(answer({}, { index: undefined }))],
    ["usage is null", create, json(answer({ usage: null }))],
    ["the id is empty, the object odd", create, json(answer({ id: "", object: "chat.thing" }))],
    ["there is no content type and no length", create, untyped(jsonText)],
    ["the content type says text", create, raw(jsonText, { "content-type": "text/plain" })],
    ["the body is in gzip", create, encoded("gzip", jsonText, "application/json")],
    ["the body is in brotli", create, encoded("br", jsonText, "application/json")],
    ["the body is in deflate", create, encoded("deflate", jsonText, "application/json")],
    ["the stream is in gzip", stream, encoded("gzip", sseText, "text/event-stream")],
    ["the stream is in brotli", stream, encoded("br", sseText, "text/event-stream")],
    ["the stream has no content type", stream, untyped(sseText)],
    ["the stream has no [DONE]", stream, raw(events(piece("Hello "), piece("there.")))],
    ["the stream ends in the middle of a line", stream, raw(events(piece("Hello ")) + events(piece("there.")).trim())],
    [
      "chunks have no index",
      stream,
      raw(events({ model: "m", choices: [{ delta: { content: "Hello " } }] }, piece("there.")) + done),
    ],
    [
      "usage is null in chunks and comes last without choices",
      stream,
      raw(events(piece("Hello there.", { usage: null }), { choices: [], usage: { total_tokens: 3 } }) + done),
    ],
    [
      "choices are empty at first",
      stream,
      raw(events({ id: "", model: "", choices: [], prompt_filter_results: [] }, piece("Hello there.")) + done),
    ],
    [
      "created is a float or 0 in chunks, and ids repeat or change",
      stream,
      raw(events(piece("Hello ", { created: 0, id: "a" }), piece("there.", { created: 1.5, id: "b" })) + done),
    ],
    [
      "comments stand between events",
      stream,
      raw(`: PROCESSING\n\n${events(piece("Hello "))}: keep-alive\n\n${events(piece("there."))}${done}`),
    ],
    [
      "events have names, ids and retry lines",
      stream,
      raw(`retry: 10\nevent: message\nid: 1\n${events(piece("Hello "))}event: x\n${events(piece("there."))}${done}`),
    ],
    ["lines end in CR LF", stream, raw(sseText.replaceAll("\n", "\r\n"))],
    ["lines end in CR", stream, raw(sseText.replaceAll("\n", "\r"))],
    ["events without data keep it alive", stream, raw(sseText.replaceAll("\n\n", "\n\ndata:\n\n"))],
    [
      "events that only say their type keep it alive",
      stream,
      raw(sseText.replaceAll("\n\n", '\n\nevent: ping\ndata: {"type":"ping"}\n\n')),
    ],
    [
      "choices are no list",
      stream,
      raw(events({ model: "m", choices: { index: 0, delta: { content: "Hello there." } } }) + done),
    ],
    [
      "the deltas say null, and a last message all of it",
      stream,
      raw(
        events({ model: "m", choices: [{ index: 0, delta: { content: null, tool_calls: [] } }] }) +
          events(answer({ object: "chat.completion" })) +
          done,
      ),
    ],
    [
      "every chunk has its time, and says how far it is",
      stream,
      raw(
        events(piece("Hello ", { created_at: "12:00:01", type: "message" })) +
          events(piece("there.", { created_at: "12:00:02", type: "end_of_stream" })) +
          done,
      ),
    ],
    ["no space follows the colon", stream, raw(sseText.replaceAll("data: ", "data:"))],
    ["every byte comes by itself, lines end in CR LF", stream, byteByByte(sseText.replaceAll("\n", "\r\n"))],
  ];
  test.each(cases)("%s", async (_, use, reply) => {
    const traces = await tracesOf(use, reply);
    expect(traces).toHaveLength(1);
    expect(traces[0]?.messages).toEqual([...ask.messages, { role: "assistant", content: "Hello there." }]);
    expect(traces[0]?.model).toBe("m");
  });
});

test("UTF-8 that is split within characters is put together", async () => {
  const [trace] = await tracesOf(stream, byteByByte(events(piece("Grüße "), piece("🌍 日本")) + done));
  expect(trace?.messages[1]?.content).toBe("Grüße 🌍 日本");
});

test("the agent that was asked is named, as its instructions are elsewhere (Mistral)", async () => {
  const body = { agent_id: "ag:1:teacher", messages: [{ role: "user", content: "Hi" }] };
  const [trace] = await tracesOf((client) => client.post("/agents/completions", { body }), json(answer()));
  expect(server.requests[0]?.path).toBe("/v1/agents/completions");
  expect(trace?.messages.map(fromTraceMessage)).toEqual([
    { message: { agent_id: "ag:1:teacher" } },
    { message: { role: "user", content: "Hi" } },
    { message: { role: "assistant", content: "Hello there." } },
  ]);
});

test("a whole message after deltas adds what they did not say", async () => {
  const called = { id: "c1", type: "function", function: { name: "look", arguments: "{}" } };
  const message = { role: "assistant", content: "Hello there.", reasoning_content: "I see.", tool_calls: [called] };
  const delta = { role: "assistant", content: "", reasoning_content: "I s", tool_calls: [] };
  const [trace] = await tracesOf(
    stream,
    raw(events({ model: "m", choices: [{ index: 0, delta }] }, answer({}, { message })) + done),
  );
  expect(trace?.choices).toEqual([{ index: 0, message, finish_reason: "stop" }]);
});

test("usage that stands in a choice alone is the call's (Moonshot)", async () => {
  const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 };
  const last = { model: "m", choices: [{ index: 0, delta: {}, finish_reason: "stop", usage }] };
  const [trace] = await tracesOf(stream, raw(events(piece("Hello there."), last) + done));
  expect(trace?.usage).toEqual(usage);
});

test("ids that repeat do not make two traces one", async () => {
  const traces = await tracesOf(create, json(answer()), json(answer()));
  expect(new Set(traces.map(({ id }) => id)).size).toBe(2);
  expect(traces.map(({ id }) => id)).not.toContain("chatcmpl-123");
});

test("an answer without choices is kept as it came", async () => {
  const [trace] = await tracesOf(create, json(answer({ choices: [] })));
  expect(trace?.messages).toEqual(ask.messages);
  expect(trace?.choices).toEqual([]);
});

test.each([
  ["a JSON error in a 200", create, json({ error: { message: "Overloaded.", code: 503 } })],
  ["a JSON error in a 200 stream", stream, raw('{"error":{"message":"Overloaded.","code":503}}')],
  [
    "a chunk of the kind error in a stream (older vLLM)",
    stream,
    raw(events(piece("Hel"), { object: "error", message: "Overloaded.", code: 503 }) + done),
    { object: "error", message: "Overloaded.", code: 503 },
  ],
  [
    "an error event in a stream",
    stream,
    raw(`${events(piece("Hel"))}${events({ error: { message: "Overloaded.", code: 503 } })}`),
  ],
] as const)("%s: the call failed, and the trace says how", async (_, use, reply, error?: object) => {
  const [trace] = await tracesOf(use, reply);
  const calls = trace?.messages.map((message) => fromTraceMessage(message).call).filter(Boolean);
  expect(calls).toEqual([{ ended: "failed", error: error ?? { message: "Overloaded.", code: 503 } }]);
});

describe("an error told within a choice: the call failed, and the messages say how", () => {
  const error = { code: 502, message: "Upstream went away." };
  test.each([
    ["OpenRouter, not streamed", create, json(answer({}, { finish_reason: "error", error })), error],
    [
      "OpenRouter, streamed",
      stream,
      raw(events(piece("Hello there."), { choices: [{ index: 0, delta: {}, finish_reason: "error", error }] }) + done),
      error,
    ],
    ["Mistral, with no word on it", create, json(answer({}, { finish_reason: "error" })), { finish_reason: "error" }],
    [
      "DeepSeek, by a reason of its own",
      create,
      json(answer({}, { finish_reason: "insufficient_system_resource" })),
      { finish_reason: "insufficient_system_resource" },
    ],
    [
      "Z.ai, by a reason of its own, streamed",
      stream,
      raw(events(piece("Hello there."), { choices: [{ index: 0, delta: {}, finish_reason: "network_error" }] }) + done),
      { finish_reason: "network_error" },
    ],
  ] as const)("%s", async (_, use, reply, told) => {
    const [trace] = await tracesOf(use, reply);
    expect(trace?.messages.slice(1).map(fromTraceMessage)).toEqual([
      { message: { role: "assistant", content: "Hello there." } },
      { call: { ended: "failed", error: told } },
    ]);
  });
});
