/** Control over one call, where the call is told of by a framework: the AI SDK's middleware and LangChain's handler. */
import { createOpenAI } from "@ai-sdk/openai";
import type { BaseMessage } from "@langchain/core/messages";
import { tool as langChainTool } from "@langchain/core/tools";
import { FakeListChatModel } from "@langchain/core/utils/testing";
import { ChatOpenAI } from "@langchain/openai";
import { generateText, isStepCount, type LanguageModelMiddleware, streamText, tool, wrapLanguageModel } from "ai";
import { convertArrayToReadableStream, MockLanguageModelV4 } from "ai/test";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import * as z from "zod";
import { type TracingMiddlewareOptions, tracingMiddleware } from "../../src/capture/ai-sdk.ts";
import { type CallControl, traceHeaders } from "../../src/capture/call-control.ts";
import { type TracingHandlerOptions, tracingHandler } from "../../src/capture/langchain.ts";
import { closeCall, openCall, touchCall } from "../../src/capture/open-calls.ts";
import { isTraceLoggerError } from "../../src/errors.ts";
import type { OpenCall, TraceSink } from "../../src/sink.ts";
import { type ChatServer, chunk, completion, json, sse, startChatServer, toolCall } from "./chat-server.ts";
import { recordingSink } from "./recording-sink.ts";

let server: ChatServer;
beforeAll(async () => {
  server = await startChatServer();
});
afterAll(() => server[Symbol.asyncDispose]());

const control: CallControl = { id: "trace-1 ü", systemFingerprint: "my-app", sampleKey: "talk-7" };
const marked = { id: "trace-1 ü", system_fingerprint: "my-app" };
const hello = json(completion({ content: "Hello." }));
const streamed = sse(chunk({ content: "Hello." }), chunk({}, { finish_reason: "stop" }));
const callsLook = json(completion({ tool_calls: [toolCall("call_1", "look", '{"at":"it"}')] }));

/** What the provider saw, but for what differs from call to call. */
const seen = () =>
  server.requests.map(({ path, body, headers: { "user-agent": _, ...headers } }) => ({ path, body, headers }));

interface Door {
  readonly name: string;
  readonly call: (sink: TraceSink, control?: CallControl) => Promise<unknown>;
  readonly stream: (sink: TraceSink, control?: CallControl) => Promise<unknown>;
  /** One call of the framework that is two of the model. */
  readonly twoSteps: (sink: TraceSink, control: CallControl) => Promise<unknown>;
  readonly decide: (sink: TraceSink, shouldCapture: () => boolean) => Promise<unknown>;
}

const openai = (api: "chat" | "responses", sink: TraceSink, options?: TracingMiddlewareOptions) =>
  wrapLanguageModel({
    model: createOpenAI({ baseURL: server.baseURL, apiKey: "test" })[api]("gpt-test"),
    middleware: tracingMiddleware(sink, options),
  });
const headersOf = (given?: CallControl) => ({ headers: { "x-mine": "1", ...(given && traceHeaders(given)) } });

const aiSdk: Door = {
  name: "the AI SDK, by headers",
  call: (sink, given) => generateText({ model: openai("chat", sink), prompt: "Hi", ...headersOf(given) }),
  stream: async (sink, given) =>
    streamText({ model: openai("chat", sink), prompt: "Hi", ...headersOf(given) }).consumeStream(),
  twoSteps: (sink, given) =>
    generateText({
      model: openai("chat", sink),
      prompt: "Hi",
      stopWhen: isStepCount(2),
      tools: { look: tool({ inputSchema: z.object({ at: z.string() }), execute: async () => "It is." }) },
      ...headersOf(given),
    }),
  decide: (sink, shouldCapture) => generateText({ model: openai("chat", sink, { shouldCapture }), prompt: "Hi" }),
};

const chat = (sink: TraceSink, options?: TracingHandlerOptions) =>
  new ChatOpenAI({
    model: "gpt-test",
    apiKey: "test",
    maxRetries: 0,
    configuration: { baseURL: server.baseURL },
    callbacks: [tracingHandler(sink, options)],
  });
const metadataOf = (given?: CallControl) => ({ metadata: { mine: "1", ...(given && traceHeaders(given)) } });

const langChain: Door = {
  name: "LangChain, by metadata",
  call: (sink, given) => chat(sink).invoke("Hi", metadataOf(given)),
  stream: async (sink, given) => {
    for await (const _ of await chat(sink).stream("Hi", metadataOf(given)));
  },
  twoSteps: (sink, given) => chat(sink).batch(["Hi", "Ho"], metadataOf(given)),
  decide: (sink, shouldCapture) => chat(sink, { shouldCapture }).invoke("Hi"),
};

describe.each([aiSdk, langChain])("$name", ({ call, stream, twoSteps, decide }) => {
  test.each([
    ["a call", call, hello],
    ["a stream", stream, streamed],
  ] as const)("%s is marked, and the provider is sent what it is sent without", async (_, use, reply) => {
    const sink = recordingSink();
    const logTrace = vi.spyOn(sink, "logTrace");
    server.script(reply);
    await use(sink);
    const bare = seen();
    server.script(reply);
    await use(sink, control);
    expect(seen()).toEqual(bare);
    const traces = await sink.flush();
    expect(traces).toHaveLength(2);
    expect(traces[1]).toMatchObject(marked);
    expect(logTrace.mock.lastCall?.[1]).toMatchObject({ sampleKey: "talk-7" });
  });

  test.each([
    ["call", call, hello],
    ["stream", stream, streamed],
  ] as const)("a %s that is switched off is not traced", async (_, use, reply) => {
    const sink = recordingSink();
    server.script(reply);
    await use(sink, { off: true });
    await use(sink);
    expect(await sink.flush()).toHaveLength(1);
    expect(JSON.stringify(seen())).not.toContain("tracelogger");
  });

  test("several calls of the model under one id do not overwrite each other", async () => {
    const sink = recordingSink();
    server.script(callsLook, hello);
    await twoSteps(sink, control);
    expect((await sink.flush()).map(({ id }) => id)).toEqual(["trace-1 ü", "trace-1 ü-2"]);
  });

  test("shouldCapture decides, and fails closed", async () => {
    const sink = recordingSink();
    server.script(hello);
    await decide(sink, () => false);
    await decide(sink, () => {
      throw new Error("boom");
    });
    await decide(sink, () => true);
    expect(await sink.flush()).toHaveLength(1);
  });
});

describe("the middleware", () => {
  const finish = { type: "finish" as const, finishReason: { unified: "stop" as const, raw: "stop" } };
  const usage = {
    inputTokens: { total: 1, noCache: 1, cacheRead: undefined, cacheWrite: undefined },
    outputTokens: { total: 1, text: 1, reasoning: undefined },
  };
  const mock = () =>
    new MockLanguageModelV4({
      doGenerate: { content: [{ type: "text", text: "Hello." }], ...finish, usage, warnings: [] },
      doStream: { stream: convertArrayToReadableStream([{ ...finish, usage }]) },
    });

  test("hands its model parameters that no longer know of it", async () => {
    const inner = mock();
    const model = wrapLanguageModel({ model: inner, middleware: tracingMiddleware(recordingSink()) });
    await generateText({ model, prompt: "Hi", headers: { ...traceHeaders(control), "X-Mine": "1" } });
    const [params] = inner.doGenerateCalls;
    expect(JSON.stringify(params)).not.toMatch(/tracelogger|talk-7/);
    expect(params?.headers).toMatchObject({ "x-mine": "1" });
  });

  test("leaves the parameters of a call without control as they are", async () => {
    const inner = mock();
    const params = { prompt: [], headers: { "x-mine": "1" } };
    await wrapLanguageModel({ model: inner, middleware: tracingMiddleware(recordingSink()) }).doGenerate(params);
    expect(inner.doGenerateCalls[0]).toBe(params);
  });

  test("is understood by a second one behind it", async () => {
    const sinks = [recordingSink(), recordingSink()] as const;
    const between: LanguageModelMiddleware = {
      specificationVersion: "v4",
      transformParams: async ({ params }) => ({ ...params, temperature: 0.5 }),
    };
    const middleware = [tracingMiddleware(sinks[0]), between, tracingMiddleware(sinks[1])];
    const model = wrapLanguageModel({ model: mock(), middleware });
    await generateText({ model, prompt: "Hi", headers: traceHeaders(control) });
    await generateText({ model, prompt: "Hi", headers: traceHeaders({ off: true }) });
    for (const sink of sinks) expect(await sink.flush()).toMatchObject([marked]);
  });

  test("tells shouldCapture of the model and what it is given", async () => {
    const shouldCapture = vi.fn(() => true);
    const model = wrapLanguageModel({
      model: mock(),
      middleware: tracingMiddleware(recordingSink(), { shouldCapture }),
    });
    await generateText({ model, prompt: "Hi" });
    expect(shouldCapture).toHaveBeenCalledWith({
      modelId: "mock-model-id",
      provider: "mock-provider",
      params: expect.objectContaining({ prompt: [expect.objectContaining({ role: "user" })] }),
    });
  });

  test("refuses a shouldCapture that is no function", () => {
    // @ts-expect-error the point of the test
    expect(() => tracingMiddleware(recordingSink(), { shouldCapture: "no" })).toThrow(/shouldCapture/);
  });
});

describe("the handler", () => {
  test("reaches the calls inside a chain, and no other call", async () => {
    const sink = recordingSink();
    const model = new FakeListChatModel({ responses: ["one", "two"], callbacks: [tracingHandler(sink)] });
    const chain = model.pipe((message: BaseMessage) => message.text);
    await chain.invoke("Hi", { metadata: traceHeaders({ systemFingerprint: "my-app" }) });
    await chain.invoke("Hi");
    expect((await sink.flush()).map(({ system_fingerprint }) => system_fingerprint)).toEqual([
      "my-app",
      "FakeListChatModel",
    ]);
  });

  test("keeps its metadata from the Responses API, too", async () => {
    const sink = recordingSink();
    const reply = { id: "r", object: "response", status: "completed", model: "gpt-test", output: [], usage: null };
    server.script(json(reply));
    const tools = [langChainTool(() => "", { name: "look", description: "d", schema: z.object({}) })];
    const model = new ChatOpenAI({
      model: "gpt-test",
      apiKey: "test",
      useResponsesApi: true,
      configuration: { baseURL: server.baseURL },
      callbacks: [tracingHandler(sink)],
    }).bindTools(tools);
    await model.invoke("Hi", metadataOf(control)).catch(() => {});
    expect(server.requests[0]?.path).toBe("/v1/responses");
    expect(JSON.stringify(seen())).not.toContain("tracelogger");
  });

  test("tells shouldCapture of the model, tags, metadata and what is said", async () => {
    const shouldCapture = vi.fn(() => true);
    const callbacks = [tracingHandler(recordingSink(), { shouldCapture })];
    const model = new FakeListChatModel({ responses: ["one"], callbacks });
    await model.invoke("Hi", { tags: ["mine"], metadata: { talk: 7 } });
    expect(shouldCapture).toHaveBeenCalledWith({
      model: "FakeListChatModel",
      messages: [expect.objectContaining({ content: "Hi" })],
      tags: ["mine"],
      metadata: expect.objectContaining({ talk: 7 }),
    });
  });

  test.each([{ "x-tracelogger": "%E0%A4%A" }, { "x-tracelogger": 7 }])(
    "survives metadata %j of others",
    async (metadata) => {
      const sink = recordingSink();
      await new FakeListChatModel({ responses: ["one"], callbacks: [tracingHandler(sink)] }).invoke("Hi", { metadata });
      expect(await sink.flush()).toHaveLength(1);
    },
  );
});

describe("a call whose end nobody tells", () => {
  afterEach(() => vi.useRealTimers());
  const hour = 3_600_000;
  const sink = recordingSink();

  function call(): OpenCall & { readonly abandon: ReturnType<typeof vi.fn<() => void>> } {
    const self: OpenCall & { abandon: ReturnType<typeof vi.fn<() => void>> } = {
      abandon: vi.fn<() => void>(() => closeCall(self, sink)),
    };
    return self;
  }

  test("is given up when another begins an hour after something was last heard of it", () => {
    vi.useFakeTimers();
    const [silent, heard, later] = [call(), call(), call()];
    openCall(silent, sink); // 1. both begin
    openCall(heard, sink);
    vi.advanceTimersByTime(hour / 2);
    touchCall(heard); // 2. half an hour later one of them says something
    vi.advanceTimersByTime(hour / 2);
    expect(silent.abandon).not.toHaveBeenCalled();
    openCall(later, sink); // 3. the hour of the other is over
    expect(silent.abandon).toHaveBeenCalledTimes(1);
    expect(heard.abandon).not.toHaveBeenCalled();
    for (const one of [heard, later]) closeCall(one, sink);
  });

  test("is not opened again by what is heard after its end", () => {
    vi.useFakeTimers();
    const [ended, later] = [call(), call()];
    openCall(ended, sink);
    closeCall(ended, sink);
    touchCall(ended);
    vi.advanceTimersByTime(hour);
    openCall(later, sink);
    expect(ended.abandon).not.toHaveBeenCalled();
    closeCall(later, sink);
  });
});

describe("what these doors do not take is refused, and what they take is said", () => {
  test.each<[string, object | null, RegExp]>([
    ["a fetch", { fetch }, /no option `fetch` here\. There are: captureErrors, shouldCapture/],
    ["what only a fetch can ask for", { includeUsage: true }, /no option `includeUsage`/],
    ["what only a fetch can bound", { maxResponseBytes: 1 }, /no option `maxResponseBytes`/],
    ["a misspelt name", { captureerrors: true }, /no option `captureerrors`/],
    ["no object", null, /Option `options`: expected an object, got null/],
  ])("%s", (_name, options, message) => {
    const given = options as object; // as JavaScript callers do
    for (const door of [tracingMiddleware, tracingHandler])
      expect(() => door(recordingSink(), given)).toThrow(expect.toSatisfy(isTraceLoggerError));
    expect(() => tracingMiddleware(recordingSink(), given)).toThrow(message);
    expect(() => tracingHandler(recordingSink(), given)).toThrow(message);
  });
});
