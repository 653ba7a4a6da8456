/** What the differential suite does with the other APIs of a client: see `differential.ts`. */
import { endless, json, type Reply, raw } from "./chat-server.ts";
import { type Check, describeResponse, drain, outcomeOf } from "./differential-checks.ts";

const ask = { model: "gpt-test", input: "Say hello." } as const;
const usage = { input_tokens: 9, output_tokens: 3, total_tokens: 12 };

const message = (text: string, more: object = {}) => ({
  type: "message",
  id: "msg_1",
  role: "assistant",
  status: "completed",
  content: [{ type: "output_text", text, annotations: [], logprobs: [] }],
  ...more,
});
const response = (output: object[], more: object = {}) => ({
  id: "resp_1",
  object: "response",
  created_at: 1_700_000_000,
  status: "completed",
  model: "gpt-test-2026",
  error: null,
  incomplete_details: null,
  instructions: null,
  metadata: {},
  output,
  parallel_tool_calls: true,
  temperature: 1,
  tool_choice: "auto",
  tools: [],
  top_p: 1,
  usage,
  ...more,
});
const called = {
  type: "function_call",
  id: "fc_1",
  call_id: "call_1",
  name: "look",
  arguments: '{"at":"it"}',
  status: "completed",
};
const hello = json(response([message("Hello there.")]));

type Event = { readonly type: string; readonly [field: string]: unknown };
const written = (events: readonly Event[]) =>
  events
    .map((event, at) => `event: ${event.type}\ndata: ${JSON.stringify({ ...event, sequence_number: at })}\n\n`)
    .join("");
const at = { output_index: 0, item_id: "msg_1", content_index: 0 };
const begun: readonly Event[] = [
  { type: "response.created", response: response([], { status: "in_progress", usage: null }) },
  { type: "response.output_item.added", output_index: 0, item: message("", { status: "in_progress", content: [] }) },
  { type: "response.content_part.added", ...at, part: { type: "output_text", text: "", annotations: [] } },
  { type: "response.output_text.delta", ...at, delta: "Hello " },
];
const streamed = raw(
  written([
    ...begun,
    { type: "response.output_text.delta", ...at, delta: "there." },
    { type: "response.output_text.done", ...at, text: "Hello there." },
    { type: "response.content_part.done", ...at, part: message("Hello there.").content[0] },
    { type: "response.output_item.done", output_index: 0, item: message("Hello there.") },
    { type: "response.completed", response: response([message("Hello there.")]) },
  ]),
);
const streamedCall = raw(
  written([
    { type: "response.created", response: response([], { status: "in_progress", usage: null }) },
    {
      type: "response.output_item.added",
      output_index: 0,
      item: { ...called, arguments: "", status: "in_progress" },
    },
    { type: "response.function_call_arguments.delta", output_index: 0, item_id: "fc_1", delta: '{"at":' },
    { type: "response.function_call_arguments.delta", output_index: 0, item_id: "fc_1", delta: '"it"}' },
    { type: "response.function_call_arguments.done", output_index: 0, item_id: "fc_1", arguments: '{"at":"it"}' },
    { type: "response.output_item.done", output_index: 0, item: called },
    { type: "response.completed", response: response([called]) },
  ]),
);
const open: Reply = (reply) => {
  reply.writeHead(200, { "content-type": "text/event-stream" });
  reply.write(written(begun));
};
const refused = json(
  { error: { message: "No, not so.", type: "invalid_request_error", param: "input", code: "bad_thing" } },
  { status: 400 },
);
const format = { type: "json_schema" as const, name: "word", schema: { type: "object" }, strict: true };

const responses: readonly Check[] = [
  { name: "responses: an answer", replies: [hello], use: (client) => client.responses.create(ask) },
  {
    name: "responses: output_text, which the client adds",
    replies: [hello],
    use: async (client) => (await client.responses.create(ask)).output_text,
  },
  {
    name: "responses: instructions, items, tools and a call",
    replies: [json(response([{ type: "reasoning", id: "rs_1", summary: [] }, called]))],
    use: (client) =>
      client.responses.create({
        ...ask,
        instructions: "Be brief.",
        input: [{ role: "user", content: [{ type: "input_text", text: "Look." }] }],
        tools: [{ type: "function", name: "look", parameters: { type: "object" }, strict: false }],
      }),
  },
  {
    name: "responses: withResponse",
    replies: [hello],
    use: async (client) => {
      const { data, response, request_id } = await client.responses.create(ask).withResponse();
      return { data, request_id, response: await describeResponse(response) };
    },
  },
  {
    name: "responses: asResponse",
    replies: [hello],
    use: async (client) => (await client.responses.create(ask).asResponse()).text(),
  },
  {
    name: "responses: incomplete",
    replies: [
      json(response([message("Hel")], { status: "incomplete", incomplete_details: { reason: "max_output_tokens" } })),
    ],
    use: (client) => client.responses.create(ask),
  },
  {
    name: "responses: failed",
    replies: [json(response([], { status: "failed", error: { code: "server_error", message: "It broke." } }))],
    use: (client) => client.responses.create(ask),
  },
  { name: "responses: refused", replies: [refused], traces: 0, use: (client) => client.responses.create(ask) },
  {
    name: "responses: in the background, asked for until it is there",
    replies: [json(response([], { status: "queued", background: true, usage: null })), hello],
    use: async (client) => {
      const { id, status } = await client.responses.create({ ...ask, background: true });
      return [status, await client.responses.retrieve(id)];
    },
  },
  {
    name: "responses: in the background, then cancelled",
    replies: [
      json(response([], { status: "in_progress", background: true, usage: null })),
      json(response([], { status: "cancelled", background: true, usage: null })),
    ],
    use: async (client) => {
      const { id } = await client.responses.create({ ...ask, background: true });
      return client.responses.cancel(id);
    },
  },
  {
    name: "responses: deleted",
    replies: [(reply) => void reply.writeHead(204).end()],
    traces: 0,
    // `openai` 4 called it `del`.
    use: async ({ responses }) => {
      const { delete: remove = (responses as unknown as { del: typeof responses.delete }).del } = responses;
      return (await Reflect.apply(remove, responses, ["resp_1"])) ?? "nothing";
    },
  },
  {
    name: "responses: the items of its input",
    replies: [json({ object: "list", data: [message("Hello there.")], has_more: false })],
    traces: 0,
    use: async (client) => drain(await client.responses.inputItems.list("resp_1")),
  },
  {
    name: "responses: a stream",
    replies: [streamed],
    use: async (client) => drain(await client.responses.create({ ...ask, stream: true })),
  },
  {
    name: "responses: a streamed call",
    replies: [streamedCall],
    use: async (client) => drain(await client.responses.create({ ...ask, stream: true })),
  },
  {
    name: "responses: tee",
    replies: [streamed],
    use: async (client) => {
      const [left, right] = (await client.responses.create({ ...ask, stream: true })).tee();
      return Promise.all([drain(left), drain(right)]);
    },
  },
  {
    name: "responses: an early break",
    replies: [open],
    cutOff: true,
    use: async (client) => {
      const stream = await client.responses.create({ ...ask, stream: true });
      for await (const first of stream) return [first, stream.controller.signal.aborted];
      return undefined;
    },
  },
  {
    name: "responses: an error told in the middle of a stream",
    replies: [raw(written([...begun, { type: "error", code: "busy", message: "Overloaded.", param: null }]))],
    use: async (client) => {
      const seen: unknown[] = [];
      const read = async () => {
        for await (const event of await client.responses.create({ ...ask, stream: true })) seen.push(event);
      };
      return [await outcomeOf(read), seen];
    },
  },
  {
    name: "responses: a stream whose connection breaks",
    replies: [
      (reply) => {
        reply.writeHead(200, { "content-type": "text/event-stream" });
        reply.write(written(begun), () => reply.destroy());
      },
    ],
    use: async (client) => drain(await client.responses.create({ ...ask, stream: true })),
  },
  {
    name: "responses: .stream()",
    replies: [streamed],
    use: async (client) => {
      const events: unknown[] = [];
      const stream = client.responses.stream(ask);
      stream.on("event", (event) => events.push(event.type));
      stream.on("response.output_text.delta", ({ delta, snapshot }) => events.push([delta, snapshot]));
      return [await stream.finalResponse(), events];
    },
  },
  {
    name: "responses: .stream() with tools, read by hand",
    replies: [streamedCall],
    use: async (client) => {
      const stream = client.responses.stream({
        ...ask,
        tools: [{ type: "function", name: "look", parameters: { type: "object" }, strict: true }],
      });
      const events = await drain(stream);
      return [events, await stream.finalResponse()];
    },
  },
  {
    name: "responses: .stream() aborted",
    replies: [open],
    cutOff: true,
    use: async (client) => {
      const stream = client.responses.stream(ask);
      stream.on("response.output_text.delta", () => stream.abort());
      return stream.finalResponse();
    },
  },
  {
    name: "responses: .parse()",
    replies: [json(response([message('{"word":"hello"}')]))],
    use: async (client) => {
      const parsed = await client.responses.parse({ ...ask, text: { format } });
      return [parsed, parsed.output_parsed];
    },
  },
  {
    name: "responses: .parse() of a call",
    replies: [json(response([called]))],
    use: (client) =>
      client.responses.parse({
        ...ask,
        tools: [{ type: "function", name: "look", parameters: { type: "object" }, strict: true }],
      }),
  },
];

const choice = (text: string, finish_reason: string | null = null) => ({
  index: 0,
  text,
  logprobs: null,
  finish_reason,
});
const completion = (...choices: object[]) => ({
  id: "cmpl-1",
  object: "text_completion",
  created: 1_700_000_000,
  model: "gpt-test-2026",
  choices,
});
const prompted = { model: "gpt-test", prompt: "Once" } as const;

const completions: readonly Check[] = [
  {
    name: "completions: an answer",
    replies: [json(completion(choice(" upon a time", "stop")))],
    use: (client) => client.completions.create(prompted),
  },
  {
    name: "completions: several prompts",
    replies: [json(completion(choice(" upon", "stop"), { ...choice(" more", "length"), index: 1 }))],
    use: (client) => client.completions.create({ ...prompted, prompt: ["Once", "Never"] }),
  },
  {
    name: "completions: a stream",
    replies: [raw(`data: ${JSON.stringify(completion(choice(" upon")))}\n\ndata: [DONE]\n\n`)],
    use: async (client) => drain(await client.completions.create({ ...prompted, stream: true })),
  },
  {
    name: "completions: an early break",
    replies: [endless(completion(choice(" upon")), completion(choice(" a")))],
    cutOff: true,
    use: async (client) => {
      for await (const first of await client.completions.create({ ...prompted, stream: true })) return first;
      return undefined;
    },
  },
];

const bytes = Uint8Array.from({ length: 70_000 }, (_, index) => index % 251);
const binary = raw(bytes, { "content-type": "application/octet-stream" });
const upload = () => new File([bytes], "some bytes.bin", { type: "application/octet-stream" });

/** What is no conversation passes untouched, byte by byte. */
const others: readonly Check[] = [
  {
    name: "files: an upload",
    replies: [json({ id: "file-1", object: "file", bytes: bytes.length, filename: "some bytes.bin" })],
    traces: 0,
    use: (client) => client.files.create({ file: upload(), purpose: "user_data" }),
  },
  {
    name: "files: a download",
    replies: [binary],
    traces: 0,
    use: async (client) => [...new Uint8Array(await (await client.files.content("file-1")).arrayBuffer())],
  },
  {
    name: "files: a list over two pages",
    replies: [
      json({ object: "list", data: [{ id: "file-1" }], has_more: true }),
      json({ object: "list", data: [{ id: "file-2" }], has_more: false }),
    ],
    traces: 0,
    use: async (client) => drain(client.files.list()),
  },
  {
    name: "embeddings in base64, as the client asks for them by itself",
    replies: [
      json({ object: "list", data: [{ object: "embedding", index: 0, embedding: "AACAPwAAAEA=" }], model: "e" }),
    ],
    traces: 0,
    use: (client) => client.embeddings.create({ model: "e", input: ["x", "y"] }),
  },
  {
    name: "speech",
    replies: [binary],
    traces: 0,
    use: async (client) => {
      const spoken = await client.audio.speech.create({ model: "tts", voice: "alloy", input: "Hello." });
      return (await spoken.arrayBuffer()).byteLength;
    },
  },
  {
    name: "a transcription",
    replies: [json({ text: "Hello." })],
    traces: 0,
    use: (client) => client.audio.transcriptions.create({ model: "whisper", file: upload() }),
  },
  {
    name: "images",
    replies: [json({ created: 1, data: [{ b64_json: "AAAA" }] })],
    traces: 0,
    use: (client) => client.images.generate({ model: "image", prompt: "A sea." }),
  },
  {
    name: "moderations",
    replies: [json({ id: "m", model: "mod", results: [] })],
    traces: 0,
    use: (client) => client.moderations.create({ input: "x" }),
  },
];

export const apiChecks: readonly Check[] = [...responses, ...completions, ...others];
