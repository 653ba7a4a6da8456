import { runInNewContext } from "node:vm";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { wrapOpenAI } from "../../src/capture/openai.ts";
import { tracingFetch } from "../../src/capture/tracing-fetch.ts";
import { isTraceLoggerError } from "../../src/errors.ts";
import type { TraceSink } from "../../src/sink.ts";
import { callEnding, fromTraceMessage } from "../../src/transcript.ts";
import {
  broken,
  type ChatServer,
  chunk,
  completion,
  endless,
  json,
  raw,
  sse,
  startChatServer,
  toolCall,
} from "./chat-server.ts";
import { type CollectingSink, collectingSink } from "./collecting-sink.ts";
import { ask, drain } from "./differential-checks.ts";

let server: ChatServer;
beforeAll(async () => {
  server = await startChatServer();
});
afterAll(() => server[Symbol.asyncDispose]());

const settings = () => ({ baseURL: server.baseURL, apiKey: "sk-test", maxRetries: 0, logLevel: "off" as const });

function traced(options = {}, client = {}) {
  const sink = collectingSink();
  return { sink, client: wrapOpenAI(new OpenAI({ ...settings(), ...client }), sink, options) };
}

async function stream(client: OpenAI, body = {}) {
  return drain(await client.chat.completions.create({ ...ask, stream: true, ...body }));
}

const question = { role: "user", content: "Say hello." };

describe("what is captured", () => {
  test("an answer: both sides, choices and usage as they came, the model that answered", async () => {
    const body = completion({ content: "Hello there.", annotations: [] });
    server.script(json(body));
    const { client, sink } = traced();
    await client.chat.completions.create(ask);
    expect(await sink.settle()).toEqual([
      {
        model: "gpt-test-2026",
        messages: [question, { role: "assistant", content: "Hello there." }],
        choices: Reflect.get(body, "choices"),
        usage: { prompt_tokens: 9, completion_tokens: 3, total_tokens: 12 },
      },
    ]);
  });

  test("all choices of a stream, each whole and marked", async () => {
    server.script(
      sse(
        chunk({ role: "assistant", content: "A" }),
        chunk({ content: "B" }, { index: 1 }),
        chunk({ content: "a" }),
        chunk({ content: "b" }, { index: 1 }),
        chunk({}, { finish_reason: "stop" }),
        chunk({}, { index: 1, finish_reason: "length" }),
      ),
    );
    const { client, sink } = traced();
    await stream(client, { n: 2 });
    const [trace] = await sink.settle();
    expect(trace?.messages).toEqual([
      question,
      { role: "assistant", content: "Aa" },
      { role: "assistant", content: "::: assistant/1\nBb" },
    ]);
    expect(trace?.choices).toMatchObject([
      { index: 0, message: { role: "assistant", content: "Aa" }, finish_reason: "stop" },
      { index: 1, message: { role: "assistant", content: "Bb" }, finish_reason: "length" },
    ]);
  });

  const look = toolCall("call_1", "look", '{"at":"it"}');
  const find = toolCall("call_2", "find", '{"what":"that"}');
  const piece = (index: number | undefined, args: string, more = {}) =>
    chunk({ tool_calls: [{ ...(index === undefined ? {} : { index }), function: { arguments: args, ...more } }] });
  const begin = (index: number | undefined, id: string, name: string, args = "") =>
    chunk({ tool_calls: [{ ...(index === undefined ? {} : { index }), ...toolCall(id, name, args) }] });

  test.each([
    [
      "interleaved",
      [
        begin(0, "call_1", "look"),
        begin(1, "call_2", "find"),
        piece(0, '{"at":'),
        piece(1, '{"what":"that"}'),
        piece(0, '"it"}'),
      ],
    ],
    [
      "without index",
      [
        begin(undefined, "call_1", "look"),
        piece(undefined, '{"at":"it"}'),
        begin(undefined, "call_2", "find"),
        piece(undefined, '{"what":"that"}'),
      ],
    ],
    [
      "whole, all with index 0",
      [begin(0, "call_1", "look", '{"at":"it"}'), begin(0, "call_2", "find", '{"what":"that"}')],
    ],
    [
      "with the id and the name in every piece",
      [
        begin(0, "call_1", "look", '{"at":'),
        begin(0, "call_1", "look", '"it"}'),
        begin(1, "call_2", "find", '{"what":"that"}'),
      ],
    ],
    [
      "with empty names and ids in later pieces",
      [
        begin(0, "call_1", "look"),
        begin(0, "", "", '{"at":"it"}'),
        begin(1, "call_2", "find"),
        begin(1, "", "", '{"what":"that"}'),
      ],
    ],
  ])("parallel tool calls of a stream, %s", async (_, chunks) => {
    server.script(sse(chunk({ role: "assistant", content: null }), ...chunks));
    const { client, sink } = traced();
    await stream(client);
    const [trace] = await sink.settle();
    const said = fromTraceMessage(trace?.messages[1] ?? { role: "user", content: "" });
    expect(said.message).toMatchObject({ role: "assistant", tool_calls: [look, find] });
  });

  test("refusals, and reasoning in every spelling, of a stream", async () => {
    const details = (text: string) => [{ type: "reasoning.text", text, index: 0, format: "f" }];
    server.script(
      sse(
        chunk({
          reasoning_content: "Hm, ",
          reasoning: "Let ",
          thinking: "So ",
          channel: "analysis",
          reasoning_details: details("One "),
        }),
        chunk({
          reasoning_content: "well.",
          reasoning: "me see.",
          thinking: "so.",
          channel: "analysis",
          reasoning_details: details("two."),
        }),
        chunk({ refusal: "I will " }),
        chunk({ refusal: "not." }, { finish_reason: "stop" }),
      ),
    );
    const { client, sink } = traced();
    await stream(client);
    const [trace] = await sink.settle();
    const text = trace?.messages[1]?.content;
    for (const said of ["Hm, well.", "Let me see.", "So so.", "One two.", "I will not.", '"channel":"analysis"'])
      expect(text).toContain(said);
  });

  test("usage and logprobs of a stream", async () => {
    const logprobs = (token: string) => ({
      content: [{ token, logprob: -1, bytes: null, top_logprobs: [] }],
      refusal: null,
    });
    server.script(
      sse(chunk({ content: "A" }, { logprobs: logprobs("A") } as object), {
        choices: [],
        usage: { total_tokens: 4, odd: "field" },
      }),
    );
    const { client, sink } = traced();
    await stream(client, { stream_options: { include_usage: true } });
    expect((await sink.settle())[0]?.usage).toEqual({ total_tokens: 4, odd: "field" });
  });

  test("roles, tool results and content parts of the request, reversibly; media by type, size and hash", async () => {
    const png = Buffer.from("not really a picture, but some bytes that stand for one").toString("base64");
    const messages = [
      { role: "developer", content: "Be brief." },
      {
        role: "user",
        content: [
          { type: "text", text: "What is it?" },
          { type: "image_url", image_url: { url: `data:image/png;base64,${png}` } },
        ],
      },
      { role: "assistant", content: null, tool_calls: [look] },
      { role: "tool", tool_call_id: "call_1", content: "It is it." },
    ] satisfies OpenAI.ChatCompletionMessageParam[];
    server.script(json(completion({ content: "It." })));
    const { client, sink } = traced();
    await client.chat.completions.create({ ...ask, messages });
    const [trace] = await sink.settle();
    expect(trace?.messages.map(({ role }) => role)).toEqual(["system", "user", "assistant", "user", "assistant"]);
    const back = trace?.messages.slice(0, 4).map((message) => fromTraceMessage(message).message);
    expect(back).toEqual([messages[0], expect.anything(), messages[2], messages[3]]);
    expect(trace?.messages[1]?.content).toMatch(/\[image\/png, 55 bytes, sha256 [0-9a-f]{64}\]/);
    expect(JSON.parse(server.requests[0]?.body ?? "").messages).toEqual(messages);
  });
});

describe("how a call ended", () => {
  const beginning = [chunk({ role: "assistant", content: "Once " }), chunk({ content: "upon" })];
  const endingOf = async (sink: ReturnType<typeof collectingSink>) => {
    const [trace] = await sink.settle();
    const [last] = trace?.messages.slice(-1) ?? [];
    return { said: trace?.messages.at(-2)?.content, call: last && fromTraceMessage(last).call };
  };

  test("complete: no closing message, also when the reader leaves at [DONE]", async () => {
    server.script(sse(...beginning));
    const { client, sink } = traced();
    await stream(client);
    expect((await endingOf(sink)).call).toBeUndefined();
  });

  test("aborted by an early break: what was said is kept", async () => {
    server.script(endless(...beginning));
    const { client, sink } = traced();
    for await (const _ of await client.chat.completions.create({ ...ask, stream: true })) break;
    expect(await endingOf(sink)).toEqual({ said: "Once upon", call: { ended: "aborted" } });
    expect(await server.requests[0]?.cutOff).toBe(true);
  });

  test("aborted by the caller's signal", async () => {
    server.script(endless(...beginning));
    const { client, sink } = traced();
    const controller = new AbortController();
    const reading = await client.chat.completions.create({ ...ask, stream: true }, { signal: controller.signal });
    for await (const _ of reading) controller.abort();
    expect(await endingOf(sink)).toEqual({ said: "Once upon", call: { ended: "aborted" } });
  });

  test("aborted before anything was read", async () => {
    server.script(endless(...beginning));
    const { client, sink } = traced();
    (await client.chat.completions.create({ ...ask, stream: true })).controller.abort();
    expect((await endingOf(sink)).call).toEqual({ ended: "aborted" });
  });

  test("aborted by the caller's own time limit, which is told; of other reasons nothing is", async () => {
    const late = new DOMException("The operation was aborted due to timeout", "TimeoutError"); // AbortSignal.timeout's
    const toldOf = [{ error: { name: "TimeoutError", message: late.message } }, {}];
    for (const [index, reason] of [late, new Error("s3cret")].entries()) {
      const { sink } = traced();
      server.script(endless(...beginning));
      const controller = new AbortController();
      const fetch = tracingFetch(sink);
      const init = { method: "POST", body: JSON.stringify(ask), signal: controller.signal };
      const { body } = await fetch(`${server.baseURL}/chat/completions`, init);
      const reader = body?.getReader();
      await reader?.read();
      controller.abort(reason);
      await expect(reader?.read()).rejects.toBe(reason);
      expect((await endingOf(sink)).call).toMatchObject({ ended: "aborted", ...toldOf[index] });
      expect(JSON.stringify(sink.traces)).not.toContain("s3cret");
    }
  });

  test("failed midway: the connection broke", async () => {
    server.script(broken(...beginning));
    const { client, sink } = traced();
    await expect(stream(client)).rejects.toThrow();
    const { said, call } = await endingOf(sink);
    expect(said).toBe("Once upon");
    expect(call).toMatchObject({ ended: "failed", error: { name: "TypeError", cause: { code: "UND_ERR_SOCKET" } } });
  });

  const cyclic = Object.assign(new Error("goes round"), { code: "ROUND" });
  cyclic.cause = cyclic;
  const unreadable = Object.defineProperty(new Error(), "message", {
    get() {
      throw new RangeError("not for you");
    },
  });
  const manyCauses = new Error("the last of many");
  for (let depth = 0, at = manyCauses; depth < 20_000; depth++) at = at.cause = new Error("a cause of a cause");
  test.each([
    ["that is its own cause", cyclic, { error: { name: "Error", message: "goes round", code: "ROUND" } }],
    ["with twenty thousand causes", manyCauses, { error: { name: "Error", message: "the last of many" } }],
    ["that cannot be read", unreadable, {}],
    [
      "of another realm",
      runInNewContext('Object.assign(new TypeError("fetch failed", { cause: new Error("why") }), { code: "FAR" })'),
      { error: { name: "TypeError", message: "fetch failed", code: "FAR", cause: { name: "Error", message: "why" } } },
    ],
  ])("failed by an error %s: the caller gets that error, and the call is kept", async (_, error, told) => {
    for (const respond of [
      () => Promise.reject(error),
      async () => new Response(new ReadableStream({ pull: (controller) => controller.error(error) })),
    ]) {
      const sink = collectingSink();
      const fetch = tracingFetch(sink, { fetch: respond, captureErrors: true });
      const call = fetch(`${server.baseURL}/chat/completions`, { method: "POST", body: JSON.stringify(ask) });
      await expect(call.then((response) => response.text())).rejects.toBe(error);
      expect((await endingOf(sink)).call).toMatchObject({ ended: "failed", ...told });
    }
  });

  test("failed midway: the stream tells an error", async () => {
    server.script(
      raw(
        `data: ${JSON.stringify(beginning[0])}\n\ndata: {"error":{"message":"Overloaded right now.","code":503}}\n\n`,
      ),
    );
    const { client, sink } = traced();
    await expect(stream(client)).rejects.toThrow();
    expect(await endingOf(sink)).toEqual({
      said: "Once ",
      call: { ended: "failed", error: { message: "Overloaded right now.", code: 503 } },
    });
  });

  test("failed: an event named error, and an error as JSON where a stream was expected", async () => {
    server.script(raw('event: error\ndata: {"message":"No more."}\n\n'), raw('{"error":{"message":"Not today."}}'));
    const { client, sink } = traced();
    await stream(client).catch(() => {});
    await stream(client).catch(() => {});
    const traces = await sink.settle(2);
    const calls = traces.map(({ messages }) =>
      messages.map((message) => fromTraceMessage(message).call).filter(Boolean),
    );
    expect(calls).toEqual([
      [{ ended: "failed", error: { message: "No more." } }],
      [{ ended: "failed", error: { message: "Not today." } }],
    ]);
  });

  test("failed at once: traced only when asked for, the answer unchanged", async () => {
    const refuse = json({ error: { message: "No such model." } }, { status: 404 });
    server.script(refuse);
    const quiet = traced();
    await expect(quiet.client.chat.completions.create(ask)).rejects.toMatchObject({ status: 404 });
    server.script(refuse);
    const { client, sink } = traced({ captureErrors: true });
    await expect(client.chat.completions.create(ask)).rejects.toMatchObject({
      status: 404,
      error: { message: "No such model." },
    });
    expect((await endingOf(sink)).call).toEqual({ ended: "failed", status: 404, error: { message: "No such model." } });
    expect(quiet.sink.traces).toEqual([]);
  });

  test("failed at once, and tried again: the client throws that answer away unread, and it failed all the same", async () => {
    const busy = json({ error: { message: "Busy." } }, { status: 503, headers: { "retry-after-ms": "1" } });
    server.script(json(completion({ content: "Hi." })), busy, json(completion({ content: "Hello there." })));
    const { client, sink } = traced({ captureErrors: true });
    await client.chat.completions.create(ask); // of the very first call, what arrives is not seen
    await client.chat.completions.create(ask, { maxRetries: 1 });
    const endings = (await sink.settle(3)).map((trace) => callEnding(trace));
    const failed = { ended: "failed", status: 503, error: { message: "Busy." } };
    expect(endings.slice(1)).toEqual([failed, { ended: "complete" }]);
  });

  test("failed at once, and thrown away unread, where what arrives cannot be seen: that it failed", async () => {
    const busy = json({ error: { message: "Busy." } }, { status: 503, headers: { "retry-after-ms": "1" } });
    server.script(busy, json(completion({ content: "Hello there." })));
    const { client, sink } = traced(
      { captureErrors: true },
      { fetch: (...request: Parameters<typeof fetch>) => fetch(...request) },
    );
    await client.chat.completions.create(ask, { maxRetries: 1 });
    const endings = (await sink.settle(2)).map((trace) => callEnding(trace));
    expect(endings).toEqual([{ ended: "failed", status: 503 }, { ended: "complete" }]);
  });

  test("failed at once: no connection, and aborted before an answer", async () => {
    const sink = collectingSink();
    const nowhere = wrapOpenAI(new OpenAI({ ...settings(), baseURL: "http://127.0.0.1:1/v1" }), sink, {
      captureErrors: true,
    });
    await expect(nowhere.chat.completions.create(ask)).rejects.toThrow("Connection error.");
    expect((await endingOf(sink)).call).toMatchObject({ ended: "failed", error: { message: "fetch failed" } });
    const { client, sink: other } = traced({ captureErrors: true });
    const controller = new AbortController();
    server.script(() => controller.abort());
    await expect(client.chat.completions.create(ask, { signal: controller.signal })).rejects.toThrow("aborted");
    expect((await endingOf(other)).call).toEqual({ ended: "aborted" });
  });
});

describe("bodies that bend the format", () => {
  test.each([
    ["just words", "just words"],
    ['{"answer":"in a form of its own"}', '{"answer":"in a form of its own"}'],
    ['[{"error":"in a list"}]', '[{"error":"in a list"}]'],
    ["{oops", "{oops"],
    ["data: not json\n\n", "not json"],
    ['{"choices":[{"index":0,"text":"old style"}]}', "old style"],
    ['{"choices":"all of them"}', "all of them"],
    [
      '{"choices":[null,7,"a word or two",{"message":"no object"}],"usage":null,"model":null,"created":0}',
      "a word or two",
    ],
    ['{"choices":[{"message":{"role":7,"content":{"deep":["er and er"]}}}],"usage":[1]}', "er and er"],
    ['data: {"choices":[{"delta":{"content":"no index"}}],"usage":null}\n\n', "no index"],
    ['data: {"choices":[{"index":0,"message":{"content":"whole in a chunk"}}]}\n\n', "whole in a chunk"],
    ['data: {"choices":[{"delta":{"__proto__":{"x":"hidden words"}}}]}', "hidden words"],
    ['\ufeffdata: {"choices":[{"delta":{"content":"after a BOM"}}]}\r\rdata: [DONE]\r\r', "after a BOM"],
    ["", "Say hello."],
  ])("%j is kept in a valid trace", async (body, said) => {
    server.script(raw(body));
    const { client, sink } = traced();
    await client.chat.completions
      .create(ask)
      .asResponse()
      .then((response) => response.text());
    const [trace] = await sink.settle();
    expect(trace?.messages.map(({ content }) => content).join("\n")).toContain(said);
  });

  test.each(["not json", "[]", '{"messages":"words"}', '{"messages":[null,7,"word",{}],"model":5}', "{}"])(
    "the request %j is kept, and sent as it is",
    async (body) => {
      server.script(json(completion({ content: "Fine." })));
      const sink = collectingSink();
      await tracingFetch(sink)(`${server.baseURL}/chat/completions`, { method: "POST", body }).then((response) =>
        response.json(),
      );
      const [trace] = await sink.settle();
      expect(trace?.messages.length).toBeGreaterThan(1);
      expect(server.requests[0]?.body).toBe(body);
    },
  );

  test("nesting deeper than the stack is kept as it came", async () => {
    const deep = `{"choices":[{"message":{"content":${"[".repeat(50_000)}"deep down"${"]".repeat(50_000)}}}]}`;
    server.script(raw(deep));
    const { client, sink } = traced();
    await client.chat.completions
      .create(ask)
      .asResponse()
      .then((response) => response.text());
    expect((await sink.settle())[0]?.messages[1]?.content).toContain("deep down");
  });

  test("12 MB of text, and lone surrogates", async () => {
    const content = `${"long ".repeat(2_400_000)}\ud800 end`;
    server.script(json(completion({ content })), sse(chunk({ content })));
    const { client, sink } = traced({ maxResponseBytes: 2 ** 26 });
    await client.chat.completions.create(ask);
    await stream(client);
    const traces = await sink.settle(2);
    expect(traces.map(({ messages }) => messages[1]?.content === content)).toEqual([true, true]);
  });

  test("a streamed function call of the old form", async () => {
    server.script(
      sse(
        chunk({ function_call: { name: "look", arguments: '{"at":' } }),
        chunk({ function_call: { arguments: '"it"}' } }),
      ),
    );
    const { client, sink } = traced();
    await stream(client);
    const [, answer] = (await sink.settle())[0]?.messages ?? [];
    expect(answer && fromTraceMessage(answer).message).toEqual({
      role: "assistant",
      function_call: { name: "look", arguments: '{"at":"it"}' },
    });
  });

  test("what goes beyond maxResponseBytes is left out, and the trace says so", async () => {
    server.script(raw(`data: ${"x".repeat(1000)}\n\n`));
    const { client, sink } = traced({ maxResponseBytes: 10 });
    await client.chat.completions
      .create(ask)
      .asResponse()
      .then((response) => response.text());
    const [trace] = await sink.settle();
    const [last] = trace?.messages.slice(-1) ?? [];
    expect(last && fromTraceMessage(last)).toEqual({ call: { ended: "complete", dropped_bytes: 998 } });
  });

  test("of a stream longer than maxResponseBytes, head and tail are kept, with a mark between them", async () => {
    const middle = Array.from({ length: 500 }, () => chunk({ content: "and so on, " }));
    server.script(
      sse(
        chunk({ content: "It begins, " }),
        ...middle,
        chunk({ content: "the end." }),
        chunk({}, { finish_reason: "stop" }),
      ),
    );
    const { client, sink } = traced({ maxResponseBytes: 10_000 });
    const chunks = await stream(client);
    expect(chunks).toHaveLength(503);
    const [trace] = await sink.settle();
    expect(trace?.messages[1]?.content).toMatch(
      /^It begins, (and so on, )+\n\[… \d+ bytes left out …\]\n(and so on, )+the end\.$/,
    );
    expect(trace?.choices).toMatchObject([{ finish_reason: "stop" }]);
    const last = trace?.messages.at(-1);
    expect(last && fromTraceMessage(last)).toMatchObject({ call: { ended: "complete" } });
  });
});

describe("tracingFetch", () => {
  const body = JSON.stringify(ask);
  test.each([
    ["a string", () => ({ body })],
    ["bytes", () => ({ body: new TextEncoder().encode(body) })],
    ["a buffer", () => ({ body: new TextEncoder().encode(body).buffer })],
    [
      "a buffer of another realm",
      () => ({ body: runInNewContext("Uint8Array.from(bytes).buffer", { bytes: new TextEncoder().encode(body) }) }),
    ],
    ["a Blob", () => ({ body: new Blob([body]) })],
  ])("reads a request body that is %s", async (_, init) => {
    server.script(json(completion({ content: "Hello there." })));
    const sink = collectingSink();
    const url = new URL(`${server.baseURL}/chat/completions?api-version=1`);
    await tracingFetch(sink)(url, { method: "post", ...init() }).then((response) => response.text());
    expect((await sink.settle())[0]?.messages).toEqual([question, { role: "assistant", content: "Hello there." }]);
    expect(server.requests[0]?.body).toBe(body);
  });

  test("reads a Request, and leaves a stream alone", async () => {
    server.script(json(completion({ content: "Hello there." })));
    const sink = collectingSink();
    const traceFetch = tracingFetch(sink);
    const url = `${server.baseURL}/chat/completions`;
    await traceFetch(new Request(url, { method: "POST", body })).then((response) => response.text());
    const streamed = { method: "POST", body: new Blob([body]).stream(), duplex: "half" };
    await traceFetch(url, streamed as RequestInit).then((response) => response.text()); // `duplex` is missing in the type
    const traces = await sink.settle(2);
    expect(traces.map(({ messages }) => messages.length)).toEqual([2, 1]);
    expect(server.requests.map((request) => request.body)).toEqual([body, body]);
  });

  test.each<[string, (response: Response) => unknown]>([
    ["no promise, as a mock's", (response) => response],
    // biome-ignore lint/suspicious/noThenProperty: what else may be awaited
    ["a thenable", (response) => ({ then: (take: (value: Response) => unknown) => void take(response) })],
  ])("takes %s, of a fetch: whoever awaits it bare gets the answer", async (_, give) => {
    const mock: unknown = () => give(Response.json(completion({ content: "Hello there." })));
    const sink = collectingSink();
    const client = new OpenAI({ ...settings(), fetch: mock as typeof fetch }); // what JavaScript callers do
    const { choices } = await client.chat.completions.create(ask);
    expect((await wrapOpenAI(client, sink).chat.completions.create(ask)).choices).toEqual(choices);
    expect((await sink.settle())[0]?.messages[1]).toEqual({ role: "assistant", content: "Hello there." });
  });

  test("gives other calls to the given fetch as they are, and its promise back", () => {
    const promise = Promise.resolve(new Response());
    const seen: unknown[][] = [];
    const given = ((...args: unknown[]) => {
      seen.push(args);
      return promise;
    }) as typeof fetch; // one signature of several
    const init = { method: "GET" };
    expect(tracingFetch(collectingSink(), { fetch: given })("http://127.0.0.1/v1/models", init)).toBe(promise);
    expect(seen[0]?.[1]).toBe(init);
  });

  test("is the global one when that writes to the same sink: a call is traced once", () => {
    const sink = collectingSink();
    try {
      const traced = tracingFetch(sink);
      vi.stubGlobal("fetch", traced);
      expect(tracingFetch(sink)).toBe(traced);
      expect(tracingFetch(collectingSink())).not.toBe(traced);
    } finally {
      vi.unstubAllGlobals();
    }
  });

  test("hands on what is no response, as a mock may give it, and traces what was asked", async () => {
    const given = { ok: true, status: 200, json: async () => completion({ content: "Hello there." }) };
    const sink = collectingSink();
    const mock = vi.fn(async () => given as unknown as Response); // what such mocks leave out, their callers do not use
    const traced = tracingFetch(sink, { fetch: mock });
    await expect(traced("http://provider.test/v1/chat/completions", { method: "POST", body })).resolves.toBe(given);
    const [trace] = await sink.settle();
    expect(trace?.messages[0]).toEqual(ask.messages[0]);
  });

  test("traces a call that the given fetch makes by it, too", async () => {
    server.script(json(completion({ content: "Hello there." })));
    const sink = collectingSink();
    const traced: typeof fetch = tracingFetch(sink, {
      fetch: (url, init) =>
        url === "http://router.test/v1/responses"
          ? traced(`${server.baseURL}/chat/completions`, init)
          : fetch(url, init),
    });
    await traced("http://router.test/v1/responses", { method: "POST", body }).then((response) => response.text());
    expect(await sink.settle(2)).toHaveLength(2);
  });

  test.each<[string, (install: () => void) => void]>([
    ["is the global one itself", (install) => install()],
    ["is the global one for the second time, after a reload", (install) => [install(), install()]],
    [
      "is called by another tool's, which is the global one",
      (install) => {
        install();
        const before = globalThis.fetch;
        vi.stubGlobal("fetch", (...args: Parameters<typeof fetch>) => before(...args));
      },
    ],
  ])("asks the fetch that was there before when it %s, and traces the call once", async (_, start) => {
    server.script(json(completion({ content: "Hello there." })));
    const sinks: CollectingSink[] = [];
    try {
      start(() => {
        const sink = collectingSink();
        sinks.push(sink);
        vi.stubGlobal("fetch", tracingFetch(sink));
      });
      const response = await fetch(`${server.baseURL}/chat/completions`, { method: "POST", body });
      expect(await response.json()).toMatchObject({ choices: [{ message: { content: "Hello there." } }] });
    } finally {
      vi.unstubAllGlobals();
    }
    const traces = await Promise.all(sinks.map((sink) => sink.settle()));
    expect(traces.map(({ length }) => length)).toEqual(sinks.map(() => 1));
    expect(server.requests).toHaveLength(1);
  });
});

describe("sinks", () => {
  const badSinks: [string, TraceSink][] = [
    [
      "throws",
      {
        logTrace() {
          throw new Error("sink");
        },
      },
    ],
    ["rejects", { logTrace: () => Promise.reject(new Error("sink")) }],
    [
      "gives a broken thenable",
      {
        logTrace: () => ({
          // biome-ignore lint/suspicious/noThenProperty: what a hostile sink may give back
          get then() {
            throw new Error("sink");
          },
        }),
      },
    ],
  ];
  test.each(badSinks)("one that %s does not reach the caller", async (_, sink) => {
    const unhandled: unknown[] = [];
    const note = (reason: unknown) => unhandled.push(reason);
    process.on("unhandledRejection", note);
    let logged = () => {};
    const wasLogged = new Promise<void>((resolve) => {
      logged = resolve;
    });
    const logTrace: TraceSink["logTrace"] = (input) => {
      logged();
      return sink.logTrace(input);
    };
    server.script(json(completion({ content: "Hello there." })));
    const client = wrapOpenAI(new OpenAI(settings()), { logTrace });
    await expect(client.chat.completions.create(ask)).resolves.toMatchObject({ id: "chatcmpl-1" });
    await wasLogged;
    await new Promise((resolve) => setImmediate(resolve)); // rejections are told after the microtasks
    process.off("unhandledRejection", note);
    expect(unhandled).toEqual([]);
  });

  test("one that is wrapped twice is told once; two sinks are told both", async () => {
    server.script(json(completion({ content: "Hello there." })));
    const { client, sink } = traced();
    const other = collectingSink();
    const twice = wrapOpenAI(wrapOpenAI(wrapOpenAI(client, sink), other), sink);
    await twice.withOptions({ timeout: 1000 }).chat.completions.create(ask);
    expect(await sink.settle()).toHaveLength(1);
    expect(await other.settle()).toHaveLength(1);
  });
});

test.each([
  [undefined, {}],
  [{}, {}],
  [collectingSink(), { captureErrors: "yes" }],
  [collectingSink(), { maxResponseBytes: -1 }],
  [collectingSink(), { fetch: 7 }],
  [collectingSink(), { includeusage: true }],
  [collectingSink(), null],
])("bad sinks and options are refused at once: %#", (sink, options) => {
  try {
    tracingFetch(sink as TraceSink, options as object); // what JavaScript callers do
    expect.unreachable();
  } catch (error) {
    expect(isTraceLoggerError(error) && error.code).toBe("invalid_option");
  }
});
