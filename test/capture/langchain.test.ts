import { AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage } from "@langchain/core/messages";
import { ChatGenerationChunk } from "@langchain/core/outputs";
import { ChatPromptTemplate } from "@langchain/core/prompts";
import { tool } from "@langchain/core/tools";
import { FakeListChatModel, FakeLLM, FakeStreamingChatModel } from "@langchain/core/utils/testing";
import { ChatOpenAI } from "@langchain/openai";
import { describe, expect, test } from "vitest";
import * as z from "zod";
import { tracingHandler } from "../../src/capture/langchain.ts";
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
  sse,
  startChatServer,
  toolCall,
} from "./chat-server.ts";
import { recordingSink } from "./recording-sink.ts";

const said = (trace: Trace | undefined): unknown[] =>
  (trace?.messages ?? []).map((message) => {
    const { message: spoken, call } = fromTraceMessage(message);
    return spoken ?? { call };
  });

const chat = (provider: ChatServer, fields: object = {}) =>
  new ChatOpenAI({
    model: "gpt-test",
    apiKey: "test",
    maxRetries: 0,
    configuration: { baseURL: provider.baseURL },
    ...fields,
  });

const usage = { prompt_tokens: 9, completion_tokens: 3, total_tokens: 12 };
/** What ends a stream when usage was asked for. */
const usageChunk = { ...chunk({}), choices: [], usage };
const hello = { role: "user", content: "Hello" };

describe("with @langchain/openai over HTTP, the trace holds", () => {
  test("invoke: right after the call, without waiting for LangChain's background queue", async () => {
    await using provider = await startChatServer();
    provider.script(json(completion({ content: "Hi there" })));
    const sink = recordingSink();
    const reply = await chat(provider).invoke([new SystemMessage("Be brief"), new HumanMessage("Hello")], {
      callbacks: [tracingHandler(sink)],
    });
    const traces = await sink.flush();
    expect(reply.content).toBe("Hi there");
    expect(traces).toMatchObject([
      {
        model: "gpt-test-2026",
        messages: [
          { role: "system", content: "Be brief" },
          { role: "user", content: "Hello" },
          { role: "assistant", content: "Hi there" },
        ],
        choices: [{ index: 0, message: { role: "assistant", content: "Hi there" }, finish_reason: "stop" }],
      },
    ]);
    expect(traces[0]?.usage).toEqual(usage);
  });

  test("a stream", async () => {
    await using provider = await startChatServer();
    provider.script(
      sse(
        chunk({ role: "assistant", content: "" }),
        chunk({ content: "Hi " }),
        chunk({ content: "thére 👋" }),
        chunk({}, { finish_reason: "stop" }),
        usageChunk,
      ),
    );
    const sink = recordingSink();
    let text = "";
    for await (const piece of await chat(provider, { callbacks: [tracingHandler(sink)] }).stream("Hello"))
      text += piece.content;
    expect(text).toBe("Hi thére 👋");
    const traces = await sink.flush();
    expect(traces.map(said)).toEqual([[hello, { role: "assistant", content: text }]]);
    expect(traces[0]).toMatchObject({ model: "gpt-test-2026", choices: [{ finish_reason: "stop" }] });
    expect(traces[0]?.usage).toEqual(usage);
  });

  test("tools: the call with its arguments as they came, the result in the next trace", async () => {
    await using provider = await startChatServer();
    const call = { id: "call_1", type: "function", function: { name: "weather", arguments: '{ "city": "Paris" }' } };
    const broken = { id: "call_2", type: "function", function: { name: "weather", arguments: '{"city": ' } };
    provider.script(
      json(completion({ content: null, tool_calls: [call, broken] })),
      json(completion({ content: "Clear." })),
    );
    const sink = recordingSink();
    const weather = tool(({ city }) => `Clear in ${city}`, {
      name: "weather",
      description: "The weather",
      schema: z.object({ city: z.string() }),
    });
    const model = chat(provider, { callbacks: [tracingHandler(sink)] }).bindTools([weather]);
    const first = await model.invoke("Hello");
    await model.invoke([
      new HumanMessage("Hello"),
      first,
      new ToolMessage({ content: "Clear in Paris", tool_call_id: "call_1", name: "weather" }),
      new ToolMessage({ content: "no such city", tool_call_id: "call_2", status: "error" }),
    ]);
    const [one, two] = await sink.flush();
    expect(said(one)).toEqual([hello, { role: "assistant", tool_calls: [call, broken] }]);
    expect(one?.choices).toMatchObject([{ finish_reason: "tool_calls" }]);
    expect(said(two)).toEqual([
      hello,
      { role: "assistant", content: null, tool_calls: [call, broken] },
      { role: "tool", content: "Clear in Paris", tool_call_id: "call_1", name: "weather" },
      { role: "tool", content: "no such city", tool_call_id: "call_2", status: "error" },
      { role: "assistant", content: "Clear." },
    ]);
  });

  test("tool calls and reasoning that arrive in pieces", async () => {
    await using provider = await startChatServer();
    const call = toolCall("call_1", "weather", '{"city":"Paris"}');
    provider.script(
      sse(
        chunk({ role: "assistant", content: "", reasoning_content: "Let me " }),
        chunk({ reasoning_content: "think." }),
        chunk({ tool_calls: [{ index: 0, ...call, function: { name: "weather", arguments: '{"city":' } }] }),
        chunk({ tool_calls: [{ index: 0, function: { arguments: '"Paris"}' } }] }),
        chunk({}, { finish_reason: "tool_calls" }),
        usageChunk,
      ),
    );
    const sink = recordingSink();
    for await (const _ of await chat(provider, { callbacks: [tracingHandler(sink)] }).stream("Hello"));
    expect((await sink.flush()).map(said)).toEqual([
      [hello, { role: "assistant", reasoning_content: "Let me think.", tool_calls: [call] }],
    ]);
  });

  test("several choices, and a batch: one trace per input", async () => {
    await using provider = await startChatServer();
    provider.script(json(completion({ content: "one" }, { content: "two" })));
    const sink = recordingSink();
    await chat(provider, { n: 2, callbacks: [tracingHandler(sink)] }).batch(["Hello", "Bye"]);
    const traces = await sink.flush();
    expect(traces.map((trace) => trace.messages[0]?.content).sort()).toEqual(["Bye", "Hello"]);
    for (const trace of traces) {
      expect(trace.messages.slice(1).map(fromTraceMessage)).toEqual([
        { message: { role: "assistant", content: "one" } },
        { message: { role: "assistant", content: "two" }, choice: 1 },
      ]);
      expect(trace.choices).toHaveLength(2);
    }
  });

  test("several choices of a stream, apart, though LangChain runs them together", async () => {
    await using provider = await startChatServer();
    const second = { index: 1 };
    provider.script(
      sse(
        chunk({ role: "assistant", content: "" }),
        chunk({ role: "assistant", content: "" }, second),
        chunk({ content: "one " }),
        chunk({ content: "two " }, second),
        chunk({ content: "one" }),
        chunk({ content: "two" }, second),
        chunk({}, { finish_reason: "stop" }),
        chunk({}, { ...second, finish_reason: "stop" }),
        usageChunk,
      ),
    );
    const sink = recordingSink();
    const model = chat(provider, { n: 2, callbacks: [tracingHandler(sink)] });
    let read = "";
    for await (const { text } of await model.stream("Hello")) read += text;
    expect(read).toBe("one two onetwo");
    const [trace, ...others] = await sink.flush();
    expect(others).toEqual([]);
    expect(trace?.model).toBe("gpt-test");
    expect(trace?.usage).toEqual(usage);
    expect(trace?.messages.map(fromTraceMessage)).toEqual([
      { message: hello },
      { message: { role: "assistant", content: "one one" } },
      { message: { role: "assistant", content: "two two" }, choice: 1 },
    ]);
  });

  test("the Responses API, with a reasoning summary", async () => {
    await using provider = await startChatServer();
    provider.script(
      json({
        id: "resp_1",
        object: "response",
        created_at: 1_700_000_000,
        model: "gpt-test-2026",
        status: "completed",
        output: [
          { id: "rs_1", type: "reasoning", summary: [{ type: "summary_text", text: "Hm, two and two." }] },
          {
            id: "msg_1",
            type: "message",
            role: "assistant",
            status: "completed",
            content: [{ type: "output_text", text: "Four.", annotations: [] }],
          },
        ],
        usage: { input_tokens: 3, output_tokens: 5, total_tokens: 8 },
      }),
    );
    const sink = recordingSink();
    await chat(provider, { useResponsesApi: true, callbacks: [tracingHandler(sink)] }).invoke("2 + 2?");
    const [trace] = await sink.flush();
    expect(JSON.stringify(said(trace)[1])).toMatch(/Hm, two and two\..*/);
    expect(JSON.stringify(said(trace)[1])).toContain("Four.");
    expect(trace).toMatchObject({
      model: "gpt-test-2026",
      usage: { input_tokens: 3, output_tokens: 5, total_tokens: 8 },
    });
  });

  test("images by URL as they are, base64 ones as type, size and hash", async () => {
    await using provider = await startChatServer();
    provider.script(json(completion({ content: "A cat." })));
    const sink = recordingSink();
    const data = Buffer.from("not really a picture, but long enough to be one").toString("base64");
    const url = "https://example.test/cat.png";
    await chat(provider, { callbacks: [tracingHandler(sink)] }).invoke([
      new HumanMessage({
        content: [
          { type: "text", text: "What is this?" },
          { type: "image_url", image_url: { url } },
          { type: "image_url", image_url: { url: `data:image/png;base64,${data}` } },
          { type: "image", source_type: "base64", mime_type: "image/png", data },
        ],
      }),
    ]);
    const [trace] = await sink.flush();
    expect(JSON.stringify(provider.requests)).toContain(data);
    expect(JSON.stringify(trace)).not.toContain(data);
    expect(JSON.stringify(trace).match(/image\/png, 47 bytes, sha256 [0-9a-f]{64}/g)).toHaveLength(2);
    expect(JSON.stringify(trace)).toContain(url);
  });
});

describe("how a call ended is in the trace", () => {
  const hi = [chunk({ role: "assistant", content: "Hi" }), chunk({ content: " you" })];
  const ended = (call: object) => ({ call: expect.objectContaining(call) });

  test("aborted by a signal: with what had been said", async () => {
    await using provider = await startChatServer();
    provider.script(endless(...hi));
    const sink = recordingSink();
    const abort = new AbortController();
    const stream = await chat(provider, { callbacks: [tracingHandler(sink)] }).stream("Hello", {
      signal: abort.signal,
    });
    const read = async () => {
      for await (const piece of stream) if (piece.content === " you") abort.abort();
    };
    await expect(read()).rejects.toThrow();
    const traces = await sink.flush();
    expect(said(traces[0]).at(0)).toEqual(hello);
    expect(said(traces[0]).at(-1)).toEqual(ended({ ended: "aborted" }));
    expect(JSON.stringify(traces[0]?.choices)).toContain("Hi");
    expect(traces).toHaveLength(1);
  });

  test("broken off by the provider: failed, with what had been said, tool calls cut off included", async () => {
    await using provider = await startChatServer();
    const call = { index: 0, id: "call_1", type: "function", function: { name: "pay", arguments: '{"amount": 1' } };
    provider.script(
      broken(
        ...hi,
        chunk({ tool_calls: [call] }),
        chunk({ tool_calls: [{ index: 0, function: { arguments: "00" } }] }),
      ),
    );
    const sink = recordingSink();
    const stream = await chat(provider, { callbacks: [tracingHandler(sink)] }).stream("Hello");
    const read = async () => {
      for await (const _ of stream);
    };
    await expect(read()).rejects.toThrow();
    expect((await sink.flush()).map(said)).toEqual([
      [
        hello,
        {
          role: "assistant",
          content: "Hi you",
          tool_calls: [{ id: "call_1", type: "function", function: { name: "pay", arguments: '{"amount": 100' } }],
        },
        ended({ ended: "failed" }),
      ],
    ]);
  });

  test("failed at once: traced with captureErrors only", async () => {
    await using provider = await startChatServer();
    provider.script(json({ error: { message: "no such model" } }, { status: 404 }));
    const [quiet, loud] = [recordingSink(), recordingSink()];
    await expect(chat(provider).invoke("Hello", { callbacks: [tracingHandler(quiet)] })).rejects.toThrow(
      "no such model",
    );
    await expect(
      chat(provider).invoke("Hello", { callbacks: [tracingHandler(loud, { captureErrors: true })] }),
    ).rejects.toThrow("no such model");
    expect(await quiet.flush()).toEqual([]);
    expect((await loud.flush()).map(said)).toEqual([
      [hello, { call: { ended: "failed", error: expect.objectContaining({ status: 404 }) } }],
    ]);
  });

  test("left by a break, which LangChain tells nobody: aborted when asked for, or when the process ends", async () => {
    for (const end of [
      (handler: ReturnType<typeof tracingHandler>) => handler.endOpenCalls(),
      () => process.emit("beforeExit", 0),
    ]) {
      await using provider = await startChatServer();
      // LangChain waits for the next chunk before it lets go of a stream.
      provider.script(endless(...hi, chunk({ content: "!" }), chunk({ content: "!" })));
      const sink = recordingSink();
      const handler = tracingHandler(sink);
      for await (const piece of await chat(provider, { callbacks: [handler] }).stream("Hello")) {
        if (piece.content === " you") break;
      }
      expect(await sink.flush()).toEqual([]);
      end(handler);
      const traces = await sink.flush();
      expect(said(traces[0])[0]).toEqual(hello);
      expect(said(traces[0])[1]).toMatchObject({ role: "assistant", content: expect.stringMatching(/^Hi you/) });
      expect(said(traces[0])[2]).toEqual(ended({ ended: "aborted" }));
      end(handler);
      expect(await sink.flush()).toHaveLength(1);
    }
  });
});

test("a stream that was left by a break is delivered by close(), as aborted", async () => {
  await using provider = await startChatServer();
  provider.script(endless(chunk({ role: "assistant", content: "Once " }), chunk({ content: "upon" })));
  await using endpoint = await scriptedEndpoint();
  const logger = new TraceLogger({ endpoint: endpoint.url });
  for await (const { text } of await chat(provider, { callbacks: [tracingHandler(logger)] }).stream("Hello"))
    if (text !== "") break;
  await logger.close();
  const reply = { role: "assistant", content: expect.stringMatching(/^Once/) };
  expect(endpoint.stored.map(said)).toEqual([[hello, reply, { call: { ended: "aborted" } }]]);
  expect(logger.stats).toMatchObject({ accepted: 1, delivered: 1 });
});

describe("with fake models", () => {
  test("a chain: the handler reaches the model inside it", async () => {
    const sink = recordingSink();
    const chain = ChatPromptTemplate.fromMessages([
      ["system", "Speak {language}"],
      ["human", "{question}"],
    ]).pipe(new FakeListChatModel({ responses: ["Bonjour"] }));
    await chain.invoke({ language: "French", question: "Hello" }, { callbacks: [tracingHandler(sink)] });
    expect((await sink.flush()).map(said)).toEqual([
      [{ role: "system", content: "Speak French" }, hello, { role: "assistant", content: "Bonjour" }],
    ]);
  });

  test("calls under way at once are told apart", async () => {
    const sink = recordingSink();
    const handler = tracingHandler(sink);
    const questions = Array.from({ length: 20 }, (_, index) => `question ${index}`);
    await Promise.all(
      questions.map(async (question, index) => {
        const model = new FakeListChatModel({ responses: [`answer ${index}`], sleep: (index * 7) % 5 });
        for await (const _ of await model.stream(question, { callbacks: [handler] }));
      }),
    );
    const pairs = (await sink.flush()).map(({ messages }) => messages.map(({ content }) => content));
    expect(pairs.sort()).toEqual(questions.map((question, index) => [question, `answer ${index}`]).sort());
  });

  test("the same handler in the model's and in the call's callbacks traces once", async () => {
    const sink = recordingSink();
    const handler = tracingHandler(sink);
    const model = new FakeListChatModel({ responses: ["Hi"], callbacks: [handler] });
    await model.invoke("Hello", { callbacks: [handler] });
    expect(await sink.flush()).toHaveLength(1);
  });

  test("two handlers of one sink trace once, two of two sinks each", async () => {
    const [sink, other] = [recordingSink(), recordingSink()];
    const model = new FakeStreamingChatModel({ responses: [new AIMessage("one")], callbacks: [tracingHandler(sink)] });
    const callbacks = [tracingHandler(sink), tracingHandler(other)];
    for await (const _ of await model.stream("Hi", { callbacks }));
    for (const each of [sink, other]) {
      expect((await each.flush()).map(said)).toEqual([
        [
          { role: "user", content: "Hi" },
          { role: "assistant", content: "one" },
        ],
      ]);
    }
    await model.invoke("Hi again");
    expect(await sink.flush()).toHaveLength(2);
  });

  test("content blocks and tool calls of LangChain's own form", async () => {
    const sink = recordingSink();
    const message = new AIMessage({
      content: [
        { type: "thinking", thinking: "Hm.", signature: "abc" },
        { type: "text", text: "Look:" },
      ],
      tool_calls: [{ id: "c1", name: "search", args: { q: "x" } }],
      invalid_tool_calls: [{ id: "c2", name: "search", args: "{", error: "not JSON" }],
    });
    const model = new FakeStreamingChatModel({ responses: [message] });
    await model.invoke([new HumanMessage("Hello"), message], { callbacks: [tracingHandler(sink)] });
    const expected = {
      role: "assistant",
      content: message.content,
      tool_calls: [
        { id: "c1", type: "function", function: { name: "search", arguments: '{"q":"x"}' } },
        { id: "c2", type: "function", function: { name: "search", arguments: "{" }, error: "not JSON" },
      ],
    };
    // The fake model replies with the content alone.
    const reply = { role: "assistant", content: message.content };
    expect((await sink.flush()).map(said)).toEqual([[hello, expected, reply]]);
  });

  test("a completion model", async () => {
    const sink = recordingSink();
    await new FakeLLM({ response: "Hi" }).invoke("Hello", { callbacks: [tracingHandler(sink)] });
    expect((await sink.flush()).map(said)).toEqual([[hello, { role: "assistant", content: "Hi" }]]);
  });
});

describe("the handler", () => {
  const llm = { lc: 1, type: "not_implemented" as const, id: ["langchain", "FakeModel"] };
  const start = (handler: ReturnType<typeof tracingHandler>, runId: string, text: string) =>
    handler.handleChatModelStart?.(llm, [[new HumanMessage(text)]], runId);

  test("keeps no more open calls than it may: the oldest is traced as aborted", async () => {
    const sink = recordingSink();
    const handler = tracingHandler(sink, { maxOpenCalls: 2 });
    for (const name of ["one", "two", "three"]) start(handler, name, name);
    const traces = await sink.flush();
    expect(traces.map(said)).toEqual([[{ role: "user", content: "one" }, { call: { ended: "aborted" } }]]);
    expect(traces[0]?.model).toBe("FakeModel");
    handler.endOpenCalls();
    expect(await sink.flush()).toHaveLength(3);
  });

  test("puts thousands of chunks together, whatever they hold", async () => {
    const sink = recordingSink();
    const handler = tracingHandler(sink);
    start(handler, "run", "Hello");
    const token = (message: AIMessageChunk) =>
      handler.handleLLMNewToken?.(message.text, { prompt: 0, completion: 0 }, "run", undefined, undefined, {
        chunk: new ChatGenerationChunk({ message, text: message.text }),
      });
    for (let count = 0; count < 2_000; count++) token(new AIMessageChunk({ content: "t" }));
    for (let count = 0; count < 2_000; count++)
      token(new AIMessageChunk({ content: "", additional_kwargs: { reasoning_content: "r" } }));
    handler.handleLLMError?.(new Error("gone"), "run");
    const [trace] = await sink.flush();
    expect(said(trace)[1]).toEqual({
      role: "assistant",
      content: "t".repeat(2_000),
      reasoning_content: "r".repeat(2_000),
    });
  });

  test("refuses a wrong option at once", () => {
    // @ts-expect-error: no sink
    expect(() => tracingHandler()).toThrow(expect.objectContaining({ code: "invalid_option" }));
    expect(() => tracingHandler(recordingSink(), { maxOpenCalls: 0 })).toThrow(/maxOpenCalls/);
  });

  test("hears of runs it does not know, and of a sink that throws, without a word", () => {
    const handler = tracingHandler({
      logTrace: () => {
        throw new Error("sink");
      },
    });
    expect(() => {
      handler.handleLLMEnd?.({ generations: [] }, "unknown");
      handler.handleLLMError?.(new Error("x"), "unknown");
      handler.handleLLMNewToken?.("x", { prompt: 0, completion: 0 }, "unknown");
      start(handler, "run", "Hello");
      handler.handleLLMEnd?.({ generations: [[]] }, "run");
    }).not.toThrow();
  });
});
