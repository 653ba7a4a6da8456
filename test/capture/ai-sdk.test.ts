import { createHash } from "node:crypto";
import { runInNewContext } from "node:vm";
import { createOpenAI } from "@ai-sdk/openai";
import type { LanguageModelV4, LanguageModelV4StreamPart, LanguageModelV4Usage } from "@ai-sdk/provider";
import {
  generateObject,
  generateText,
  isStepCount,
  type LanguageModel,
  Output,
  streamObject,
  streamText,
  tool,
  wrapLanguageModel,
} from "ai";
import { convertArrayToReadableStream, convertReadableStreamToArray, MockLanguageModelV4 } from "ai/test";
import { describe, expect, test, vi } from "vitest";
import * as z from "zod";
import { type TracingMiddlewareOptions, tracingMiddleware } from "../../src/capture/ai-sdk.ts";
import { tracingFetch } from "../../src/capture/tracing-fetch.ts";
import type { TraceSink } from "../../src/sink.ts";
import type { Trace } from "../../src/trace.ts";
import { TraceLogger } from "../../src/trace-logger.ts";
import { fromTraceMessage } from "../../src/transcript.ts";
import { scriptedEndpoint } from "../support.ts";
import {
  broken,
  type ChatServer,
  chunk,
  completion,
  endless,
  json,
  type Reply,
  sse,
  startChatServer,
  toolCall,
} from "./chat-server.ts";
import { collectGarbage } from "./collect-garbage.ts";
import { recordingSink } from "./recording-sink.ts";

const said = (trace: Trace | undefined): unknown[] =>
  (trace?.messages ?? []).map((message) => {
    const { message: spoken, call } = fromTraceMessage(message);
    return spoken ?? { call };
  });

const traced = (model: LanguageModelV4, sink: TraceSink, options?: TracingMiddlewareOptions): LanguageModelV4 =>
  wrapLanguageModel({ model, middleware: tracingMiddleware(sink, options) });

/** What ends a stream when usage was asked for. */
const usageChunk = { ...chunk({}), choices: [], usage: { prompt_tokens: 9, completion_tokens: 3, total_tokens: 12 } };

type Api = "chat" | "responses";
const openai = (provider: ChatServer, api: Api = "chat", fetch = globalThis.fetch): LanguageModelV4 =>
  createOpenAI({ baseURL: provider.baseURL, apiKey: "test", fetch })[api]("gpt-test");

/** What SDK and provider make up for each call. */
const withoutChance = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (key, field) =>
      /^(timestamp|callId|messageId|date|performance|.*Ms|headers|id)$/.test(key) ? undefined : field,
    ),
  );

const sent = ({ requests }: ChatServer) => requests.map(({ path, body }) => ({ path, body }));

/** The same calls with the bare and with the wrapped model: what each gave, what reached the provider, the traces. */
async function compare(api: Api, script: readonly Reply[], use: (model: LanguageModel) => unknown) {
  await using provider = await startChatServer();
  const sink = recordingSink();
  const bareModel = openai(provider, api);
  provider.script(...script);
  const bare = withoutChance(await use(bareModel));
  const bareRequests = sent(provider);
  provider.script(...script);
  const wrapped = withoutChance(await use(traced(bareModel, sink)));
  expect(wrapped).toEqual(bare);
  expect(sent(provider)).toEqual(bareRequests);
  return { result: wrapped, traces: await sink.flush() };
}

const weather = tool({
  description: "The weather in a city",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => ({ city, sky: "clear\nand cold" }),
});

describe("with @ai-sdk/openai over HTTP, the wrapped model gives what the bare one gives, and the trace holds", () => {
  test("generateText (chat)", async () => {
    const { result, traces } = await compare("chat", [json(completion({ content: "Hi there" }))], async (model) => {
      const { text, content, usage, finishReason, response } = await generateText({
        model,
        instructions: "Be brief",
        prompt: "Hello",
      });
      return { text, content, usage, finishReason, response };
    });
    expect(result).toMatchObject({ text: "Hi there" });
    expect(traces).toHaveLength(1);
    expect(traces[0]).toMatchObject({
      model: "gpt-test-2026",
      messages: [
        { role: "system", content: "Be brief" },
        { role: "user", content: "Hello" },
        { role: "assistant", content: "Hi there" },
      ],
      choices: [{ index: 0, message: { role: "assistant", content: "Hi there" }, finish_reason: "stop" }],
      usage: { inputTokens: { total: 9 }, raw: { prompt_tokens: 9, total_tokens: 12 } },
    });
  });

  test("streamText (chat), part by part", async () => {
    const script = sse(
      chunk({ role: "assistant", content: "" }),
      chunk({ content: "Hi " }),
      chunk({ content: "thére 👋" }),
      chunk({}, { finish_reason: "stop" }),
      usageChunk,
    );
    const { result, traces } = await compare("chat", [script], async (model) =>
      convertReadableStreamToArray(streamText({ model, prompt: "Hello" }).fullStream),
    );
    expect(result).toContainEqual(expect.objectContaining({ type: "text-delta", text: "thére 👋" }));
    expect(traces).toMatchObject([
      {
        model: "gpt-test-2026",
        messages: [
          { role: "user", content: "Hello" },
          { role: "assistant", content: "Hi thére 👋" },
        ],
        choices: [{ finish_reason: "stop", message: { content: "Hi thére 👋" } }],
        usage: { raw: { prompt_tokens: 9 } },
      },
    ]);
  });

  const responseItems = [
    {
      id: "rs_1",
      type: "reasoning",
      summary: [
        { type: "summary_text", text: "First thought." },
        { type: "summary_text", text: "Second thought." },
      ],
    },
    {
      id: "msg_1",
      type: "message",
      role: "assistant",
      status: "completed",
      content: [{ type: "output_text", text: "Four.", annotations: [] }],
    },
  ];
  const response = {
    id: "resp_1",
    object: "response",
    created_at: 1_700_000_000,
    model: "gpt-test-2026",
    status: "completed",
    output: responseItems,
    usage: { input_tokens: 3, output_tokens: 5, total_tokens: 8 },
  };

  test("generateText (responses), with the summaries of its reasoning", async () => {
    const { traces } = await compare("responses", [json(response)], async (model) => {
      const { text, reasoning, usage } = await generateText({ model, prompt: "2 + 2?" });
      return { text, reasoning, usage };
    });
    expect(said(traces[0])).toMatchObject([
      { role: "user", content: "2 + 2?" },
      { role: "assistant", reasoning_content: ["First thought.", "Second thought."] },
    ]);
    expect(JSON.stringify(said(traces[0])[1])).toContain("Four.");
    expect(traces[0]?.usage).toMatchObject({ raw: { input_tokens: 3 } });
  });

  test("streamText (responses)", async () => {
    const item = responseItems[1];
    const script = sse(
      { type: "response.created", response: { ...response, output: [], status: "in_progress" } },
      { type: "response.output_item.added", output_index: 0, item: { ...item, content: [] } },
      { type: "response.output_text.delta", item_id: "msg_1", output_index: 0, content_index: 0, delta: "Fo" },
      { type: "response.output_text.delta", item_id: "msg_1", output_index: 0, content_index: 0, delta: "ur." },
      { type: "response.output_item.done", output_index: 0, item },
      { type: "response.completed", response },
    );
    const { traces } = await compare("responses", [script], async (model) =>
      convertReadableStreamToArray(streamText({ model, prompt: "2 + 2?" }).fullStream),
    );
    expect(JSON.stringify(said(traces[0])[1])).toContain("Four.");
    expect(traces[0]).toMatchObject({ model: "gpt-test-2026", usage: { raw: { input_tokens: 3 } } });
  });

  const schema = z.object({ city: z.string() });
  const object = '{"city":"Paris"}';
  test.each([
    [
      "generateObject",
      async (model: LanguageModel) => (await generateObject({ model, schema, prompt: "Where?" })).object,
    ],
    [
      "generateText with an object as output",
      async (model: LanguageModel) =>
        (await generateText({ model, output: Output.object({ schema }), prompt: "Where?" })).output,
    ],
  ])("%s", async (_, use) => {
    const { result, traces } = await compare("chat", [json(completion({ content: object }))], use);
    expect(result).toEqual({ city: "Paris" });
    expect(traces).toMatchObject([{ messages: [{ content: "Where?" }, { role: "assistant", content: object }] }]);
  });

  test.each([
    [
      "streamObject",
      async (model: LanguageModel) => {
        const result = streamObject({ model, schema, prompt: "Where?" });
        for await (const _ of result.partialObjectStream);
        return result.object;
      },
    ],
    [
      "streamText with an object as output",
      (model: LanguageModel) => streamText({ model, output: Output.object({ schema }), prompt: "Where?" }).output,
    ],
  ])("%s", async (_, use) => {
    const script = sse(
      chunk({ content: '{"city":' }),
      chunk({ content: '"Paris"}' }),
      chunk({}, { finish_reason: "stop" }),
    );
    const { result, traces } = await compare("chat", [script], use);
    expect(result).toEqual({ city: "Paris" });
    expect(traces).toMatchObject([{ messages: [{ content: "Where?" }, { role: "assistant", content: object }] }]);
  });

  const call = toolCall("call_1", "weather", '{"city":"Paris"}');
  const steps = {
    generateText: [
      json(completion({ content: "Let me look.", tool_calls: [call] })),
      json(completion({ content: "Clear." })),
    ],
    streamText: [
      sse(
        chunk({ role: "assistant", content: "Let me look." }),
        chunk({ tool_calls: [{ index: 0, ...call, function: { name: "weather", arguments: '{"city":' } }] }),
        chunk({ tool_calls: [{ index: 0, function: { arguments: '"Paris"}' } }] }),
        chunk({}, { finish_reason: "tool_calls" }),
        usageChunk,
      ),
      sse(chunk({ content: "Clear." }), chunk({}, { finish_reason: "stop" }), usageChunk),
    ],
  };
  const options = { tools: { weather }, stopWhen: isStepCount(3), prompt: "Weather in Paris?" };
  test.each([
    [
      "generateText",
      async (model: LanguageModel) => (await generateText({ model, ...options })).steps.map((s) => s.content),
    ],
    [
      "streamText",
      async (model: LanguageModel) => convertReadableStreamToArray(streamText({ model, ...options }).fullStream),
    ],
  ] as const)(
    "tools over several steps (%s): one trace per step, the result of the tool in the second",
    async (name, use) => {
      const { traces } = await compare("chat", steps[name], use);
      const assistant = { role: "assistant", content: "Let me look.", tool_calls: [call] };
      const result = '{"city":"Paris","sky":"clear\\nand cold"}';
      expect(traces.map(said)).toEqual([
        [{ role: "user", content: "Weather in Paris?" }, assistant],
        [
          { role: "user", content: "Weather in Paris?" },
          assistant,
          { role: "tool", tool_call_id: "call_1", name: "weather", content: result, output_type: "json" },
          { role: "assistant", content: "Clear." },
        ],
      ]);
      expect(traces[0]?.choices).toMatchObject([{ finish_reason: "tool_calls", message: { tool_calls: [call] } }]);
      expect(new Set(traces.map(({ id }) => id)).size).toBe(2);
    },
  );
});

const noUsage: LanguageModelV4Usage = {
  inputTokens: { total: 1, noCache: undefined, cacheRead: undefined, cacheWrite: undefined },
  outputTokens: { total: 2, text: undefined, reasoning: undefined },
};
const finish = (unified: "stop" | "interrupted" = "stop"): LanguageModelV4StreamPart => ({
  type: "finish",
  usage: noUsage,
  finishReason: { unified, raw: undefined },
});
const text = (id: string, ...deltas: string[]): LanguageModelV4StreamPart[] => [
  { type: "text-start", id },
  ...deltas.map((delta) => ({ type: "text-delta" as const, id, delta })),
  { type: "text-end", id },
];
const streaming = (...parts: LanguageModelV4StreamPart[]) =>
  new MockLanguageModelV4({
    modelId: "mock-model",
    doStream: async () => ({ stream: convertArrayToReadableStream(parts) }),
  });
const ask = { prompt: [{ role: "user" as const, content: [{ type: "text" as const, text: "Hello" }] }] };

/** The trace of a mock model that streams these parts and is read to the end. */
async function traceOf(...parts: LanguageModelV4StreamPart[]) {
  const sink = recordingSink();
  const { stream } = await traced(streaming(...parts), sink).doStream(ask);
  expect(await convertReadableStreamToArray(stream)).toEqual(parts);
  const traces = await sink.flush();
  expect(traces).toHaveLength(1);
  return traces[0];
}

describe("every kind of part is kept", () => {
  test("texts that arrive interleaved, reasoning with its provider's data, citations, sources, custom parts", async () => {
    const source = { type: "source", sourceType: "url", id: "s1", url: "https://example.test", title: "A" } as const;
    const custom = { type: "custom", kind: "mock.thing", providerMetadata: { mock: { a: 1 } } } as const;
    const signature = { mock: { signature: "abc" } };
    const trace = await traceOf(
      { type: "stream-start", warnings: [] },
      { type: "response-metadata", modelId: "mock-model-2", id: "chatcmpl-1" },
      { type: "reasoning-start", id: "r" },
      { type: "reasoning-delta", id: "r", delta: "Hm" },
      { type: "text-start", id: "a" },
      { type: "text-start", id: "b" },
      { type: "text-delta", id: "b", delta: "second" },
      { type: "text-delta", id: "a", delta: "fir" },
      { type: "reasoning-delta", id: "r", delta: "m.", providerMetadata: signature },
      { type: "reasoning-end", id: "r" },
      { type: "text-delta", id: "a", delta: "st" },
      { type: "text-end", id: "a", citations: [{ source, startIndex: 0 }] },
      { type: "text-end", id: "b" },
      source,
      custom,
      { type: "raw", rawValue: { again: true } },
      { type: "ping" },
      finish(),
    );
    expect(trace?.model).toBe("mock-model-2");
    expect(trace?.usage).toEqual(noUsage);
    expect(said(trace)[1]).toEqual({
      role: "assistant",
      content: [
        { type: "text", text: "first", citations: [{ source, startIndex: 0 }] },
        { type: "text", text: "second" },
        source,
        custom,
      ],
      reasoning_content: "Hmm.",
      reasoning_details: [{ type: "reasoning", providerMetadata: signature }],
    });
  });

  test("tools that the provider runs: the call once, the last of its results", async () => {
    const call = {
      type: "tool-call",
      toolCallId: "c1",
      toolName: "search",
      input: '{"q":"x"}',
      providerExecuted: true,
    } as const;
    const result = { type: "tool-result", toolCallId: "c1", toolName: "search" } as const;
    const trace = await traceOf(
      { type: "tool-input-start", id: "c1", toolName: "search", providerExecuted: true },
      { type: "tool-input-delta", id: "c1", delta: '{"q":"x"}' },
      { type: "tool-input-end", id: "c1" },
      call,
      { ...result, result: { rows: 1 }, preliminary: true },
      { ...result, result: { rows: 2 } },
      ...text("t", "Found."),
      finish(),
    );
    expect(said(trace)[1]).toEqual({
      role: "assistant",
      content: [
        { ...result, result: { rows: 2 } },
        { type: "text", text: "Found." },
      ],
      tool_calls: [
        { id: "c1", type: "function", function: { name: "search", arguments: '{"q":"x"}' }, providerExecuted: true },
      ],
    });
  });

  test("every form of a prompt's parts", async () => {
    const sink = recordingSink();
    const model = traced(streaming(finish()), sink);
    const cache = { mock: { cache: true } };
    await convertReadableStreamToArray(
      (
        await model.doStream({
          prompt: [
            { role: "system", content: "Be brief", providerOptions: cache },
            {
              role: "user",
              content: [
                { type: "text", text: "See" },
                { type: "file", mediaType: "image/png", data: { type: "url", url: new URL("https://x.test/a.png") } },
                { type: "file", mediaType: "text/plain", filename: "a.txt", data: { type: "text", text: "inline" } },
                { type: "file", mediaType: "application/pdf", data: { type: "reference", reference: { mock: "f-1" } } },
              ],
            },
            {
              role: "assistant",
              content: [
                { type: "reasoning", text: "Hm." },
                { type: "tool-call", toolCallId: "c1", toolName: "f", input: { a: 1 } },
                { type: "tool-call", toolCallId: "c2", toolName: "f", input: {} },
                { type: "tool-call", toolCallId: "c3", toolName: "f", input: {} },
              ],
            },
            {
              role: "tool",
              content: [
                { type: "tool-result", toolCallId: "c1", toolName: "f", output: { type: "text", value: "plain" } },
                {
                  type: "tool-result",
                  toolCallId: "c2",
                  toolName: "f",
                  output: { type: "error-json", value: { e: 1 } },
                },
                {
                  type: "tool-result",
                  toolCallId: "c3",
                  toolName: "f",
                  output: { type: "execution-denied", reason: "no" },
                },
                { type: "tool-approval-response", approvalId: "a1", approved: false },
              ],
            },
          ],
        })
      ).stream,
    );
    const call = (id: string, args: string) => ({ id, type: "function", function: { name: "f", arguments: args } });
    expect(said((await sink.flush())[0]).slice(0, -1)).toEqual([
      { role: "system", content: "Be brief", providerOptions: cache },
      {
        role: "user",
        content: [
          { type: "text", text: "See" },
          { type: "image_url", image_url: { url: "https://x.test/a.png" } },
          { type: "text", text: "inline", media_type: "text/plain", filename: "a.txt" },
          { type: "file", file: { mock: "f-1", media_type: "application/pdf" } },
        ],
      },
      {
        role: "assistant",
        content: null,
        reasoning_content: "Hm.",
        tool_calls: [call("c1", '{"a":1}'), call("c2", "{}"), call("c3", "{}")],
      },
      { role: "tool", tool_call_id: "c1", name: "f", content: "plain" },
      { role: "tool", tool_call_id: "c2", name: "f", content: '{"e":1}', output_type: "error-json" },
      { role: "tool", tool_call_id: "c3", name: "f", content: "no", output_type: "execution-denied" },
      { role: "tool", content: [{ type: "tool-approval-response", approvalId: "a1", approved: false }] },
    ]);
  });
});

test("files, of the prompt and of the reply, are described by type, size and SHA-256", async () => {
  const bytes = Uint8Array.from({ length: 100 }, (_, index) => index);
  const base64 = Buffer.from(bytes).toString("base64");
  const sink = recordingSink();
  const ofOtherRealm: Uint8Array = runInNewContext("Uint8Array.from(bytes)", { bytes });
  const forms = [bytes, Buffer.from(bytes), base64, ofOtherRealm];
  const content = forms.map((data) => ({
    type: "file" as const,
    mediaType: "image/png",
    data: { type: "data" as const, data },
  }));
  const reply = { type: "file", mediaType: "application/pdf", data: { type: "data", data: base64 } } as const;
  const { stream } = await traced(streaming(reply, finish()), sink).doStream({ prompt: [{ role: "user", content }] });
  expect(await convertReadableStreamToArray(stream)).toEqual([reply, finish()]);
  const [trace] = await sink.flush();
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  expect(JSON.stringify(trace)).not.toContain(base64.slice(0, 40));
  expect(JSON.stringify(said(trace)[0]).match(new RegExp(`image/png, 100 bytes, sha256 ${sha256}`, "g"))).toHaveLength(
    forms.length,
  );
  expect(JSON.stringify(said(trace)[1])).toContain(`application/pdf, 100 bytes, sha256 ${sha256}`);
  expect(content[0]?.data.data).toBe(bytes);
});

test("a wrong option is refused at once", () => {
  // @ts-expect-error: a middleware without a sink
  expect(() => tracingMiddleware({})).toThrow(expect.objectContaining({ code: "invalid_option" }));
  // @ts-expect-error: not a boolean
  expect(() => tracingMiddleware(recordingSink(), { captureErrors: "yes" })).toThrow(/captureErrors/);
});

describe("how a call ended is in the trace", () => {
  const ended = (call: object) => ({ call: expect.objectContaining(call) });
  const hi = [chunk({ role: "assistant", content: "Hi" }), chunk({ content: " you" })];

  test("aborted by a signal: with what had been said", async () => {
    await using provider = await startChatServer();
    const sink = recordingSink();
    provider.script(endless(...hi));
    const abort = new AbortController();
    const { textStream } = streamText({
      model: traced(openai(provider), sink),
      prompt: "Hello",
      abortSignal: abort.signal,
    });
    for await (const piece of textStream) if (piece === " you") abort.abort();
    const traces = await sink.flush();
    expect(traces.map(said)).toEqual([
      [{ role: "user", content: "Hello" }, { role: "assistant", content: "Hi you" }, ended({ ended: "aborted" })],
    ]);
    expect(traces[0]?.choices).toMatchObject([{ finish_reason: null, message: { content: "Hi you" } }]);
  });

  test("cancelled by its reader: the provider's stream is cancelled with the same reason, half a tool call kept", async () => {
    const sink = recordingSink();
    let cancelledWith: unknown;
    const parts: LanguageModelV4StreamPart[] = [
      { type: "tool-input-start", id: "c1", toolName: "pay" },
      { type: "tool-input-delta", id: "c1", delta: '{"amount": 1' },
    ];
    const stream = new ReadableStream<LanguageModelV4StreamPart>({
      start: (controller) => {
        for (const part of parts) controller.enqueue(part);
      },
      cancel: (reason) => {
        cancelledWith = reason;
      },
    });
    const result = await traced(new MockLanguageModelV4({ doStream: async () => ({ stream }) }), sink).doStream(ask);
    const reader = result.stream.getReader();
    for (const part of parts) expect(await reader.read()).toEqual({ done: false, value: part });
    await reader.cancel("enough");
    expect(cancelledWith).toBe("enough");
    expect(said((await sink.flush())[0])).toMatchObject([
      { role: "user" },
      { role: "assistant", tool_calls: [{ id: "c1", partial: true, function: { arguments: '{"amount": 1' } }] },
      ended({ ended: "aborted" }),
    ]);
  });

  test("broken off by the provider: failed, the error arrives as it does without us", async () => {
    await using provider = await startChatServer();
    provider.script(broken(...hi));
    const sink = recordingSink();
    const read = async (model: LanguageModel) => {
      const pieces: unknown[] = [];
      const { textStream } = streamText({ model, prompt: "Hello", onError: () => {} });
      try {
        for await (const piece of textStream) pieces.push(piece);
      } catch (error) {
        pieces.push(String(error));
      }
      return pieces;
    };
    expect(await read(traced(openai(provider), sink))).toEqual(await read(openai(provider)));
    expect((await sink.flush()).map(said)).toEqual([
      [{ role: "user", content: "Hello" }, { role: "assistant", content: "Hi you" }, ended({ ended: "failed" })],
    ]);
  });

  test("failed by an error that came as a part, or by a stream without a proper end", async () => {
    const failed = await traceOf(...text("t", "Hi"), { type: "error", error: new TypeError("overloaded") }, finish());
    expect(said(failed).at(-1)).toEqual({
      call: { ended: "failed", error: { name: "TypeError", message: "overloaded" } },
    });
    const cyclic: { message: string; self?: unknown } = { message: "round" };
    cyclic.self = cyclic;
    for (const [error, stored] of [
      // As providers hand on what a stream told: their words, whatever they are.
      [
        { type: "overloaded", code: 503, message: "Too busy." },
        { type: "overloaded", code: 503, message: "Too busy." },
      ],
      [{ detail: "No more." }, { detail: "No more." }],
      // As @ai-sdk/openai does: its reading of an event, and beside it the event, which may hold all that was said.
      [
        { message: "Too busy.", statusCode: 503, data: { response: {} } },
        { message: "Too busy.", statusCode: 503 },
      ],
      ["Too busy.", { message: "Too busy." }],
      [cyclic, { message: "round" }],
    ]) {
      const trace = await traceOf(...text("t", "Hi"), { type: "error", error });
      expect(said(trace).at(-1)).toEqual({ call: { ended: "failed", error: stored } });
    }
    expect(said(await traceOf(...text("t", "Hi"), finish("interrupted"))).at(-1)).toMatchObject(
      ended({ ended: "failed" }),
    );
  });

  test("failed by an error that cannot be read: the caller gets that error, and the call is kept", async () => {
    const error = Object.defineProperty({}, "name", {
      get() {
        throw new RangeError("not for you");
      },
    });
    const boom = () => Promise.reject(error);
    const sink = recordingSink();
    const model = traced(new MockLanguageModelV4({ doGenerate: boom, doStream: boom }), sink, { captureErrors: true });
    await expect(model.doGenerate(ask)).rejects.toBe(error);
    await expect(model.doStream(ask)).rejects.toBe(error);
    expect((await sink.flush()).map((trace) => said(trace).at(-1))).toEqual(
      Array(2).fill({ call: { ended: "failed" } }),
    );
  });

  test("failed at once: traced with captureErrors only, the error is the very same", async () => {
    const error = Object.assign(new Error("no such model"), { statusCode: 404 });
    const boom = async () => {
      throw error;
    };
    const model = new MockLanguageModelV4({ modelId: "m", doGenerate: boom, doStream: boom });
    const [quiet, loud] = [recordingSink(), recordingSink()];
    for (const tracing of [traced(model, quiet), traced(model, loud, { captureErrors: true })]) {
      await expect(tracing.doGenerate(ask)).rejects.toBe(error);
      await expect(tracing.doStream(ask)).rejects.toBe(error);
    }
    expect(await quiet.flush()).toEqual([]);
    const call = { ended: "failed", error: { name: "Error", message: "no such model", status: 404 } };
    expect((await loud.flush()).map(said)).toEqual([
      [{ role: "user", content: "Hello" }, { call }],
      [{ role: "user", content: "Hello" }, { call }],
    ]);
  });

  test("dropped unread and uncancelled: aborted when the process has nothing else to do, and once only", async () => {
    const sink = recordingSink();
    const { stream } = await traced(streaming(...text("t", "Hi"), finish()), sink).doStream(ask);
    const reader = stream.getReader();
    await reader.read();
    await reader.read();
    expect(await sink.flush()).toEqual([]);
    process.emit("beforeExit", 0);
    expect((await sink.flush()).map(said)).toEqual([
      [{ role: "user", content: "Hello" }, { role: "assistant", content: "Hi" }, ended({ ended: "aborted" })],
    ]);
    await reader.cancel();
    process.emit("beforeExit", 0);
    expect(await sink.flush()).toHaveLength(1);
  });
});

test.each([
  ["the middleware", (provider: ChatServer, logger: TraceLogger) => traced(openai(provider), logger)],
  ["a traced fetch", (provider: ChatServer, logger: TraceLogger) => openai(provider, "chat", tracingFetch(logger))],
])(
  "a stream that its reader left is delivered by close(), as aborted, through %s: the SDK goes on holding it",
  async (_, makeModel) => {
    await using provider = await startChatServer();
    provider.script(endless(chunk({ role: "assistant", content: "Once " }), chunk({ content: "upon" })));
    await using endpoint = await scriptedEndpoint();
    const logger = new TraceLogger({ endpoint: endpoint.url });
    for await (const _ of streamText({ model: makeModel(provider, logger), prompt: "Hello" }).textStream) break;
    await logger.close();
    const call = { ended: "aborted" };
    expect(endpoint.stored.map(said)).toEqual([[{ role: "user", content: "Hello" }, expect.anything(), { call }]]);
    expect(logger.stats).toMatchObject({ accepted: 1, delivered: 1 });
  },
);

test("a stream that became garbage unread is aborted", async () => {
  const sink = recordingSink();
  const model = traced(streaming(...text("t", "Hi"), finish()), sink);
  await (async () => {
    const reader = (await model.doStream(ask)).stream.getReader();
    await reader.read();
    await reader.read();
  })();
  await vi.waitFor(async () => {
    collectGarbage();
    expect((await sink.flush()).map(said)).toMatchObject([[{}, { content: "Hi" }, { call: { ended: "aborted" } }]]);
  });
});

describe("the call never notices", () => {
  test("a slow reader holds the provider back: no part is asked for before it is wanted", async () => {
    let asked = 0;
    const stream = new ReadableStream<LanguageModelV4StreamPart>(
      {
        pull: (controller) => {
          asked++;
          controller.enqueue({ type: "text-delta", id: "t", delta: "x" });
        },
      },
      { highWaterMark: 0 },
    );
    const result = await traced(
      new MockLanguageModelV4({ doStream: async () => ({ stream }) }),
      recordingSink(),
    ).doStream(ask);
    const reader = result.stream.getReader();
    await new Promise((resolve) => setImmediate(resolve));
    expect(asked).toBe(0);
    await reader.read();
    await new Promise((resolve) => setImmediate(resolve));
    expect(asked).toBe(1);
    await reader.cancel();
  });

  test("the parts and results are the very objects that the model gave", async () => {
    const parts = [...text("t", "Hi"), finish()];
    const { stream } = await traced(streaming(...parts), recordingSink()).doStream(ask);
    const read = await convertReadableStreamToArray(stream);
    read.forEach((part, index) => void expect(part).toBe(parts[index]));
    const result = {
      content: [],
      usage: noUsage,
      finishReason: { unified: "stop" as const, raw: "stop" },
      warnings: [],
    };
    const model = new MockLanguageModelV4({ doGenerate: async () => result });
    expect(await traced(model, recordingSink()).doGenerate(ask)).toBe(result);
  });

  test("a sink that throws, and parts that nobody knows", async () => {
    const sink = {
      logTrace: () => {
        throw new Error("sink");
      },
    };
    const odd = [{ type: "text-delta", id: "never-started", delta: "x" }, { type: "hologram" }, null];
    // Not of the types, as a newer provider's parts are not.
    const parts = [...odd, ...text("t", "Hi"), finish()] as LanguageModelV4StreamPart[];
    const { stream } = await traced(streaming(...parts), sink).doStream(ask);
    expect(await convertReadableStreamToArray(stream)).toEqual(parts);
  });

  test("no listener is left on a signal that outlives the call", async () => {
    const counts = { added: 0, removed: 0 };
    const { signal } = new AbortController();
    const spied = new Proxy(signal, {
      get(target, key) {
        if (key === "addEventListener") counts.added++;
        if (key === "removeEventListener") counts.removed++;
        const value = Reflect.get(target, key, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
    const { stream } = await traced(streaming(finish()), recordingSink()).doStream({ ...ask, abortSignal: spied });
    await convertReadableStreamToArray(stream);
    expect(counts).toEqual({ added: 1, removed: 1 });
  });
});
