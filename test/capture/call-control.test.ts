import OpenAI from "openai";
import OpenAI4 from "openai4";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type CallControl, traceHeaders } from "../../src/capture/call-control.ts";
import { wrapOpenAI } from "../../src/capture/openai.ts";
import type { CaptureOptions } from "../../src/capture/options.ts";
import { tracingFetch } from "../../src/capture/tracing-fetch.ts";
import { isTraceLoggerError } from "../../src/errors.ts";
import { type ChatServer, completion, json, startChatServer } from "./chat-server.ts";
import { collectingSink } from "./collecting-sink.ts";
import { ask } from "./differential-checks.ts";

let server: ChatServer;
beforeAll(async () => {
  server = await startChatServer();
});
afterAll(() => server[Symbol.asyncDispose]());

const settings = () => ({ baseURL: server.baseURL, apiKey: "sk-test", maxRetries: 0, logLevel: "off" as const });
const hello = json(completion({ content: "Hello." }));

function traced(options: CaptureOptions = {}) {
  const sink = collectingSink();
  return { sink, client: wrapOpenAI(new OpenAI(settings()), sink, options) };
}

describe("traceHeaders", () => {
  const control: CallControl = { id: "trace-1 ü", systemFingerprint: "my-app", sampleKey: "c-1" };
  const marked = { id: "trace-1 ü", system_fingerprint: "my-app" };

  test("mark the trace, and the provider is sent what it is sent without them", async () => {
    server.script(hello);
    const { client, sink } = traced();
    await client.chat.completions.create(ask, { headers: { "x-mine": "1" } });
    await client.chat.completions.create(ask, { headers: { "x-mine": "1", ...traceHeaders(control) } });
    const [first, second] = server.requests;
    expect(second?.headers).toEqual(first?.headers);
    expect(second?.body).toEqual(first?.body);
    expect((await sink.settle(2))[1]).toMatchObject(marked);
  });

  test("give several calls of one id ids of their own, so that none overwrites another", async () => {
    server.script(hello);
    const { client, sink } = traced();
    for (const _ of [1, 2, 3]) await client.chat.completions.create(ask, { headers: traceHeaders({ id: "run" }) });
    expect((await sink.settle(3)).map(({ id }) => id)).toEqual(["run", "run-2", "run-3"]);
  });

  test("tell the sink by which key to sample", async () => {
    server.script(hello);
    const { client, sink } = traced();
    const logTrace = vi.spyOn(sink, "logTrace");
    await client.chat.completions.create(ask, { headers: traceHeaders(control) });
    await sink.settle();
    expect(logTrace.mock.lastCall?.[1]).toMatchObject({ sampleKey: "c-1" });
  });

  test("switch tracing off for one call", async () => {
    server.script(hello);
    const { client, sink } = traced();
    await client.chat.completions.create(ask, { headers: traceHeaders({ off: true }) });
    await client.chat.completions.create({ ...ask, model: "other" });
    expect(await sink.settle()).toHaveLength(1);
    expect(server.requests[0]?.headers).not.toHaveProperty("x-tracelogger");
  });

  test("are taken away from calls that are not traced", async () => {
    server.script(json({ data: [] }));
    const { client } = traced();
    await client.models.list({ headers: traceHeaders(control) });
    expect(server.requests[0]?.headers).not.toHaveProperty("x-tracelogger");
  });

  test("work with openai 4, which brings its own fetch", async () => {
    server.script(hello);
    const sink = collectingSink();
    const client = wrapOpenAI(new OpenAI4(settings()), sink);
    const messages = [{ role: "user" as const, content: "Say hello." }];
    await client.chat.completions.create({ model: "gpt-test", messages }, { headers: traceHeaders(control) });
    expect((await sink.settle())[0]).toMatchObject(marked);
    expect(server.requests[0]?.headers).not.toHaveProperty("x-tracelogger");
  });

  test("are understood by every logger that a client is wrapped for", async () => {
    server.script(hello);
    const sinks = [collectingSink(), collectingSink()] as const;
    const client = wrapOpenAI(wrapOpenAI(new OpenAI(settings()), sinks[0]), sinks[1]);
    await client.chat.completions.create(ask, { headers: traceHeaders(control) });
    for (const sink of sinks) expect((await sink.settle())[0]).toMatchObject(marked);
    expect(server.requests[0]?.headers).not.toHaveProperty("x-tracelogger");
  });

  const headers = () => ({ "Content-Type": "application/json", ...traceHeaders(control) });
  test.each<[string, (url: string) => Parameters<typeof fetch>]>([
    ["an object", (url) => [url, { method: "POST", body: JSON.stringify(ask), headers: headers() }]],
    ["pairs", (url) => [url, { method: "POST", body: JSON.stringify(ask), headers: Object.entries(headers()) }]],
    ["Headers", (url) => [url, { method: "POST", body: JSON.stringify(ask), headers: new Headers(headers()) }]],
    ["a Request", (url) => [new Request(url, { method: "POST", body: JSON.stringify(ask), headers: headers() })]],
  ])("may be given to fetch as %s, which stays as it is", async (_, call) => {
    server.script(hello);
    const sink = collectingSink();
    const args = call(`${server.baseURL}/chat/completions`);
    await tracingFetch(sink)(...args).then((response) => response.text());
    expect((await sink.settle())[0]).toMatchObject(marked);
    expect(server.requests[0]?.headers).toMatchObject({ "content-type": "application/json" });
    expect(server.requests[0]?.headers).not.toHaveProperty("x-tracelogger");
    expect(new Headers(args[1]?.headers ?? (args[0] as Request).headers).has("x-tracelogger")).toBe(true);
  });

  test("may be given in a Request of a class of its own, as undici and node-fetch have one", async () => {
    server.script(hello);
    const sink = collectingSink();
    const url = `${server.baseURL}/chat/completions`;
    const request = new Request(url, { method: "POST", body: JSON.stringify(ask), headers: headers() });
    const own = {
      url,
      method: "POST",
      headers: request.headers,
      clone: () => request.clone(),
      text: () => request.text(),
    } as Request; // what is looked at
    const fetchOwn: typeof fetch = async (input, init) =>
      fetch(url, { method: "POST", ...init, body: await (input as Request).text() }); // it is the one above
    await tracingFetch(sink, { fetch: fetchOwn })(own).then((response) => response.text());
    const [trace] = await sink.settle();
    expect(trace).toMatchObject(marked);
    expect(trace?.messages).toHaveLength(ask.messages.length + 1);
    expect(server.requests[0]?.headers).not.toHaveProperty("x-tracelogger");
  });

  test("that somebody else wrote change nothing", async () => {
    server.script(hello);
    const { client, sink } = traced();
    await client.chat.completions.create(ask, { headers: { "x-tracelogger": "%E0%A4%A" } });
    expect(await sink.settle()).toHaveLength(1);
  });

  test.each([{ id: "" }, { id: 7 }, { off: "yes" }, { sampleKey: null }, { sampelKey: "talk" }])("refuse %j", (bad) => {
    // @ts-expect-error the point of the test, for most of them
    expect(() => traceHeaders(bad)).toThrow(expect.objectContaining({ code: "invalid_option" }));
  });
});

describe("shouldCapture", () => {
  test("decides by the address and the request", async () => {
    server.script(hello);
    const { client, sink } = traced({
      shouldCapture: ({ url, request }) => url.includes("/chat/") && request?.["model"] !== "secret",
    });
    await client.chat.completions.create({ ...ask, model: "secret" });
    await client.chat.completions.create(ask);
    expect(await sink.settle()).toHaveLength(1);
  });

  test("that throws leaves the call alone, untraced", async () => {
    server.script(hello);
    const { client, sink } = traced({
      shouldCapture: ({ request }) => {
        if (request?.["model"] === "odd") throw new Error("boom");
        return true;
      },
    });
    await client.chat.completions.create({ ...ask, model: "odd" });
    await client.chat.completions.create(ask);
    expect(await sink.settle()).toHaveLength(1);
  });

  test("that is no function is refused", () => {
    // @ts-expect-error the point of the test
    expect(() => traced({ shouldCapture: true })).toThrow(expect.toSatisfy(isTraceLoggerError));
  });
});
