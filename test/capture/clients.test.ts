import Cerebras from "@cerebras/cerebras_cloud_sdk";
import Groq from "groq-sdk";
import OpenAI, { AzureOpenAI } from "openai";
import OpenAI4, { AzureOpenAI as AzureOpenAI4 } from "openai4";
import OpenAI5, { AzureOpenAI as AzureOpenAI5 } from "openai5";
import OpenAI6, { AzureOpenAI as AzureOpenAI6 } from "openai6";
import Together from "together-ai";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { wrapOpenAI } from "../../src/capture/openai.ts";
import type { TracingFetchOptions } from "../../src/capture/tracing-fetch.ts";
import { fromTraceMessage } from "../../src/transcript.ts";
import { type ChatServer, chunk, completion, endless, json, sse, startChatServer, toolCall } from "./chat-server.ts";
import { collectingSink } from "./collecting-sink.ts";
import { ask, drain } from "./differential-checks.ts";

let server: ChatServer;
beforeAll(async () => {
  server = await startChatServer();
});
afterAll(() => server[Symbol.asyncDispose]());
afterEach(() => vi.unstubAllEnvs());

interface Settings {
  readonly apiKey: string;
  readonly maxRetries: number;
  /** With and without the version in its path: the SDKs differ in what they want. */
  readonly baseURL: string;
  readonly origin: string;
}

const settings = (): Settings => ({
  apiKey: "sk-test",
  maxRetries: 0,
  baseURL: server.baseURL,
  origin: new URL(server.baseURL).origin,
});

const azure = ({ origin, apiKey, maxRetries }: Settings) => {
  return { endpoint: origin, apiKey, maxRetries, apiVersion: "2024-10-21", deployment: "mine" };
};
const azureToken = ({ origin, maxRetries }: Settings) => {
  const azureADTokenProvider = async () => "token";
  return { endpoint: origin, azureADTokenProvider, maxRetries, apiVersion: "2024-10-21", deployment: "mine" };
};
const atOrigin = ({ origin, apiKey, maxRetries }: Settings) => ({ baseURL: origin, apiKey, maxRetries });
const keyAsFunction = ({ baseURL }: Settings) => ({ baseURL, maxRetries: 0, apiKey: async () => "fresh" });

/** Each client, and whether wrapping it gives a copy; it is changed in place where it cannot copy itself. */
const clients: readonly (readonly [name: string, make: (settings: Settings) => object, copied: boolean])[] = [
  ["openai 7", (given) => new OpenAI(given), true],
  ["openai 6", (given) => new OpenAI6(given), true],
  ["openai 5", (given) => new OpenAI5(given), true],
  ["openai 4", (given) => new OpenAI4(given), false],
  ["openai 7 with a function for its key", (given) => new OpenAI(keyAsFunction(given)), true],
  ["openai 6 with a function for its key", (given) => new OpenAI6(keyAsFunction(given)), true],
  ["openai 5 with a function for its key", (given) => new OpenAI5(keyAsFunction(given)), true],
  ["AzureOpenAI 7", (given) => new AzureOpenAI(azure(given)), true],
  ["AzureOpenAI 6", (given) => new AzureOpenAI6(azure(given)), true],
  ["AzureOpenAI 5", (given) => new AzureOpenAI5(azure(given)), true],
  ["AzureOpenAI 4", (given) => new AzureOpenAI4(azure(given)), false],
  ["AzureOpenAI 7 with a token provider", (given) => new AzureOpenAI(azureToken(given)), true],
  ["AzureOpenAI 6 with a token provider", (given) => new AzureOpenAI6(azureToken(given)), true],
  ["AzureOpenAI 5 with a token provider", (given) => new AzureOpenAI5(azureToken(given)), true],
  ["groq-sdk", (given) => new Groq(atOrigin(given)), true],
  ["together-ai", (given) => new Together(given), true],
  ["cerebras", (given) => new Cerebras({ ...atOrigin(given), warmTCPConnection: false }), false],
  ["a subclass that takes other arguments", ({ baseURL }) => new Tenant("mine", baseURL), false],
];

class Tenant extends OpenAI {
  readonly tenant: unknown;
  constructor(tenant: string, baseURL: string) {
    super({ baseURL, apiKey: "sk-test", maxRetries: 0, defaultHeaders: { "x-tenant": String(tenant) } });
    this.tenant = tenant;
  }
}

const tools = [{ type: "function" as const, function: { name: "look", parameters: { type: "object" } } }];

/** What an application does with any of them. */
async function use(client: OpenAI) {
  const { choices } = await client.chat.completions.create(ask);
  const chunks = await drain(await client.chat.completions.create({ ...ask, stream: true }));
  const called = await client.chat.completions.create({ ...ask, tools });
  const stream = await client.chat.completions.create({ ...ask, stream: true });
  for await (const first of stream) {
    stream.controller.abort();
    return { choices, chunks, called, first };
  }
  throw new Error("the stream was empty");
}

const replies = [
  json(completion({ content: "Hello there." })),
  sse(chunk({ role: "assistant", content: "Hello " }), chunk({ content: "again." })),
  json(completion({ tool_calls: [toolCall("call_1", "look", '{"at":"it"}')] })),
  // Two chunks: some of them hand out the first when the second begins.
  endless(chunk({ role: "assistant", content: "Once " }), chunk({ content: "upon" })),
];

/** What the provider saw of these uses. */
async function seen() {
  const cutOff = await server.requests.at(-1)?.cutOff;
  const requests = server.requests.map(({ method, path, body, headers }) => {
    const { authorization, "api-key": key, "x-tenant": tenant, "user-agent": agent } = headers;
    return { method, path, body, authorization, key, tenant, agent };
  });
  return { cutOff, requests };
}

describe.each(clients)("%s, wrapped", (_, make, copied) => {
  // The SDKs differ in types, not in what is used of them here.
  const makeClient = () => make(settings()) as OpenAI;

  test("says, shows and asks what it does bare; every call is traced", async () => {
    server.script(...replies);
    const bare = [await use(makeClient()), await seen()];
    const sink = collectingSink();
    server.script(...replies);
    expect([await use(wrapOpenAI(makeClient(), sink)), await seen()]).toEqual(bare);
    expect(bare[1]).toMatchObject({ cutOff: true });
    const said = (await sink.settle(4)).map(({ messages }) =>
      messages.slice(1).map((message) => {
        const { message: spoken, call } = fromTraceMessage(message);
        return call ?? spoken;
      }),
    );
    expect(said).toEqual([
      [{ role: "assistant", content: "Hello there." }],
      [{ role: "assistant", content: "Hello again." }],
      [expect.objectContaining({ tool_calls: [toolCall("call_1", "look", '{"at":"it"}')] })],
      [{ role: "assistant", content: "Once upon" }, { ended: "aborted" }],
    ]);
  });

  test("retries as it does bare, and the call is traced once", async () => {
    const busy = json({ error: { message: "Busy." } }, { status: 429, headers: { "retry-after-ms": "1" } });
    const sink = collectingSink();
    const client = wrapOpenAI(makeClient(), sink, { captureErrors: false });
    server.script(busy, json(completion({ content: "Hello there." })), busy, replies[1] ?? busy);
    await client.chat.completions.create(ask, { maxRetries: 1 });
    await drain(await client.chat.completions.create({ ...ask, stream: true }, { maxRetries: 1 }));
    expect(server.requests).toHaveLength(4);
    expect((await sink.settle(2)).map(({ messages }) => messages[1]?.content)).toEqual([
      "Hello there.",
      "Hello again.",
    ]);
  });

  test("throws the error that it throws bare; it is traced for those who want it", async () => {
    const refused = json({ error: { message: "No, not so.", code: "bad_thing" } }, { status: 422 });
    const fail = async (client: OpenAI) => {
      const error: unknown = await client.chat.completions.create(ask).catch((thrown: unknown) => thrown);
      const { message, status } = error as Error & { readonly status: unknown }; // as all of them throw
      return { class: Object(error).constructor.name, message, status };
    };
    server.script(refused);
    const bare = await fail(makeClient());
    expect(bare).toMatchObject({ status: 422, message: expect.stringContaining("No, not so.") });
    const [quiet, told] = [collectingSink(), collectingSink()];
    expect(await fail(wrapOpenAI(makeClient(), quiet))).toEqual(bare);
    expect(await fail(wrapOpenAI(makeClient(), told, { captureErrors: true }))).toEqual(bare);
    const [trace, ...others] = await told.settle();
    expect([others, quiet.traces]).toEqual([[], []]);
    expect(trace?.messages.map((message) => fromTraceMessage(message).call).filter(Boolean)).toEqual([
      { ended: "failed", status: 422, error: { message: "No, not so.", code: "bad_thing" } },
    ]);
  });

  test(`is ${copied ? "a copy: the client that was given stays untraced" : "the same client"}`, () => {
    const client = makeClient();
    const { fetch } = client as unknown as { fetch: unknown }; // not declared by all of them
    const wrapped = wrapOpenAI(client, collectingSink());
    expect(wrapped === client).toBe(!copied);
    expect(wrapped).toBeInstanceOf(client.constructor);
    if (copied) expect(Reflect.get(client, "fetch")).toBe(fetch);
  });
});

test.each([
  ["AzureOpenAI 7", AzureOpenAI],
  ["AzureOpenAI 6", AzureOpenAI6 as unknown as typeof AzureOpenAI], // of the same form
  ["AzureOpenAI 5", AzureOpenAI5 as unknown as typeof AzureOpenAI],
])("%s keeps its version and deployment, whatever the environment says", async (_, Class) => {
  vi.stubEnv("OPENAI_API_VERSION", "1999-01-01");
  server.script(json(completion({ content: "Hello there." })));
  await wrapOpenAI(new Class(azure(settings())), collectingSink()).chat.completions.create(ask);
  expect(server.requests[0]?.path).toBe("/openai/deployments/mine/chat/completions?api-version=2024-10-21");
});

/** What other tools do with a client, each told of what is called on it. */
const others: readonly (readonly [name: string, change: (client: OpenAI, tell: (method: string) => void) => OpenAI])[] =
  [
    ["a method put before the one of its class, as by a spy", spied],
    ["a proxy of all of it, as by Langfuse, Opik and Sentry", observed],
    ["a proxy of its completions, as by Braintrust and Weave", observedInPart],
    ["a plain object of its parts, as by LangSmith", spread],
    ["a subclass with a listener, as PostHog's", (_, tell) => new Listened({ ...settings(), tell })],
  ];

function spied(client: OpenAI, tell: (method: string) => void): OpenAI {
  const { completions } = client.chat;
  completions.create = telling(completions.create.bind(completions), "create", tell);
  return client;
}

function observed<Target extends object>(target: Target, tell: (method: string) => void): Target {
  return new Proxy(target, {
    get(_, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value === "function") return telling(value.bind(target), String(name), tell);
      return typeof value === "object" && value !== null ? observed(value, tell) : value;
    },
  });
}

function observedInPart(client: OpenAI, tell: (method: string) => void): OpenAI {
  const completions = observed(client.chat.completions, tell);
  const chat = new Proxy(client.chat, {
    get: (it, name) => (name === "completions" ? completions : Reflect.get(it, name)),
  });
  return new Proxy(client, { get: (it, name) => (name === "chat" ? chat : Reflect.get(it, name)) });
}

function spread(client: OpenAI, tell: (method: string) => void): OpenAI {
  const { completions } = client.chat;
  const create = telling(completions.create.bind(completions), "create", tell);
  const traced: unknown = { ...client, chat: { ...client.chat, completions: { ...completions, create } } };
  return traced as OpenAI; // as LangSmith says
}

function telling<Method extends object>(method: Method, name: string, tell: (method: string) => void): Method {
  return new Proxy(method, {
    apply(target, receiver, args) {
      tell(name);
      return Reflect.apply(target as unknown as () => unknown, receiver, args); // it is being called
    },
  });
}

class Listened extends OpenAI {
  readonly listener: { readonly tell: (method: string) => void };
  constructor({ tell, ...given }: Settings & { readonly tell: (method: string) => void }) {
    super(given);
    this.listener = { tell };
  }
  override async prepareOptions() {
    this.listener.tell("create");
  }
}

test.each(others)("what another tool has made of a client stays, and is traced: %s", async (_, change) => {
  const told: string[] = [];
  const client = change(new OpenAI(settings()), (method) => void told.push(method));
  const sink = collectingSink();
  const wrapped = wrapOpenAI(wrapOpenAI(client, sink), sink);
  server.script(json(completion({ content: "Hello there." })));
  await wrapped.chat.completions.create(ask);
  expect(told).toEqual(["create"]);
  expect(await sink.settle(1)).toHaveLength(1);
});

test("a method that is mocked on another part of a client stays mocked", async () => {
  const client = new OpenAI(settings());
  const mocked = vi.spyOn(client.audio.speech, "create");
  expect(wrapOpenAI(client, collectingSink()).audio.speech.create).toBe(mocked);
});

test("a `fetch` beside the client is refused: the client would not be called through it", () => {
  const client = new OpenAI({ apiKey: "k" });
  // @ts-expect-error the point of the test
  expect(() => wrapOpenAI(client, collectingSink(), { fetch })).toThrow(
    expect.objectContaining({ code: "invalid_option", message: expect.stringContaining("new OpenAI({ fetch })") }),
  );
  const forFetch: TracingFetchOptions = { fetch };
  // @ts-expect-error nor as options that are `tracingFetch`'s
  expect(() => wrapOpenAI(client, collectingSink(), forFetch)).toThrow("new OpenAI({ fetch })");
});

describe("what cannot be wrapped is refused at once", () => {
  const surface = { chat: { completions: { create() {} } } };
  /** The make of Anthropic's client: the same kit, another API. */
  class OtherApi {
    fetch = fetch;
    messages = { create() {} };
    completions = { create() {} };
    withOptions() {
      return new OtherApi();
    }
  }
  const refuses = {
    ...surface,
    fetch() {},
    withOptions() {
      throw new Error("no options");
    },
  };
  test.each([
    ["null", null],
    ["nothing", undefined],
    ["a text", "client"],
    ["a function", fetch],
    ["a list", [new OpenAI({ apiKey: "k" })]],
    ["an empty object", {}],
    ["an object without a prototype", Object.create(null)],
    ["a fetch that is none", { ...surface, fetch: "no" }],
    ["a client without a fetch", { ...surface }],
    ["a fetch without an API", { fetch }],
    ["a client of another API", new OtherApi()],
    ["a client that takes no options", refuses],
    ["a client that cannot be changed", Object.freeze({ ...surface, fetch })],
    ["the class and not a client of it", OpenAI],
  ])("%s", (_, client) => {
    const wrap = () => wrapOpenAI(client as object, collectingSink()); // what JavaScript callers do
    expect(wrap).toThrow(/wrapOpenAI cannot wrap .*tracingFetch/);
    expect(wrap).toThrow(expect.objectContaining({ code: "unsupported_client" }));
    if (client === null) expect(wrap).toThrow("cannot wrap null:");
  });
});
