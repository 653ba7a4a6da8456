import { once } from "node:events";
import { PassThrough, type Readable } from "node:stream";
import fc from "fast-check";
import OpenAI from "openai";
import OpenAI4 from "openai4";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { wrapOpenAI } from "../../src/capture/openai.ts";
import { tracingFetch } from "../../src/capture/tracing-fetch.ts";
import { callEnding } from "../../src/transcript.ts";
import { type ChatServer, chunk, endless, json, type Reply, raw, sse, startChatServer } from "./chat-server.ts";
import { collectingSink } from "./collecting-sink.ts";
import { ask, drain } from "./differential-checks.ts";

let server: ChatServer;
beforeAll(async () => {
  server = await startChatServer();
});
afterAll(() => server[Symbol.asyncDispose]());

const settings = () => ({ baseURL: server.baseURL, apiKey: "sk-test", maxRetries: 0, logLevel: "off" as const });
const usage = { prompt_tokens: 9, completion_tokens: 3, total_tokens: 12 };
const said = [
  chunk({ role: "assistant", content: "Hel" }),
  chunk({ content: "lo." }),
  chunk({}, { finish_reason: "stop" }),
];
const told = {
  id: "chatcmpl-1",
  object: "chat.completion.chunk",
  created: 1,
  model: "gpt-test-2026",
  choices: [],
  usage,
};

/** Tells usage to those who ask for it, as OpenAI does. */
const provider: Reply = (response, request) => {
  const asked = JSON.parse(request.body).stream_options?.include_usage === true;
  return sse(...said, ...(asked ? [told] : []))(response, request);
};
const refuse: Reply = (response, request) => {
  const asked = request.body.includes("stream_options");
  const no = json(
    { error: { message: "Unknown field: stream_options", type: "invalid_request_error" } },
    { status: 400 },
  );
  return (asked ? no : sse(...said))(response, request);
};

function traced(options = {}) {
  const sink = collectingSink();
  return { sink, client: wrapOpenAI(new OpenAI(settings()), sink, { includeUsage: true, ...options }) };
}

const bodies = () => server.requests.map(({ body }) => JSON.parse(body));
const streamed = { ...ask, stream: true } as const;

describe("includeUsage", () => {
  test("puts usage into the trace; the caller sees the chunks that were asked for", async () => {
    server.script(provider);
    const { client, sink } = traced();
    expect(await drain(await client.chat.completions.create(streamed))).toEqual(said);
    expect(bodies()).toEqual([{ ...streamed, stream_options: { include_usage: true } }]);
    expect((await sink.settle())[0]).toMatchObject({ usage, choices: [{ message: { content: "Hello." } }] });
  });

  test("works with openai 4 and its own fetch", async () => {
    server.script(provider);
    const sink = collectingSink();
    const client = wrapOpenAI(new OpenAI4(settings()), sink, { includeUsage: true });
    const messages = [{ role: "user" as const, content: "Say hello." }];
    expect(await drain(await client.chat.completions.create({ model: "gpt-test", messages, stream: true }))).toEqual(
      said,
    );
    expect((await sink.settle())[0]).toMatchObject({ usage });
  });

  test("leaves a body that is a stream of Node's one: it can be left, aborted and piped", async () => {
    const sink = collectingSink();
    const { chat } = wrapOpenAI(new OpenAI4(settings()), sink, { includeUsage: true });
    const messages = [{ role: "user" as const, content: "Say hello." }];
    const create = () => chat.completions.create({ model: "gpt-test", messages, stream: true });
    server.script(endless(...said));
    for await (const first of await create()) {
      expect(first).toEqual(said[0]);
      break; // and the client aborts the request, of which node-fetch tells the body by `emit`
    }
    const aborted = await create();
    const pieces = aborted[Symbol.asyncIterator]();
    await pieces.next();
    aborted.controller.abort();
    await drain({ [Symbol.asyncIterator]: () => pieces });
    for (const { cutOff } of server.requests) expect(await cutOff).toBe(true);
    const { body } = await create().asResponse();
    const nodes = body as unknown as Readable; // as node-fetch has it
    expect(String((await once(nodes.pipe(new PassThrough()), "data"))[0])).toContain("Hel");
    nodes.destroy();
    const endings = (await sink.settle(3)).map((trace) => callEnding(trace).ended);
    expect(endings).toEqual(["aborted", "aborted", "aborted"]);
  });

  test("adds to other stream options", async () => {
    server.script(provider);
    const { client } = traced();
    await drain(await client.chat.completions.create({ ...streamed, stream_options: { include_obfuscation: false } }));
    expect(bodies()[0].stream_options).toEqual({ include_obfuscation: false, include_usage: true });
  });

  test.each([true, false])("leaves a caller alone who said %j", async (include_usage) => {
    server.script(provider);
    const { client } = traced();
    const body = { ...streamed, stream_options: { include_usage } };
    expect(await drain(await client.chat.completions.create(body))).toEqual(include_usage ? [...said, told] : said);
    expect(bodies()).toEqual([body]);
  });

  test("changes nothing of a call that is not streamed", async () => {
    server.script(json({ choices: [] }));
    const { client } = traced();
    await client.chat.completions.create(ask);
    expect(bodies()).toEqual([ask]);
  });

  test("sends the request as it was to a provider that refuses, and does not ask it again", async () => {
    server.script(refuse);
    const { client, sink } = traced({ captureErrors: true });
    for (const _ of [1, 2]) expect(await drain(await client.chat.completions.create(streamed))).toEqual(said);
    expect(bodies().map((body) => "stream_options" in body)).toEqual([true, false, false]);
    expect(await sink.settle(2)).toHaveLength(2);
  });

  test("shows the refusal of a request that is refused for itself, and asks again next time", async () => {
    const no = json({ error: { message: "No such model." } }, { status: 400 });
    server.script(no, no, provider);
    const { client, sink } = traced();
    await expect(client.chat.completions.create(streamed)).rejects.toThrow("No such model.");
    await drain(await client.chat.completions.create(streamed));
    expect(bodies().map((body) => "stream_options" in body)).toEqual([true, false, true]);
    expect((await sink.settle())[0]).toMatchObject({ usage });
  });

  test("keeps numbers that JavaScript cannot read", async () => {
    server.script(provider);
    const sink = collectingSink();
    const body = '{"model":"m","seed":12345678901234567890,"stream":true,"messages":[]}';
    const post = { method: "POST", body, headers: { "Content-Length": String(body.length) } };
    await (await tracingFetch(sink, { includeUsage: true })(`${server.baseURL}/chat/completions`, post)).text();
    expect(server.requests[0]?.body).toContain("12345678901234567890");
  });

  test("keeps empty chunks that tell of something else", async () => {
    const filtered = { ...told, usage: null, prompt_filter_results: [{ prompt_index: 0 }] };
    server.script(sse(filtered, ...said, told));
    const { client } = traced();
    expect(await drain(await client.chat.completions.create(streamed))).toEqual([filtered, ...said]);
  });

  test("still lets go of the provider when its reader leaves", async () => {
    server.script(endless(...said));
    const { client, sink } = traced();
    for await (const _ of await client.chat.completions.create(streamed)) break;
    expect(await server.requests[0]?.cutOff).toBe(true);
    expect((await sink.settle())[0]?.messages.at(-1)?.content).toContain("aborted");
  });

  test("passes every byte but the chunk's, wherever the body is cut and however its lines end", async () => {
    const ends = fc.constantFrom("\n", "\r\n", "\r");
    await fc.assert(
      fc.asyncProperty(ends, fc.array(fc.nat(400), { maxLength: 8 }), async (end, cuts) => {
        const event = (value: unknown) => `data: ${JSON.stringify(value)}${end}${end}`;
        const shown = [`: hi „ü“ 🌕${end}${end}`, ...said.map(event)].join("");
        const bytes = Buffer.from(`${shown}${event(told)}data: [DONE]${end}${end}half`);
        const edges = [0, ...cuts.filter((cut) => cut < bytes.length).sort((a, b) => a - b), bytes.length];
        const body = new ReadableStream({
          start(controller) {
            for (const [i, at] of edges.slice(1).entries())
              controller.enqueue(new Uint8Array(bytes.subarray(edges[i], at)));
            controller.close();
          },
        });
        const fetch = tracingFetch(collectingSink(), { includeUsage: true, fetch: async () => new Response(body) });
        const response = await fetch("http://127.0.0.1/chat/completions", { method: "POST", body: '{"stream":true}' });
        expect(await response.text()).toBe(`${shown}data: [DONE]${end}${end}half`);
      }),
    );
  });

  test("shows an event of any length whole", async () => {
    const long = chunk({ content: "so long ".repeat(100_000) });
    server.script(sse(long, ...said, told));
    const { client } = traced();
    expect(await drain(await client.chat.completions.create(streamed))).toEqual([long, ...said]);
  });

  test("shows a body of another form whole", async () => {
    server.script(raw('{"error":{"message":"busy"}}'));
    const fetch = tracingFetch(collectingSink(), { includeUsage: true });
    const response = await fetch(`${server.baseURL}/chat/completions`, { method: "POST", body: '{"stream":true}' });
    expect(await response.json()).toEqual({ error: { message: "busy" } });
  });
});
