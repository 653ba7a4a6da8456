import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, test, vi } from "vitest";
import { createEndpoint, type EndpointOptions, fileStore } from "../../src/endpoint/index.ts";
import { filesUnder, ORIGIN, postRequest, testEndpoint, told, trace } from "./support.ts";

const LOG = "logs/olmo-2/20240504/trace-1.json";
const PAGE = "share/olmo-2/20240504/trace-1.html";

describe("what is stored", () => {
  test("the whole trace as it came, defaults filled in, in the layout of the deployed function", async () => {
    const { post, folder } = await testEndpoint();
    const choices = [{ index: 0, logprobs: null, vendor_extra: { deep: [1.5, "ü\ud800"] } }];
    const usage = { total_tokens: 3, cost: { eur: 0.01 } };
    await post(trace({ choices, usage }));
    expect(await filesUnder(folder)).toEqual([LOG, PAGE]);
    const stored = JSON.parse(await readFile(join(folder, LOG), "utf8"));
    expect(stored).toEqual({
      ...trace({ choices, usage }),
      object: "chat.trace",
      system_fingerprint: "olmo-2",
    });
  });

  test("choices as an object stay an object, and `__proto__` is a key like any other", async () => {
    const { post, folder } = await testEndpoint();
    const choices = '{"0":{"__proto__":{"admin":true}},"__proto__":{"x":1}}';
    const body = JSON.stringify(trace()).replace(/}$/, `,"choices":${choices}}`);
    expect((await post(body)).status).toBe(200);
    expect(await readFile(join(folder, LOG), "utf8")).toContain(`"choices":${choices}`);
    expect(Reflect.get({}, "admin")).toBeUndefined();
  });

  test("a `__proto__` beside the eight fields is refused like any other unknown field, or harmless", async () => {
    const { post, folder } = await testEndpoint();
    await post(JSON.stringify(trace()).replace(/}$/, ',"__proto__":{"model":"evil"}}'));
    for (const file of await filesUnder(folder)) {
      expect(await readFile(join(folder, file), "utf8")).not.toContain("evil");
    }
  });

  test("an id is made up where none is given, and the answer's URL leads to the page", async () => {
    const { post, get } = await testEndpoint();
    const [, body] = await told(await post(trace({ id: undefined })));
    const { url } = body as { url: string };
    expect(url).toMatch(/\/share\/olmo-2\/20240504\/[0-9a-f-]{36}\.html$/);
    const page = await get(new URL(url).pathname);
    expect(await page.text()).toContain("A language model.");
  });

  test("without share pages nothing but the JSON is written, and there is no URL", async () => {
    const { post, folder } = await testEndpoint({ sharePages: false });
    expect(await told(await post(trace()))).toEqual([200, { outcome: "success", error: null, url: null }]);
    expect(await filesUnder(folder)).toEqual([LOG]);
  });

  test("URLs begin with `publicUrl` where one is given", async () => {
    const { post } = await testEndpoint({ publicUrl: "https://traces.example/prod" });
    expect(await told(await post(trace()))).toMatchObject([200, { url: `https://traces.example/prod/${PAGE}` }]);
  });

  test("of many different traces at once under one id exactly one is stored", async () => {
    const { post, folder, get } = await testEndpoint();
    const texts = Array.from({ length: 20 }, (_, index) => `version ${index}`);
    const statuses = await Promise.all(
      texts.map(async (content) => (await post(trace({ messages: [{ role: "user", content }] }))).status),
    );
    expect(statuses.filter((status) => status === 200)).toHaveLength(1);
    expect(statuses.filter((status) => status === 409)).toHaveLength(19);
    const winner = texts[statuses.indexOf(200)];
    expect(await (await get(`/${LOG}`)).json()).toMatchObject({ messages: [{ content: winner }] });
    expect(await (await get(`/${PAGE}`)).text()).toContain(winner);
    expect(await filesUnder(folder)).toEqual([LOG, PAGE]);
  });

  test("the same trace many times at once is stored once, and every sender hears of success", async () => {
    const { post, folder } = await testEndpoint();
    const answers = await Promise.all(Array.from({ length: 20 }, () => post(trace())));
    expect(answers.every((answer) => answer.status === 200)).toBe(true);
    expect(await filesUnder(folder)).toEqual([LOG, PAGE]);
  });
});

describe("keys", () => {
  const apiKeys = ["first-key", "second-key"];

  test("one of the keys opens, anything else is Forbidden as the gateway says it", async () => {
    const { post } = await testEndpoint({ apiKeys });
    expect((await post(trace(), { "x-api-key": "second-key" })).status).toBe(200);
    for (const key of ["", "first-key2", "first-ke", "FIRST-KEY"]) {
      const answer = await post(trace(), key === "" ? {} : { "x-api-key": key });
      expect(answer.headers.get("x-amzn-errortype")).toBe("ForbiddenException");
      expect(await told(answer)).toEqual([403, { message: "Forbidden" }]);
    }
  });

  test("a trace without a key is not even read", async () => {
    const { endpoint, folder } = await testEndpoint({ apiKeys });
    const pulled = vi.fn();
    const body = new ReadableStream({ pull: pulled }, { highWaterMark: 0 });
    const init = { method: "POST", body, duplex: "half", headers: { "content-type": "application/json" } };
    expect((await endpoint(new Request(ORIGIN, init))).status).toBe(403);
    expect(pulled).not.toHaveBeenCalled();
    expect(await filesUnder(folder)).toEqual([]);
  });

  test("the list and the JSON want a key, a share page's link is enough", async () => {
    const { post, get } = await testEndpoint({ apiKeys });
    const key = { "x-api-key": "first-key" };
    await post(trace(), key);
    expect((await get("/")).status).toBe(403);
    expect((await get(`/${LOG}`)).status).toBe(403);
    expect((await get("/", key)).status).toBe(200);
    expect((await get(`/${LOG}`, key)).status).toBe(200);
    expect((await get(`/${PAGE}`)).status).toBe(200);
  });
});

describe("limits", () => {
  test("a body without a length is cut off at the limit, not after it", async () => {
    const { endpoint } = await testEndpoint({ maxRequestBytes: 10_000 });
    let sent = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 1000;
        controller.enqueue(new Uint8Array(1000).fill(32));
      },
    });
    const init = { method: "POST", body, duplex: "half", headers: { "content-type": "application/json" } };
    expect((await endpoint(new Request(ORIGIN, init))).status).toBe(413);
    expect(sent).toBeLessThan(20_000);
  });

  test("gzip is taken", async () => {
    const { endpoint } = await testEndpoint();
    const body = gzipSync(JSON.stringify(trace()));
    expect((await endpoint(postRequest(body, { "content-encoding": "gzip" }))).status).toBe(200);
  });

  test("a zip bomb ends at the limit, and broken gzip is a clear refusal", async () => {
    const { endpoint } = await testEndpoint();
    const gzip = { "content-encoding": "gzip" };
    const bomb = gzipSync(Buffer.alloc(200_000_000, " "));
    expect((await endpoint(postRequest(bomb, gzip))).status).toBe(413);
    const cut = gzipSync(JSON.stringify(trace())).subarray(0, 40);
    expect(await told(await endpoint(postRequest(cut, gzip)))).toMatchObject([400, { outcome: "failure" }]);
    expect(await told(await endpoint(postRequest("no gzip", gzip)))).toMatchObject([400, { outcome: "failure" }]);
  });

  test.each([
    ["a million brackets", "[".repeat(1_000_000)],
    ["a million nested objects", '{"a":'.repeat(1_000_000)],
    ["deep choices", JSON.stringify(trace()).replace(/}$/, `,"choices":${"[".repeat(200)}${"]".repeat(200)}}`)],
  ])("%s are refused before anything walks over them", async (_, body) => {
    const { post } = await testEndpoint();
    const error = "ValueError: The body is nested more than 100 levels deep";
    expect(await told(await post(body))).toEqual([400, { outcome: "failure", error, url: null }]);
  });

  test("brackets inside strings do not count as nesting", async () => {
    const { post } = await testEndpoint();
    const content = `${"[{".repeat(1000)}"\\"${"\\".repeat(7)}`;
    expect((await post(trace({ messages: [{ role: "user", content }] }))).status).toBe(200);
  });

  test("100,000 messages are refused", async () => {
    const { post, folder } = await testEndpoint();
    const messages = Array.from({ length: 100_000 }, () => ({ role: "user", content: "hi" }));
    const error = "ValueError: A trace has at most 10000 messages";
    expect(await told(await post(trace({ messages })))).toEqual([400, { outcome: "failure", error, url: null }]);
    expect(await filesUnder(folder)).toEqual([]);
  });

  test("bytes that are not UTF-8 are refused", async () => {
    const { endpoint } = await testEndpoint();
    expect(await told(await endpoint(postRequest(new Uint8Array([0x22, 0xff, 0x22]))))).toMatchObject([
      400,
      { error: "ValueError: The body is not UTF-8" },
    ]);
  });
});

describe("when the store fails", () => {
  const broken = {
    put: () => Promise.reject(new Error("/secret/place: disk on fire")),
    read: () => Promise.reject(new Error("/secret/place: disk on fire")),
    async *list() {
      yield* [];
      throw new Error("/secret/place: disk on fire");
    },
  };

  test("the sender hears that it may try again and nothing of the inside; the host hears everything", async () => {
    const onError = vi.fn();
    const error = "StorageError: The trace could not be stored; try again";
    const inner = { outcome: "failure", error, url: null };
    const proxy = await testEndpoint({ store: broken, onError });
    expect(await told(await proxy.post(trace()))).toEqual([503, inner]);
    const deployed = await testEndpoint({ store: broken, mode: "deployed" });
    expect(await told(await deployed.post(trace()))).toEqual([200, { statusCode: 500, body: inner }]);
    expect(onError.mock.calls).toEqual([[expect.objectContaining({ message: "/secret/place: disk on fire" })]]);
  });

  test("pages answer with a 500 that says nothing", async () => {
    const onError = vi.fn(() => {
      throw new Error("the callback fails, too");
    });
    const { get } = await testEndpoint({ store: broken, onError });
    expect(await told(await get("/"))).toEqual([500, { message: "Internal server error" }]);
    expect(await told(await get(`/${LOG}`))).toEqual([500, { message: "Internal server error" }]);
    expect(onError).toHaveBeenCalledTimes(2);
  });
});

describe("options", () => {
  test.each([
    [{ mode: "aws" }, "mode must be proxy or deployed or published or both"],
    [{ mode: "toString" }, "mode must be proxy or deployed or published or both"],
    [{ apiKeys: [""] }, "apiKeys must be a list of strings that are not empty"],
    [{ apiKeys: "key" }, "apiKeys must be a list of strings that are not empty"],
    [{ apiKey: "key" }, "there is no option apiKey. There are: store, mode, apiKeys, "],
    [{ store: undefined }, "store must be one like fileStore(dir)"],
    [{ store: {} }, "store must be one like fileStore(dir)"],
    [{ maxRequestBytes: 0 }, "maxRequestBytes must be a whole number from 1"],
    [{ maxDepth: Number.NaN }, "maxDepth must be a whole number from 1"],
  ])("%o is refused at once", (options, message) => {
    // The wrong type is the point of the test.
    expect(() => createEndpoint({ store: fileStore("x"), ...options } as unknown as EndpointOptions)).toThrow(message);
  });
});
