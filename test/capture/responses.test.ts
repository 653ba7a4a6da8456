import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { wrapOpenAI } from "../../src/capture/openai.ts";
import { fromTraceMessage } from "../../src/transcript.ts";
import { broken, type ChatServer, endless, json, raw, startChatServer } from "./chat-server.ts";
import { collectingSink } from "./collecting-sink.ts";
import { drain } from "./differential-checks.ts";

let server: ChatServer;
beforeAll(async () => {
  server = await startChatServer();
});
afterAll(() => server[Symbol.asyncDispose]());

function traced(options = {}) {
  const sink = collectingSink();
  const settings = { baseURL: server.baseURL, apiKey: "sk-test", maxRetries: 0, logLevel: "off" as const };
  return { sink, client: wrapOpenAI(new OpenAI(settings), sink, options) };
}

type Sink = ReturnType<typeof collectingSink>;

/** The one trace, and what its messages say. */
async function trace(sink: Sink) {
  const [one] = await sink.settle();
  const messages = one?.messages ?? [];
  return { ...one, messages, said: messages.map(fromTraceMessage) };
}

const message = (text: string, more = {}) => ({
  id: "msg_1",
  type: "message",
  role: "assistant",
  status: "completed",
  content: [{ type: "output_text", text, annotations: [], logprobs: [] }],
  ...more,
});
const usage = { input_tokens: 3, output_tokens: 4, total_tokens: 7, output_tokens_details: { reasoning_tokens: 1 } };
const response = (output: readonly unknown[], more = {}) => ({
  id: "resp_1",
  object: "response",
  created_at: 1_700_000_000,
  model: "gpt-test-2026",
  status: "completed",
  error: null,
  incomplete_details: null,
  output,
  usage,
  ...more,
});
const ask = { model: "gpt-test", input: "Say hello." } as const;

type Event = { readonly type: string; readonly [field: string]: unknown };
const sse = (...events: Event[]) =>
  raw(events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join(""));
const itemEvent = (step: "added" | "done") => (index: number, value: object) => ({
  type: `response.output_item.${step}`,
  output_index: index,
  item: value,
});
const item = itemEvent("added");
const itemDone = itemEvent("done");
const piece = (kind: string, delta: string, more = {}): Event => ({
  type: `response.${kind}.delta`,
  output_index: 0,
  content_index: 0,
  item_id: "msg_1",
  delta,
  ...more,
});
const created: Event = { type: "response.created", response: response([], { status: "in_progress", usage: null }) };
const last = (type: string, value: object): Event => ({ type: `response.${type}`, response: value });

describe("a response", () => {
  test("both sides, usage as it came, the model that answered; this API has no choices", async () => {
    server.script(json(response([message("Hello there.\nAnd you?")])));
    const { client, sink } = traced();
    await client.responses.create({ ...ask, instructions: "Be brief." });
    const { said, ...rest } = await trace(sink);
    expect(rest).toEqual({
      model: "gpt-test-2026",
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "Say hello." },
        { role: "assistant", content: expect.stringContaining("\nHello there.\nAnd you?") },
      ],
      usage,
    });
    expect(said[2]).toEqual({ message: message("Hello there.\nAnd you?") });
  });

  test("items of every kind come back as they were, each under whom it belongs to", async () => {
    const items: readonly (readonly ["user" | "system" | "assistant", object])[] = [
      ["system", { role: "developer", content: "Be brief." }],
      ["user", { type: "message", role: "user", content: [{ type: "input_text", text: "What is it?" }] }],
      ["assistant", { role: "assistant", content: "A cat." }],
      [
        "assistant",
        {
          type: "reasoning",
          id: "rs_1",
          summary: [{ type: "summary_text", text: "It has ears." }],
          encrypted_content: "gAAA=",
        },
      ],
      ["assistant", { type: "function_call", call_id: "c1", name: "pet", arguments: '{"how": "softly"}' }],
      ["user", { type: "function_call_output", call_id: "c1", output: "It purrs." }],
      [
        "user",
        { type: "function_call_output", call_id: "c2", output: [{ type: "input_text", text: "It purrs again." }] },
      ],
      ["assistant", { type: "custom_tool_call", call_id: "c3", name: "sh", input: "ls -l" }],
      ["user", { type: "custom_tool_call_output", call_id: "c3", output: "no such file" }],
      [
        "assistant",
        { type: "web_search_call", id: "ws_1", status: "completed", action: { type: "search", query: "cat ears" } },
      ],
      [
        "assistant",
        { type: "mcp_call", id: "mcp_1", name: "ask", server_label: "s", arguments: "{}", output: "So it is." },
      ],
      ["user", { type: "mcp_approval_response", approval_request_id: "a1", approve: true }],
      ["user", { type: "item_reference", id: "msg_0" }],
      ["assistant", { type: "invented_tomorrow", id: "x_1", words: "nobody knows" }],
    ];
    server.script(json(response([])));
    const { client, sink } = traced();
    await client.responses.create({ ...ask, input: items.map(([, value]) => value) as OpenAI.Responses.ResponseInput });
    const { said, messages } = await trace(sink);
    expect(said.map(({ message: one }) => one)).toEqual(items.map(([, value]) => value));
    expect(messages.map(({ role }) => role)).toEqual(items.map(([role]) => role));
  });

  test("what it goes on from is named", async () => {
    server.script(json(response([message("Yes.")])));
    const { client, sink } = traced();
    const prompt = { id: "pmpt_1", variables: { city: "Paris, France" } };
    await client.responses.create({ ...ask, previous_response_id: "resp_0", prompt });
    const { said } = await trace(sink);
    expect(said[0]).toEqual({ message: { previous_response_id: "resp_0", prompt } });
  });

  test("the text behind a prompt's name, as the answer tells it, and the media in its variables", async () => {
    const instructions = [
      { type: "message", role: "developer", content: [{ type: "input_text", text: "Say hello." }] },
    ];
    server.script(json(response([message("Hello.")], { instructions })));
    const { client, sink } = traced();
    const file_data = `data:application/pdf;base64,${"QUJD".repeat(30)}`;
    const prompt = { id: "pmpt_1", variables: { file: { type: "input_file", file_data } } } as const;
    await client.responses.create({ model: "gpt-test", prompt });
    const { said, messages } = await trace(sink);
    expect(messages[0]?.content).toContain("[application/pdf, 90 bytes, sha256 ");
    expect(said.slice(1).map(({ message: one }) => one)).toEqual([...instructions, message("Hello.")]);
    expect(messages[1]?.role).toBe("system");
  });

  const odd: readonly (readonly [string, object, readonly unknown[]])[] = [
    ["one item", { input: { role: "user", content: "Hi." } }, [{ role: "user", content: "Hi." }]],
    ["a number", { input: 42 }, [42]],
    ["texts", { input: ["Hi.", "And you?"] }, ["Hi.", "And you?"]],
    ["messages in its place", { messages: [{ role: "user", content: "Hi." }] }, [{ role: "user", content: "Hi." }]],
    ["instructions in one item", { instructions: { role: "developer", content: "Be brief." } }, []],
  ];
  test.each(odd)(
    "what was asked in a form of its own is said beside what is understood: %s",
    async (_, more, asked) => {
      server.script(json(response([])));
      const { client, sink } = traced();
      const prompt = { id: "pmpt_1" };
      await client.post("/responses", { body: { model: "gpt-test", prompt, instructions: "Be brief.", ...more } });
      const { said } = await trace(sink);
      const first =
        "instructions" in more ? { role: "developer", content: "Be brief." } : { role: "system", content: "Be brief." };
      expect(said.map(({ message: one }) => one)).toEqual([{ prompt }, first, ...asked]);
    },
  );

  test("media of both sides by type, size and hash; encrypted reasoning as it came", async () => {
    const bytes = Buffer.from("not really a picture, but some bytes that stand for one, so that there is something");
    const base64 = bytes.toString("base64");
    const drawing = { type: "image_generation_call", id: "ig_1", output_format: "webp", result: base64 };
    server.script(json(response([{ type: "reasoning", summary: [], encrypted_content: base64 }, drawing])));
    const { client, sink } = traced();
    const image = { type: "input_image", detail: "auto", image_url: `data:image/png;base64,${base64}` } as const;
    const file = { type: "input_file", filename: "a.pdf", file_data: `data:application/pdf;base64,${base64}` } as const;
    await client.responses.create({ ...ask, input: [{ role: "user", content: [image, file] }] });
    const { messages } = await trace(sink);
    const [asked, thought, drawn] = messages.map(({ content }) => content);
    expect(asked).toMatch(/\[image\/png, 83 bytes, sha256 [0-9a-f]{64}\]/);
    expect(asked).toMatch(/\[application\/pdf, 83 bytes, sha256 [0-9a-f]{64}\]/);
    expect(asked).not.toContain(base64);
    expect(thought).toContain(base64);
    expect(drawn).toMatch(/\[image\/webp, 83 bytes, sha256 [0-9a-f]{64}\]/);
  });

  test.each([
    [
      { status: "incomplete", incomplete_details: { reason: "max_output_tokens" } },
      { ended: "complete", status: "incomplete", incomplete_details: { reason: "max_output_tokens" } },
    ],
    [
      { status: "failed", error: { code: "server_error", message: "Oh no." } },
      { ended: "failed", error: { code: "server_error", message: "Oh no." } },
    ],
    [{ status: "queued" }, { ended: "complete", status: "queued" }],
    [{ status: "cancelled" }, { ended: "complete", status: "cancelled" }],
  ])("that ended as %j says so", async (end, call) => {
    server.script(json(response([message("I was just")], end)));
    const { client, sink } = traced();
    await client.responses.create(ask);
    expect((await trace(sink)).said.at(-1)).toEqual({ call });
  });
});

/** What is stored of a stream that ends in an error for its reader. */
async function saidUntilFailure(...events: Event[]) {
  server.script(sse(...events));
  const { client, sink } = traced();
  await client.responses
    .create({ ...ask, stream: true })
    .then(drain)
    .catch(() => {});
  const { said } = await trace(sink);
  return said;
}

describe("a streamed response", () => {
  test("is its last snapshot", async () => {
    const output = [{ type: "reasoning", id: "rs_1", summary: [] }, message("Hello there.")];
    server.script(sse(created, item(0, message("")), piece("output_text", "Hel"), last("completed", response(output))));
    const { client, sink } = traced();
    await drain(await client.responses.create({ ...ask, stream: true }));
    const { said, usage: told } = await trace(sink);
    expect(said.slice(1).map(({ message: one }) => one)).toEqual(output);
    expect(told).toEqual(usage);
  });

  test("is put together from its pieces where the last snapshot is empty", async () => {
    server.script(
      sse(
        created,
        item(0, message("")),
        piece("output_text", "Hello "),
        piece("output_text", "there."),
        last("completed", response([])),
      ),
    );
    const { client, sink } = traced();
    await drain(await client.responses.create({ ...ask, stream: true }));
    expect((await trace(sink)).said[1]).toEqual({ message: message("Hello there.") });
  });

  const call = { type: "function_call", id: "fc_1", call_id: "c1", name: "pet", arguments: "" };
  const cases: readonly (readonly [string, readonly Event[], object])[] = [
    [
      "text",
      [item(0, message("", { content: [] })), piece("output_text", "A "), piece("output_text", "cat.")],
      { content: [{ type: "output_text", text: "A cat." }] },
    ],
    [
      "a refusal",
      [item(0, message("", { content: [] })), piece("refusal", "I will "), piece("refusal", "not.")],
      { content: [{ type: "refusal", refusal: "I will not." }] },
    ],
    [
      "arguments",
      [item(0, call), piece("function_call_arguments", '{"how":'), piece("function_call_arguments", '"so')],
      { name: "pet", arguments: '{"how":"so' },
    ],
    [
      "code",
      [
        item(0, { type: "code_interpreter_call", code: "" }),
        piece("code_interpreter_call_code", "x = "),
        piece("code_interpreter_call_code", "1"),
      ],
      { code: "x = 1" },
    ],
    [
      "input",
      [
        item(0, { type: "custom_tool_call" }),
        piece("custom_tool_call_input", "ls "),
        piece("custom_tool_call_input", "-l"),
      ],
      { input: "ls -l" },
    ],
    [
      "a summary",
      [
        item(0, { type: "reasoning", summary: [] }),
        piece("reasoning_summary_text", "So ", { summary_index: 0 }),
        piece("reasoning_summary_text", "then", { summary_index: 1 }),
      ],
      {
        summary: [
          { type: "summary_text", text: "So " },
          { type: "summary_text", text: "then" },
        ],
      },
    ],
    [
      "text that is done, and then nothing",
      [
        item(0, message("")),
        piece("output_text", "A cat."),
        { type: "response.output_text.done", output_index: 0, content_index: 0, text: "" },
        {
          type: "response.content_part.done",
          output_index: 0,
          content_index: 0,
          part: { type: "output_text", text: "" },
        },
      ],
      { content: [{ type: "output_text", text: "A cat." }] },
    ],
    [
      "a summary in objects",
      [
        item(0, { type: "reasoning", summary: [] }),
        piece("reasoning_summary", "", { delta: { type: "summary_text", text: "So " } }),
        piece("reasoning_summary", "", { delta: { type: "summary_text", text: "then" } }),
      ],
      { reasoning_summary: "So then" },
    ],
    [
      "arguments under an older name",
      [item(0, { type: "mcp_call", arguments: "" }), piece("mcp_call.arguments", '{"a":1')],
      { arguments: '{"a":1' },
    ],
    [
      "what nobody knows yet",
      [item(0, { type: "new_call" }), piece("new_words", "a "), piece("new_words", "b")],
      { new_words: "a b" },
    ],
    [
      "an item that is done",
      [
        item(0, call),
        piece("function_call_arguments", "{"),
        { type: "response.output_item.done", output_index: 0, item: { ...call, arguments: "{ }" } },
      ],
      { arguments: "{ }" },
    ],
    [
      "pieces without an item",
      [piece("output_text", "A "), piece("output_text", "cat.")],
      { id: "msg_1", content: [{ type: "output_text", text: "A cat." }] },
    ],
    [
      "pieces without an index",
      [item(0, message("")), piece("output_text", "A cat.", { output_index: undefined })],
      { content: [{ text: "A cat." }] },
    ],
    [
      "annotations",
      [
        item(0, message("")),
        piece("output_text", "A cat."),
        {
          type: "response.output_text.annotation.added",
          output_index: 0,
          content_index: 0,
          annotation: { type: "url_citation", url: "https://cat.example" },
        },
      ],
      { content: [{ text: "A cat.", annotations: [{ type: "url_citation", url: "https://cat.example" }] }] },
    ],
  ];
  test.each(cases)("that breaks keeps what was said: %s", async (_, events, expected) => {
    server.script(broken(created, ...events));
    const { client, sink } = traced();
    await expect(client.responses.create({ ...ask, stream: true }).then(drain)).rejects.toThrow();
    const { said, model } = await trace(sink);
    expect(said).toMatchObject([{ message: { role: "user" } }, { message: expected }, { call: { ended: "failed" } }]);
    expect(model).toBe("gpt-test-2026");
  });

  test("that its reader leaves is aborted, with what was said", async () => {
    server.script(endless(created, item(0, message("")), piece("output_text", "Once ")));
    const { client, sink } = traced();
    for await (const event of await client.responses.create({ ...ask, stream: true })) {
      if (event.type === "response.output_text.delta") break;
    }
    expect((await trace(sink)).said.slice(1)).toEqual([{ message: message("Once ") }, { call: { ended: "aborted" } }]);
  });

  test("whose reader leaves after its end is complete", async () => {
    server.script(endless(created, last("completed", response([message("All.")]))));
    const { client, sink } = traced();
    for await (const event of await client.responses.create({ ...ask, stream: true })) {
      if (event.type === "response.completed") break;
    }
    expect((await trace(sink)).said.slice(1)).toEqual([{ message: message("All.") }]);
  });

  test.each([
    [
      "failed",
      last(
        "failed",
        response([message("I was")], { status: "failed", error: { code: "server_error", message: "Oh no." } }),
      ),
    ],
    ["error", { type: "error", code: "server_error", message: "Oh no.", param: null }],
  ])("that tells of its own failure (%s)", async (_, event) => {
    const said = await saidUntilFailure(created, item(0, message("")), piece("output_text", "I was"), event);
    expect(said.slice(1)).toMatchObject([
      { message: message("I was") },
      { call: { ended: "failed", error: { code: "server_error", message: "Oh no." } } },
    ]);
  });

  test("that tells an error before its end is no longer in progress", async () => {
    const begun = { type: "response.created", response: response([], { status: "in_progress" }) };
    const said = await saidUntilFailure(begun, { type: "error", code: "busy", message: "Oh no.", param: null });
    expect(said.at(-1)?.call).not.toHaveProperty("status");
  });

  test("whose last snapshot leaves an item out keeps it", async () => {
    const reasoning = { id: "rs_1", type: "reasoning", summary: [{ type: "summary_text", text: "Let me see." }] };
    server.script(
      sse(
        created,
        itemDone(0, reasoning),
        itemDone(1, message("All.")),
        last("completed", response([message("All.")])),
      ),
    );
    const { client, sink } = traced();
    await client.responses.create({ ...ask, stream: true }).then(drain);
    expect((await trace(sink)).said.slice(1)).toEqual([{ message: reasoning }, { message: message("All.") }]);
  });

  const thought = (id: string, text?: string) => {
    return { id, type: "reasoning", summary: text === undefined ? [] : [{ type: "summary_text", text }] };
  };
  const called = { id: "fc_1", type: "function_call", call_id: "c1", name: "pet", arguments: "{}" };
  const leftOut: readonly (readonly [string, readonly Event[], readonly object[], readonly object[]])[] = [
    [
      "one of several thoughts",
      [itemDone(0, thought("rs_1", "First.")), itemDone(1, thought("rs_2", "Then.")), itemDone(2, message("All."))],
      [thought("rs_2", "Then."), message("All.")],
      [thought("rs_1", "First."), thought("rs_2", "Then."), message("All.")],
    ],
    [
      "one of several items without ids",
      [itemDone(0, { ...called, id: undefined }), itemDone(1, message("All.", { id: undefined }))],
      [message("All.", { id: undefined })],
      [{ ...called, id: undefined }, message("All.", { id: undefined })],
    ],
    [
      "a call after the words",
      [itemDone(0, message("All.")), itemDone(1, called)],
      [message("All.")],
      [message("All."), called],
    ],
    [
      "the words of a message",
      [item(0, message("")), piece("output_text", "All.")],
      [message("", { content: [] })],
      [message("All.")],
    ],
    [
      "a summary, as does the item that was done",
      [
        item(0, thought("rs_1")),
        piece("reasoning_summary_text", "So then.", { summary_index: 0 }),
        itemDone(0, thought("rs_1")),
      ],
      [thought("rs_1")],
      [thought("rs_1", "So then.")],
    ],
    [
      "a thought that no item was told of",
      [
        piece("reasoning_summary_text", "So then.", { output_index: undefined, item_id: undefined }),
        piece("output_text", "All.", { output_index: undefined, item_id: undefined }),
      ],
      [message("All.")],
      [{ type: "reasoning", summary: [{ type: "summary_text", text: "So then." }] }, message("All.")],
    ],
    [
      "only that words belong to a message of their own",
      [
        { type: "response.output_item.added", item: thought("rs_1") },
        piece("reasoning_summary_text", "So then.", { output_index: undefined, item_id: "rs_1" }),
        piece("output_text", "All.", { output_index: undefined, item_id: "msg_1" }),
      ],
      [thought("rs_1"), message("All.")],
      [thought("rs_1", "So then."), message("All.")],
    ],
    [
      "arguments",
      [item(0, { ...called, arguments: "" }), piece("function_call_arguments", "{}")],
      [{ ...called, arguments: "" }],
      [called],
    ],
  ];
  test.each(leftOut)("whose last snapshot leaves out %s keeps it, in its place", async (_, events, snapshot, all) => {
    server.script(sse(created, ...events, last("completed", response(snapshot))));
    const { client, sink } = traced();
    await client.responses.create({ ...ask, stream: true }).then(drain);
    expect((await trace(sink)).said.slice(1).map(({ message: one }) => one)).toEqual(all);
  });

  test("in another API's form is kept as it came", async () => {
    const chunk = JSON.stringify({ model: "m", choices: [{ index: 0, delta: { content: "A cat." } }] });
    server.script(raw(`data: ${chunk}\n\ndata: [DONE]\n\n`));
    const { client, sink } = traced();
    await client.responses.create({ ...ask, stream: true }).then(drain);
    expect((await trace(sink)).messages[1]).toMatchObject({
      role: "assistant",
      content: expect.stringContaining(chunk),
    });
  });

  test("with hostile indexes costs no memory and loses no words", async () => {
    server.script(
      broken(
        created,
        piece("output_text", "A cat.", { output_index: 4_000_000_000, content_index: -1 }),
        piece("constructor", "x"),
      ),
    );
    const { client, sink } = traced();
    await client.responses
      .create({ ...ask, stream: true })
      .then(drain)
      .catch(() => {});
    expect((await trace(sink)).messages[1]?.content).toContain("A cat.");
  });
});

test("a body that is no response is kept as it came", async () => {
  server.script(json({ answer: "in nobody's form" }));
  const { client, sink } = traced();
  await client.responses.create(ask);
  expect((await trace(sink)).messages[1]).toEqual({ role: "assistant", content: '{"answer":"in nobody\'s form"}' });
});
