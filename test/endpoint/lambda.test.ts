import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { createHandler, handlerFromEnvironment } from "../../src/endpoint/lambda.ts";
import { forms, json } from "./lambda-forms.ts";
import { memoryStore, trace } from "./support.ts";

const PAGE = "share/olmo-2/20240504/trace-1.html";
describe.each(Object.entries(forms))("an event of the form %s", (form, event) => {
  const base = form === "Function URL" ? "https://api.example" : "https://api.example/prod";
  const body = JSON.stringify(trace());

  test("a trace goes in, its page comes out at the URL of the answer", async () => {
    const handler = createHandler({ store: memoryStore() });
    const result = await handler(event({ body }));
    expect(result).toMatchObject({ statusCode: 200, isBase64Encoded: false, headers: json });
    expect(JSON.parse(result.body)).toEqual({ outcome: "success", error: null, url: `${base}/${PAGE}` });
    const page = await handler(event({ method: "GET", path: `/${PAGE}` }));
    expect([page.statusCode, page.headers?.["content-type"]]).toEqual([200, "text/html; charset=utf-8"]);
    expect(page.body).toContain("A language model.");
  });

  test("bodies in base64, compressed ones and batches are read", async () => {
    const handler = createHandler({ store: memoryStore() });
    const base64 = (bytes: string | Buffer) => Buffer.from(bytes).toString("base64");
    expect((await handler(event({ body: base64(body), isBase64Encoded: true }))).statusCode).toBe(200);
    const list = gzipSync(JSON.stringify([trace(), trace({ id: "ü" })]));
    const headers = { "Content-Type": "application/json", "Content-Encoding": "gzip" };
    const result = await handler(event({ body: base64(list), isBase64Encoded: true, headers }));
    expect(JSON.parse(result.body)).toMatchObject({ results: [{ result: "duplicate" }, { result: "stored" }] });
  });

  test("refusals have their status, their words and no stack", async () => {
    const handler = createHandler({ store: memoryStore(), apiKeys: ["the-key"] });
    const withKey = { ...json, "X-Api-Key": "the-key" };
    expect((await handler(event({ body }))).statusCode).toBe(403);
    expect((await handler(event({ body: "{", headers: withKey }))).statusCode).toBe(400);
    expect((await handler(event({ headers: withKey }))).statusCode).toBe(400);
    expect((await handler(event({ body, headers: withKey, path: "/elsewhere" }))).statusCode).toBe(404);
    expect((await handler(event({ body, headers: { "x-api-key": "the-key" } }))).statusCode).toBe(415);
  });

  test("signed links work through the gateway, and stored JSON is not shown without keys", async () => {
    const shareLinks = { secret: "a secret that nobody guesses" };
    const handler = createHandler({ store: memoryStore(), shareLinks });
    const { url } = JSON.parse((await handler(event({ body }))).body);
    const query = new URL(url).search.slice(1);
    expect((await handler(event({ method: "GET", path: `/${PAGE}`, query }))).statusCode).toBe(200);
    expect((await handler(event({ method: "GET", path: `/${PAGE}` }))).statusCode).toBe(403);
    const log = `/${PAGE}`.replace("share", "logs").replace("html", "json");
    for (const path of ["/", log]) expect((await handler(event({ method: "GET", path }))).statusCode).toBe(404);
  });
});

describe("an event that is the body itself (REST, non-proxy)", () => {
  const inner = (result: { body: string }) => JSON.parse(result.body);

  test("what is returned is the HTTP body of the existing deployment", async () => {
    const handler = createHandler({ store: memoryStore(), sharePages: false, apiKeys: ["asked by the gateway"] });
    const result = await handler(trace());
    expect(Object.keys(result)).toEqual(["statusCode", "body"]);
    expect([result.statusCode, inner(result)]).toEqual([200, { outcome: "success", error: null, url: null }]);
    expect(await handler(trace({ messages: [] }))).toMatchObject({ statusCode: 400 });
    expect(inner(await handler([trace(), { model: 1 }]))).toMatchObject({
      results: [{ result: "duplicate" }, { result: "invalid" }],
    });
  });

  test.each([[null], [undefined], ["text"], [1], [{}], [{ requestContext: {} }]])("%j is refused", async (event) => {
    expect((await createHandler({ store: memoryStore() })(event)).statusCode).toBe(400);
  });

  test("an event written by the caller to look like a request reads nothing", async () => {
    const handler = createHandler({ store: memoryStore() });
    await handler(trace());
    const event = { httpMethod: "GET", path: "/logs/olmo-2/20240504/trace-1.json", requestContext: {} };
    expect((await handler(event)).statusCode).toBe(404);
  });

  const original = new URL("../../../shared/contract/test_event.json", import.meta.url);
  test("the test event of the original", async () => {
    let event: unknown;
    try {
      event = JSON.parse(readFileSync(original, "utf8"));
    } catch {
      console.warn("SKIPPED: ../shared is absent; the original's test event is not tried");
      return;
    }
    const result = await createHandler({ store: memoryStore(), publicUrl: "https://t.example" })(event);
    expect(inner(result)).toMatchObject({ outcome: "success", error: null });
    expect(inner(result).url).toMatch(/^https:\/\/t\.example\/share\/model-name-here\/20240504\/[0-9a-f-]{36}\.html$/);
  });
});

test.each([
  { ...forms["REST proxy"]?.({}), requestContext: { domainName: "a b" } },
  { ...forms["HTTP API"]?.({}), headers: { "a b": "c" } },
  { ...forms["HTTP API"]?.({ method: "TRACE" }) },
])("an event that no gateway makes is a 400, not a crash", async (event) => {
  expect((await createHandler({ store: memoryStore() })(event)).statusCode).toBe(400);
});

test.each([
  [{}, "TRACELOGGER_BUCKET must be the name of the bucket"],
  [{ TRACELOGGER_BUCKET: "b", TRACELOGGER_SHARE: "yes" }, "TRACELOGGER_SHARE must be off, signed or public"],
  [{ TRACELOGGER_BUCKET: "b", TRACELOGGER_SHARE: "signed" }, "TRACELOGGER_SHARE_SECRET must be at least 16"],
  [
    { TRACELOGGER_BUCKET: "b", TRACELOGGER_SHARE: "signed", TRACELOGGER_SHARE_SECRET: "s" },
    "TRACELOGGER_SHARE_SECRET must be at least 16",
  ],
  [
    {
      TRACELOGGER_BUCKET: "b",
      TRACELOGGER_SHARE: "signed",
      TRACELOGGER_SHARE_SECRET: "s".repeat(16),
      TRACELOGGER_SHARE_TTL_SECONDS: "1h",
    },
    "TRACELOGGER_SHARE_TTL_SECONDS must be a whole number",
  ],
  [{ TRACELOGGER_BUCKET: "b", TRACELOGGER_LAYOUT: "flat" }, "TRACELOGGER_LAYOUT must be contract or partitioned"],
])("the environment %o is refused by name", (env, message) => {
  expect(() => handlerFromEnvironment(env)).toThrow(message);
});
