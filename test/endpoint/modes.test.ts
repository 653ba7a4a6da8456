import { describe, expect, test } from "vitest";
import type { EndpointMode } from "../../src/endpoint/index.ts";
import { ORIGIN, testEndpoint, told, trace } from "./support.ts";

const url = `${ORIGIN}/share/olmo-2/20240504/trace-1.html`;
const stored = [200, { outcome: "success", error: null, url }];
const storedInEnvelope = [200, { statusCode: 200, body: { outcome: "success", error: null, url } }];
const refused = (error: string) => [400, { outcome: "failure", error, url: null }];
const refusedInEnvelope = (error: string) => [200, { statusCode: 500, body: { outcome: "failure", error, url: null } }];
const invalidBody = [400, { message: "Invalid request body" }];

const choicesMustBeAList = refusedInEnvelope("AssertionError: Choices must be a list");
const unknownName = "TypeError: Message.__init__() got an unexpected keyword argument 'name'";
const unknownTools = "TypeError: Trace.__init__() got an unexpected keyword argument 'tools'";
const milliseconds = "ValueError: Invalid timestamp: 1714857600000";
const noMessages = "AssertionError: Messages must be non-empty";
const choice = { index: 0, message: { role: "assistant", content: "A language model." } };

interface Case {
  readonly what: string;
  readonly body: unknown;
  readonly told: Record<EndpointMode, unknown>;
}

const CASES: Case[] = [
  {
    what: "a trace without choices",
    body: trace(),
    told: { proxy: stored, deployed: storedInEnvelope, published: storedInEnvelope, both: storedInEnvelope },
  },
  {
    what: "choices as a list",
    body: trace({ choices: [choice] }),
    told: { proxy: stored, deployed: storedInEnvelope, published: invalidBody, both: invalidBody },
  },
  {
    what: "choices as an object",
    body: trace({ choices: { 0: choice } }),
    told: { proxy: stored, deployed: choicesMustBeAList, published: storedInEnvelope, both: choicesMustBeAList },
  },
  {
    what: "choices that are neither",
    body: trace({ choices: "A language model." }),
    told: {
      proxy: refused(
        "ValueError: Invalid trace: choices: expected a list of objects, or an object, got a string of 17 characters. Hand over the `choices` of the completion as they came, or leave it out.",
      ),
      deployed: choicesMustBeAList,
      published: invalidBody,
      both: invalidBody,
    },
  },
  {
    what: "a message with a field of its own",
    body: trace({ messages: [{ role: "user", content: "hi", name: "ann" }] }),
    told: {
      proxy: refused(
        "ValueError: Invalid trace: messages[0].name: expected only `role` and `content`, got a string of 3 characters. Remove the field, or write what it says into `content` (`toTraceMessage` does so for OpenAI-style messages).",
      ),
      deployed: refusedInEnvelope(unknownName),
      published: refusedInEnvelope(unknownName),
      both: refusedInEnvelope(unknownName),
    },
  },
  {
    what: "a field outside the published ones",
    body: trace({ tools: [] }),
    told: {
      proxy: refused(
        "ValueError: Invalid trace: tools: expected only the fields model, messages, id, object, created, system_fingerprint, choices, usage, got a list of 0. Remove the field: the endpoint refuses traces that carry others.",
      ),
      deployed: refusedInEnvelope(unknownTools),
      published: refusedInEnvelope(unknownTools),
      both: refusedInEnvelope(unknownTools),
    },
  },
  {
    what: "a time in milliseconds",
    body: trace({ created: 1_714_857_600_000 }),
    told: {
      proxy: refused(
        "ValueError: Invalid trace: created: expected whole Unix seconds, got the number 1714857600000. These look like milliseconds: write Math.floor(Date.now() / 1000).",
      ),
      deployed: refusedInEnvelope(milliseconds),
      published: refusedInEnvelope(milliseconds),
      both: refusedInEnvelope(milliseconds),
    },
  },
  {
    what: "no time",
    body: trace({ created: undefined }),
    told: {
      proxy: refused(
        "ValueError: Invalid trace: created: expected whole Unix seconds, got nothing. Write Math.floor(Date.now() / 1000).",
      ),
      deployed: refusedInEnvelope("TypeError: Trace.__init__() missing 1 required positional argument: 'created'"),
      published: invalidBody,
      both: invalidBody,
    },
  },
  {
    what: "no messages",
    body: trace({ messages: [] }),
    told: {
      proxy: refused(
        "ValueError: Invalid trace: messages: expected a list of at least one message, got a list of 0. Log what was said: the endpoint refuses a trace without messages.",
      ),
      deployed: refusedInEnvelope(noMessages),
      published: refusedInEnvelope(noMessages),
      both: refusedInEnvelope(noMessages),
    },
  },
  {
    what: "an unknown role",
    body: trace({ messages: [{ role: "tool", content: "42" }] }),
    told: {
      proxy: refused(
        'ValueError: Invalid trace: messages[0].role: expected "system" or "user" or "assistant", got "tool". Use `toTraceMessage` to keep a message with another role, such as a tool\'s result.',
      ),
      deployed: refusedInEnvelope("ValueError: Invalid role"),
      published: invalidBody,
      both: invalidBody,
    },
  },
  {
    what: "a list instead of a trace",
    body: [],
    told: {
      proxy: refused(
        'ValueError: Invalid trace: the trace: expected an object, got a list of 0. Write { model: "…", messages: [{ role: "user", content: "…" }] }.',
      ),
      deployed: refusedInEnvelope("TypeError: Invalid value for the trace"),
      published: invalidBody,
      both: invalidBody,
    },
  },
  {
    what: "what is not JSON",
    body: "{",
    told: {
      proxy: refused("ValueError: The body is not JSON"),
      deployed: [400, { message: "Could not parse request body into json" }],
      published: [400, { message: "Could not parse request body into json" }],
      both: [400, { message: "Could not parse request body into json" }],
    },
  },
];

const MODES: EndpointMode[] = ["proxy", "deployed", "published", "both"];

describe.each(MODES)("in the mode %s", (mode) => {
  test.each(CASES)("$what", async ({ body, told: expected }) => {
    const { post } = await testEndpoint({ mode });
    expect(await told(await post(body))).toEqual(expected[mode]);
  });

  test("the same trace twice is a success", async () => {
    const { post } = await testEndpoint({ mode });
    const first = await told(await post(trace()));
    expect(await told(await post(trace()))).toEqual(first);
  });

  test("another trace under a taken id is refused, and the first one stays", async () => {
    const { post, get } = await testEndpoint({ mode });
    await post(trace());
    const error = "ValueError: Another trace with this system_fingerprint, day and id is stored; ids must be unique";
    const inner = { outcome: "failure", error, url: null };
    const other = await told(await post(trace({ messages: [{ role: "user", content: "Another." }] })));
    expect(other).toEqual(mode === "proxy" ? [409, inner] : [200, { statusCode: 500, body: inner }]);
    const kept = await (await get("/logs/olmo-2/20240504/trace-1.json")).json();
    expect(kept).toMatchObject(trace());
  });
});

test("proxy: choices in the other form are the same trace", async () => {
  const { post } = await testEndpoint();
  await post(trace({ choices: { 0: choice } }));
  expect(await told(await post(trace({ choices: [choice] })))).toEqual(stored);
});

test("the gateway's answers: paths, methods, types and sizes, in its words and in real statuses", async () => {
  const missingToken = [403, { message: "Missing Authentication Token" }];
  const failure = (status: number, error: string) => [status, { outcome: "failure", error, url: null }];
  const proxy = await testEndpoint({ maxRequestBytes: 1000 });
  const deployed = await testEndpoint({ maxRequestBytes: 1000, mode: "deployed" });
  const request = (init: RequestInit, path = "/") => new Request(ORIGIN + path, init);
  const json = { "content-type": "application/json" };

  const table: [() => Request, unknown, unknown][] = [
    [
      () => request({ method: "POST", body: JSON.stringify(trace()), headers: json }, "/dev"),
      missingToken,
      failure(404, "NotFound: Nothing takes traces here"),
    ],
    [() => request({ method: "DELETE" }), missingToken, failure(405, "MethodNotAllowed: POST a trace")],
    [() => request({}, "/favicon.ico"), missingToken, failure(404, "NotFound: Nothing is here")],
    [
      () => request({ method: "POST", body: JSON.stringify(trace()) }),
      [415, { message: "Unsupported Media Type" }],
      failure(415, "UnsupportedMediaType: Send content-type: application/json"),
    ],
    [
      () => request({ method: "POST", body: "{}", headers: { ...json, "content-encoding": "br" } }),
      [415, { message: "Unsupported Media Type" }],
      failure(415, "UnsupportedMediaType: Send the body as it is or in gzip"),
    ],
    [
      () => request({ method: "POST", body: " ".repeat(1001), headers: json }),
      [413, { message: "Request Too Long" }],
      failure(413, "RequestTooLarge: The body is longer than 1000 bytes"),
    ],
  ];
  for (const [make, byGateway, byProxy] of table) {
    expect(await told(await deployed.endpoint(make()))).toEqual(byGateway);
    expect(await told(await proxy.endpoint(make()))).toEqual(byProxy);
  }
});

test("traces are taken at the stage of the published URL, too", async () => {
  const { endpoint } = await testEndpoint();
  const body = JSON.stringify(trace());
  const headers = { "content-type": "application/json; charset=utf-8" };
  const response = await endpoint(new Request(`${ORIGIN}/prod`, { method: "POST", body, headers }));
  expect(await told(response)).toEqual(stored);
});

test("every answer has a request id, a different one each time", async () => {
  const { post, get } = await testEndpoint();
  const ids = await Promise.all(
    [post(trace()), post("{"), get("/"), get("/nothing")].map(async (r) => (await r).headers.get("x-amzn-requestid")),
  );
  expect(ids.every((id) => id !== null && /^[0-9a-f-]{36}$/.test(id))).toBe(true);
  expect(new Set(ids).size).toBe(ids.length);
});
