/** What the differential suite does with a client: see `differential.ts`. */
import { brotliCompressSync, gzipSync } from "node:zlib";
import type OpenAI from "openai";
import { broken, chunk, completion, endless, json, type Reply, raw, sse, toolCall } from "./chat-server.ts";

export interface ClientSettings {
  readonly baseURL: string;
  readonly apiKey: string;
  readonly maxRetries: number;
  readonly timeout?: number;
  readonly fetch?: typeof fetch;
}

export interface Check {
  readonly name: string;
  readonly replies: readonly Reply[];
  readonly use: (client: OpenAI, settings: ClientSettings) => unknown;
  /** How many calls are traced. `"unread"`: one, of which nobody reads the answer, if what arrives is seen. @default 1 */
  readonly traces?: number | "unread";
  readonly settings?: Partial<ClientSettings>;
  /** Must the provider see that the connection was given up? */
  readonly cutOff?: boolean;
}

export const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: "user", content: "Say hello." }];
export const ask = { model: "gpt-test", messages } as const;

const hello = json(completion({ content: "Hello there." }));
const streamed = sse(
  chunk({ role: "assistant", content: "" }),
  chunk({ content: "Hello " }),
  chunk({ content: "there." }),
  chunk({}, { finish_reason: "stop" }),
);
const streamedTools = sse(
  chunk({ role: "assistant", content: null, tool_calls: [{ index: 0, ...toolCall("call_1", "look", "") }] }),
  chunk({ tool_calls: [{ index: 0, function: { arguments: '{"at":' } }] }),
  chunk({ tool_calls: [{ index: 0, function: { arguments: '"it"}' } }] }),
  chunk({}, { finish_reason: "tool_calls" }),
);
const calledLook = json(completion({ tool_calls: [toolCall("call_1", "look", '{"at":"it"}')] }));
const failure = (status: number, headers = {}) =>
  json(
    { error: { message: "No, not so.", type: "invalid_request_error", param: "model", code: "bad_thing" } },
    { status, headers },
  );
/** Tells a check that its request has arrived. */
const arrivals = new EventTarget();
const open = endless(chunk({ role: "assistant", content: "Once " }), chunk({ content: "upon " }));

export async function drain<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of stream) items.push(item);
  return items;
}

export async function describeResponse(response: Response) {
  const { url, redirected, type, status, statusText, ok, bodyUsed, headers } = response;
  const isResponse = response instanceof Response;
  const prototype = Object.getPrototypeOf(response)?.constructor?.name;
  return { url, redirected, type, status, statusText, ok, bodyUsed, isResponse, prototype, headers: [...headers] };
}

export async function outcomeOf(work: () => unknown): Promise<unknown> {
  try {
    return { result: await work() };
  } catch (error) {
    return { error: describeError(error) };
  }
}

/** Everything of an error but its stack: class by class, own fields, causes. */
function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { name, message, cause, ...fields } = error as Error & { headers?: Headers; response?: unknown };
  const classes: string[] = [];
  for (let at = Object.getPrototypeOf(error); at; at = Object.getPrototypeOf(at)) classes.push(at.constructor.name);
  const own = {
    ...fields,
    headers: fields.headers instanceof Headers ? [...fields.headers] : fields.headers,
    response: undefined,
    socket: undefined, // counts the bytes of a shared connection
  };
  return { name, message, classes, own: JSON.parse(JSON.stringify(own)), cause: describeError(cause) };
}

/** Where the helpers are: `openai` 4 had them among its beta features. */
function helpersOf(client: OpenAI): OpenAI["chat"]["completions"] {
  if ("stream" in client.chat.completions) return client.chat.completions;
  return (client.beta as unknown as Pick<OpenAI, "chat">).chat.completions; // of the same form, in another major's types
}

const lookTool = (ran: string[]) => ({
  type: "function" as const,
  function: {
    name: "look",
    description: "Look at something",
    parameters: { type: "object", properties: { at: { type: "string" } } },
    parse: JSON.parse,
    function: (args: { at: string }) => {
      ran.push(args.at);
      return `It is ${args.at}.`;
    },
  },
});

export const chatChecks: readonly Check[] = [
  { name: "an answer", replies: [hello], use: (client) => client.chat.completions.create(ask) },
  {
    name: "two choices",
    replies: [json(completion({ content: "One." }, { refusal: "Two I will not say." }))],
    use: (client) => client.chat.completions.create({ ...ask, n: 2 }),
  },
  {
    name: "the request id of an answer",
    replies: [hello],
    use: async (client) => (await client.chat.completions.create(ask))._request_id,
  },
  {
    name: "the class of the promise",
    replies: [hello],
    use: async (client) => {
      const promise = client.chat.completions.create(ask);
      const { name } = promise.constructor;
      await promise;
      return [name, Object.keys(promise).sort(), promise instanceof Promise];
    },
  },
  {
    name: "withResponse",
    replies: [hello],
    use: async (client) => {
      const { data, response, request_id } = await client.chat.completions.create(ask).withResponse();
      return { data, request_id, response: await describeResponse(response) };
    },
  },
  {
    name: "asResponse, read as text",
    replies: [hello],
    use: async (client) => {
      const response = await client.chat.completions.create(ask).asResponse();
      const before = await describeResponse(response);
      return { before, text: await response.text(), after: await describeResponse(response) };
    },
  },
  {
    name: "asResponse, read as bytes, then read again",
    replies: [hello],
    use: async (client) => {
      const response = await client.chat.completions.create(ask).asResponse();
      return { bytes: (await response.arrayBuffer()).byteLength, again: await outcomeOf(() => response.text()) };
    },
  },
  {
    name: "asResponse, read as a blob",
    replies: [hello],
    use: async (client) => {
      const blob = await (await client.chat.completions.create(ask).asResponse()).blob();
      return [blob.type, blob.size];
    },
  },
  {
    name: "asResponse, cloned",
    replies: [hello],
    use: async (client) => {
      const response = await client.chat.completions.create(ask).asResponse();
      const clone = response.clone();
      const described = [await describeResponse(clone), await describeResponse(clone.clone())];
      return { described, texts: await Promise.all([clone.json(), response.json()]) };
    },
  },
  {
    name: "asResponse, body read by hand",
    replies: [hello],
    use: async (client) => {
      const { body } = await client.chat.completions.create(ask).asResponse();
      const chunks = await drain((body ?? new ReadableStream()) as AsyncIterable<Uint8Array>);
      return [body instanceof ReadableStream, body?.locked, Buffer.concat(chunks).toString()];
    },
  },
  {
    name: "asResponse, body read into one's own buffer",
    replies: [hello],
    use: async (client) => {
      const { body } = await client.chat.completions.create(ask).asResponse();
      const reader = body?.getReader({ mode: "byob" });
      const first = await reader?.read(new Uint8Array(10));
      let last = first;
      while (last && !last.done) last = await reader?.read(new Uint8Array(1000));
      await reader?.closed;
      return [Buffer.from(first?.value ?? []).toString(), last?.value?.byteLength];
    },
  },
  {
    name: "the headers, which cannot be changed",
    replies: [json(completion({ content: "Hi." }), { headers: { "set-cookie": "a=b", "x-other": "1" } })],
    use: async (client) => {
      const { headers } = await client.chat.completions.create(ask).asResponse();
      return [headers.get("x-other"), headers.getSetCookie(), await outcomeOf(() => headers.set("x-other", "2"))];
    },
    traces: "unread",
  },
  {
    name: "a look at the headers alone",
    replies: [hello],
    use: async (client) => {
      const response = await client.chat.completions.create(ask).asResponse();
      return [response.bodyUsed, response.body?.locked, response.headers.get("x-request-id")];
    },
    traces: "unread",
  },
  {
    name: "a stream",
    replies: [streamed],
    use: async (client) => drain(await client.chat.completions.create({ ...ask, stream: true })),
  },
  {
    name: "the stream object",
    replies: [streamed],
    use: async (client) => {
      const stream = await client.chat.completions.create({ ...ask, stream: true });
      const shape = [
        stream.constructor.name,
        Object.keys(stream),
        stream.controller.constructor.name,
        stream.controller.signal.aborted,
      ];
      await drain(stream);
      return [shape, stream.controller.signal.aborted, await outcomeOf(() => drain(stream))];
    },
  },
  {
    name: "a stream with two choices",
    replies: [
      sse(
        chunk({ content: "A" }),
        chunk({ content: "B" }, { index: 1 }),
        chunk({ content: "a" }),
        chunk({ content: "b" }, { index: 1 }),
      ),
    ],
    use: async (client) => drain(await client.chat.completions.create({ ...ask, n: 2, stream: true })),
  },
  {
    name: "streamed tool calls",
    replies: [streamedTools],
    use: async (client) => drain(await client.chat.completions.create({ ...ask, stream: true })),
  },
  {
    name: "tee",
    replies: [streamed],
    use: async (client) => {
      const [left, right] = (await client.chat.completions.create({ ...ask, stream: true })).tee();
      return Promise.all([drain(left), drain(right)]);
    },
  },
  {
    name: "toReadableStream",
    replies: [streamed],
    use: async (client) => {
      const stream = (await client.chat.completions.create({ ...ask, stream: true })).toReadableStream();
      return new Response(stream).text();
    },
  },
  {
    name: "a stream withResponse",
    replies: [streamed],
    use: async (client) => {
      const { data, response } = await client.chat.completions.create({ ...ask, stream: true }).withResponse();
      return { response: await describeResponse(response), chunks: await drain(data) };
    },
  },
  {
    name: "a stream asResponse",
    replies: [streamed],
    use: async (client) => (await client.chat.completions.create({ ...ask, stream: true }).asResponse()).text(),
  },
  {
    name: "an early break",
    replies: [open],
    cutOff: true,
    use: async (client) => {
      const stream = await client.chat.completions.create({ ...ask, stream: true });
      for await (const first of stream) return [first, stream.controller.signal.aborted];
      return undefined;
    },
  },
  {
    name: "an error thrown in the loop",
    replies: [open],
    cutOff: true,
    use: async (client) => {
      for await (const _ of await client.chat.completions.create({ ...ask, stream: true }))
        throw new RangeError("mine");
    },
  },
  {
    name: "stream.controller.abort() midway",
    replies: [open],
    cutOff: true,
    use: async (client) => {
      const stream = await client.chat.completions.create({ ...ask, stream: true });
      const seen: unknown[] = [];
      for await (const piece of stream) {
        seen.push(piece);
        if (seen.length === 2) stream.controller.abort();
      }
      return seen;
    },
  },
  {
    name: "the caller's signal midway",
    replies: [open],
    cutOff: true,
    use: async (client) => {
      const controller = new AbortController();
      const stream = await client.chat.completions.create({ ...ask, stream: true }, { signal: controller.signal });
      const seen: unknown[] = [];
      for await (const piece of stream) {
        seen.push(piece);
        if (seen.length === 2) setTimeout(() => controller.abort(new Error("enough")), 0);
      }
      return seen;
    },
  },
  {
    name: "an abort before the stream is read",
    replies: [open],
    cutOff: true,
    use: async (client) => {
      const stream = await client.chat.completions.create({ ...ask, stream: true });
      stream.controller.abort();
      // The first chunk only: `openai` 4 waits for ever for one that an abort has kept away, bare as well.
      return outcomeOf(() => stream[Symbol.asyncIterator]().next());
    },
  },
  {
    name: "a signal that is aborted already",
    replies: [hello],
    traces: 0,
    use: (client) => client.chat.completions.create(ask, { signal: AbortSignal.abort() }),
  },
  {
    name: "an abort before the answer",
    replies: [() => void arrivals.dispatchEvent(new Event("request"))],
    traces: 0,
    cutOff: true,
    use: (client) => {
      const controller = new AbortController();
      arrivals.addEventListener("request", () => controller.abort(), { once: true });
      return client.chat.completions.create(ask, { signal: controller.signal });
    },
  },
  ...[
    { name: "a BigInt", content: () => 1n },
    {
      name: "a cyclic object",
      content: () => {
        const self: unknown[] = [];
        self.push(self);
        return self;
      },
    },
    {
      name: "a getter that throws",
      content: () => ({
        get text() {
          throw new RangeError("mine");
        },
      }),
    },
    { name: "nothing", content: () => null },
    { name: "lone surrogates", content: () => "\ud800 \udc00" },
  ].map(({ name, content }) => ({
    name: `a message that holds ${name}`,
    replies: [hello],
    traces: ["nothing", "lone surrogates"].includes(name) ? 1 : 0,
    use: (client: OpenAI) => {
      const message = { role: "user", content: content() } as OpenAI.ChatCompletionMessageParam; // what JavaScript callers do
      return client.chat.completions.create({ ...ask, messages: [message] });
    },
  })),
  {
    name: ".stream()",
    replies: [streamed],
    use: async (client) => {
      const events: unknown[] = [];
      const stream = helpersOf(client).stream(ask);
      for (const name of ["connect", "chunk", "content", "message", "finalChatCompletion", "end"] as const)
        stream.on(name, (...values: unknown[]) => events.push([name, JSON.stringify(values)]));
      return [await stream.finalChatCompletion(), await stream.finalContent(), events];
    },
  },
  {
    name: ".stream() with tools",
    replies: [streamedTools],
    use: async (client) => helpersOf(client).stream(ask).finalMessage(),
  },
  {
    name: ".stream() aborted",
    replies: [open],
    cutOff: true,
    use: async (client) => {
      const stream = helpersOf(client).stream(ask);
      stream.once("content", () => stream.abort());
      return stream.finalMessage();
    },
  },
  {
    name: ".stream() as a readable stream",
    replies: [streamed],
    use: async (client) => new Response(helpersOf(client).stream(ask).toReadableStream()).text(),
  },
  {
    name: ".parse()",
    replies: [json(completion({ content: '{"word":"hello"}' }))],
    use: (client) => {
      const format = {
        type: "json_schema" as const,
        json_schema: { name: "word", schema: { type: "object" }, strict: true },
      };
      return helpersOf(client).parse({ ...ask, response_format: format });
    },
  },
  {
    name: ".parse() of an answer that was cut off by its length",
    replies: [
      json({
        ...completion(),
        choices: [{ index: 0, message: { role: "assistant", content: '{"word":"hel' }, finish_reason: "length" }],
      }),
    ],
    use: (client) => helpersOf(client).parse(ask),
  },
  {
    name: ".parse() of an event stream",
    replies: [sse()],
    use: (client) => helpersOf(client).parse(ask),
  },
  {
    name: ".runTools()",
    replies: [calledLook, hello],
    traces: 2,
    use: async (client) => {
      const ran: string[] = [];
      const runner = helpersOf(client).runTools({ ...ask, tools: [lookTool(ran)] });
      return [await runner.finalContent(), ran, runner.messages];
    },
  },
  {
    name: ".runTools() streamed",
    replies: [streamedTools, streamed],
    traces: 2,
    use: async (client) => {
      const ran: string[] = [];
      const runner = helpersOf(client).runTools({ ...ask, stream: true, tools: [lookTool(ran)] });
      return [await runner.finalContent(), ran, runner.messages];
    },
  },
  {
    name: "withOptions",
    replies: [hello],
    use: async (client) => {
      const other = client.withOptions({ defaultHeaders: { "x-mine": "1" }, maxRetries: 3 });
      return [other.maxRetries, other.constructor.name, await other.chat.completions.create(ask)];
    },
  },
  {
    name: "the client itself",
    replies: [],
    traces: 0,
    use: (client) => [
      client.constructor.name,
      Object.keys(client).sort(),
      client.baseURL,
      client.apiKey,
      client.maxRetries,
      client.timeout,
    ],
  },
  ...[400, 401, 403, 404, 409, 422, 429, 500, 503].map((status) => ({
    name: `an answer with the status ${status}`,
    replies: [failure(status)],
    traces: 0,
    use: (client: OpenAI) => client.chat.completions.create(ask),
  })),
  {
    name: "a streamed call with the status 400",
    replies: [failure(400)],
    traces: 0,
    use: (client) => client.chat.completions.create({ ...ask, stream: true }),
  },
  {
    name: "a retry",
    replies: [failure(500, { "retry-after-ms": "1" }), hello],
    settings: { maxRetries: 1 },
    use: (client) => client.chat.completions.create(ask),
  },
  {
    name: "no connection",
    replies: [],
    traces: 0,
    settings: { baseURL: "http://127.0.0.1:1/v1" },
    use: (client) => client.chat.completions.create(ask),
  },
  {
    name: "a connection that breaks before the answer",
    replies: [(response) => void response.destroy()],
    traces: 0,
    use: (client) => client.chat.completions.create(ask),
  },
  {
    name: "a timeout",
    replies: [() => {}],
    traces: 0,
    settings: { timeout: 300 },
    use: (client) => client.chat.completions.create(ask),
  },
  {
    name: "an error told in the middle of a stream",
    replies: [
      raw(
        `data: ${JSON.stringify(chunk({ content: "Hel" }))}\n\ndata: {"error":{"message":"Overloaded.","code":"busy"}}\n\n`,
      ),
    ],
    use: async (client) => drain(await client.chat.completions.create({ ...ask, stream: true })),
  },
  {
    name: "a stream whose connection breaks",
    replies: [broken(chunk({ content: "Hel" }))],
    use: async (client) => {
      const seen: unknown[] = [];
      const read = async () => {
        for await (const piece of await client.chat.completions.create({ ...ask, stream: true })) seen.push(piece);
      };
      return [await outcomeOf(read), seen];
    },
  },
  {
    name: "a stream of something else than JSON",
    replies: [raw("data: {oops\n\ndata: [DONE]\n\n")],
    use: async (client) => drain(await client.chat.completions.create({ ...ask, stream: true })),
  },
  {
    name: "an answer that is not JSON",
    replies: [json("{oops")],
    use: (client) => client.chat.completions.create(ask),
  },
  {
    name: "an answer that is text",
    replies: [raw("just words", { "content-type": "text/plain" })],
    use: (client) => client.chat.completions.create(ask),
  },
  {
    name: "an answer without a body",
    replies: [(response) => void response.writeHead(204).end()],
    use: (client) => client.chat.completions.create(ask),
  },
  ...(["gzip", "br"] as const).map((encoding) => ({
    name: `an answer in ${encoding}`,
    replies: [
      (response) => {
        const text = JSON.stringify(completion({ content: "Hello there." }));
        response.writeHead(200, { "content-type": "application/json", "content-encoding": encoding });
        response.end(encoding === "gzip" ? gzipSync(text) : brotliCompressSync(text));
      },
    ] satisfies Reply[],
    use: async (client: OpenAI) => {
      const { data, response } = await client.chat.completions.create(ask).withResponse();
      return [data, await describeResponse(response)];
    },
  })),
  {
    name: "comments, events, CR LF and split characters in a stream",
    replies: [
      async (response) => {
        response.writeHead(200, { "content-type": "text/event-stream" });
        const bytes = Buffer.from(
          `: hi\r\n\r\nevent: x\r\nid: 1\r\ndata: ${JSON.stringify(chunk({ content: "Grüße 🌍" }))}\r\n\r\ndata: [DONE]`,
        );
        for (const byte of bytes)
          await new Promise<void>((resolve) => response.write(Uint8Array.of(byte), () => resolve()));
        response.end();
      },
    ],
    use: async (client) => drain(await client.chat.completions.create({ ...ask, stream: true })),
  },
  {
    name: "models",
    replies: [json({ object: "list", data: [{ id: "m" }] })],
    traces: 0,
    use: async (client) => (await client.models.list()).data,
  },
  {
    name: "embeddings",
    replies: [
      json({ object: "list", data: [{ object: "embedding", index: 0, embedding: [1, 2] }], model: "e", usage: {} }),
    ],
    traces: 0,
    use: (client) => client.embeddings.create({ model: "e", input: "x", encoding_format: "float" }),
  },
  {
    name: "stored completions",
    replies: [json(completion({ content: "Hello there." }))],
    traces: 0,
    use: (client) => client.chat.completions.retrieve("chatcmpl-1"),
  },
  {
    name: "raw calls",
    replies: [json({ fine: true })],
    traces: 0,
    use: (client) => client.post("/other/thing", { body: { a: 1 } }),
  },
  {
    name: "a raw call of the same endpoint",
    replies: [hello],
    use: (client) => client.post("/chat/completions", { body: ask }),
  },
];
