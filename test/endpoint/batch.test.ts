import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { createEndpoint } from "../../src/endpoint/index.ts";
import { filesUnder, memoryStore, postRequest, testEndpoint, told, trace } from "./support.ts";

const NDJSON = { "content-type": "application/x-ndjson" };
const bad = trace({
  id: "bad",
  messages: [
    { role: "user", content: "hi" },
    { role: "robot", content: "hi" },
  ],
});

/** Everything that can become of an item, in one batch. */
async function mixed(send: (items: object[]) => Promise<unknown>) {
  await send([trace(), trace({ id: "other" })]);
  return send([
    trace({ id: "new" }),
    trace(),
    trace({ id: "other", messages: [{ role: "user", content: "Another." }] }),
    bad,
  ]);
}

const expected = [
  200,
  {
    results: [
      { status: 200, result: "stored", outcome: "success", error: null, url: expect.stringContaining("/new.html") },
      {
        status: 200,
        result: "duplicate",
        outcome: "success",
        error: null,
        url: expect.stringContaining("/trace-1.html"),
      },
      {
        status: 409,
        result: "conflict",
        outcome: "failure",
        error: expect.stringMatching(/^ValueError: Another/),
        url: null,
      },
      {
        status: 400,
        result: "invalid",
        outcome: "failure",
        error: expect.stringMatching(/^ValueError: Invalid trace: messages\[1\]\.role/),
        url: null,
        path: "messages[1].role",
      },
    ],
  },
];

test("a JSON array is answered item by item: stored, duplicate, conflict, invalid with its path", async () => {
  const { post, folder } = await testEndpoint();
  expect(await mixed(async (items) => told(await post(items)))).toEqual(expected);
  expect((await filesUnder(folder)).filter((file) => file.startsWith("logs/"))).toHaveLength(3);
});

test("NDJSON is, too, blank lines and gzip included", async () => {
  const { endpoint } = await testEndpoint();
  const send = async (items: object[]) => {
    const body = gzipSync(`${items.map((item) => JSON.stringify(item)).join("\n\r\n")}\n\n`);
    return told(await endpoint(postRequest(body, { ...NDJSON, "content-encoding": "gzip" })));
  };
  expect(await mixed(send)).toEqual(expected);
});

test("a broken line of NDJSON is that line's failure", async () => {
  const { post } = await testEndpoint();
  const answer = await told(await post(`${JSON.stringify(trace())}\n{"half\n[[[`, NDJSON));
  expect(answer).toMatchObject([
    200,
    { results: [{ result: "stored" }, { result: "invalid" }, { result: "invalid" }] },
  ]);
});

test("an item that the storage failed says so, and the others are stored", async () => {
  const store = memoryStore((key) => key.includes("/b."));
  const endpoint = createEndpoint({ store });
  const items = ["a", "b", "c"].map((id) => trace({ id }));
  const [, body] = await told(await endpoint(postRequest(JSON.stringify(items))));
  expect(body).toMatchObject({ results: [{ status: 200 }, { status: 503, result: "failed" }, { status: 200 }] });
  expect([...store.entries.keys()].filter((key) => key.endsWith(".json"))).toHaveLength(2);
});

test("the same trace many times in one batch is stored once", async () => {
  const { post, folder } = await testEndpoint({ sharePages: false });
  const [, body] = await told(await post(Array.from({ length: 50 }, () => trace())));
  const { results } = body as { results: { result: string }[] };
  expect(results.filter(({ result }) => result === "stored")).toHaveLength(1);
  expect(results.filter(({ result }) => result === "duplicate")).toHaveLength(49);
  expect(await filesUnder(folder)).toHaveLength(1);
});

test.each([
  ["too many traces", Array.from({ length: 11 }, () => 0), 413],
  ["an empty array", [], 400],
])("%s are refused as a whole", async (_, body, status) => {
  const { post } = await testEndpoint({ maxTraces: 10 });
  expect((await post(body)).status).toBe(status);
});

test.each([
  ["numbers, nulls and lists", '[1, null, [], "x", true]'],
  ["a __proto__", '[{"__proto__":{"model":"x"}}, {"__proto__":[]}]'],
])("items that are %s are invalid, and harmless", async (_, body) => {
  const { post, folder } = await testEndpoint();
  const [status, answer] = await told(await post(body));
  expect(status).toBe(200);
  const { results } = answer as { results: { result: string }[] };
  expect(results.every(({ result }) => result === "invalid")).toBe(true);
  expect(await filesUnder(folder)).toEqual([]);
});

test("a trace as deep as one may be alone is as deep as one may be in a list", async () => {
  const { post } = await testEndpoint();
  const deep = JSON.stringify(trace()).replace(/}$/, `,"choices":[{"a":${"[".repeat(97)}${"]".repeat(97)}}]}`);
  expect((await post(deep)).status).toBe(200);
  expect(await told(await post(`[${deep}]`))).toMatchObject([200, { results: [{ result: "duplicate" }] }]);
});

test.each(["deployed", "published", "both"] as const)(
  "the mode %s knows no batches, as the deployments do not",
  async (mode) => {
    const { post } = await testEndpoint({ mode });
    const [status, body] = await told(await post([trace(), trace({ id: "b" })]));
    expect(JSON.stringify([status, body])).toMatch(/Invalid request body|TypeError/);
    expect((await post(JSON.stringify(trace()), NDJSON)).status).toBe(415);
  },
);

test("signed links open their page until they expire, and nothing else", async () => {
  const shareLinks = { secret: "a secret that nobody guesses", ttlSeconds: 60 };
  const { post, get } = await testEndpoint({ shareLinks });
  const [, body] = await told(await post(trace()));
  await post(trace({ id: "other" }));
  const { pathname, search } = new URL((body as { url: string }).url);
  expect((await get(pathname + search)).status).toBe(200);
  const other = pathname.replace("trace-1", "other");
  const later = search.replace(/expires=(\d+)/, (_, seconds) => `expires=${Number(seconds) + 1000}`);
  const past = search.replace(/expires=\d+/, "expires=1");
  for (const path of [pathname, other + search, pathname + later, pathname + past, `${pathname}?signature=zz`]) {
    expect([path, (await get(path)).status]).toEqual([path, 403]);
  }
});

test.each([{ secret: "short" }, { secret: "long enough to be one", ttlSeconds: 0 }])(
  "%o is refused at once",
  (shareLinks) => {
    expect(() => createEndpoint({ store: memoryStore(), shareLinks })).toThrow("shareLinks.");
  },
);

test("without browsing, traces go in and none come out", async () => {
  const { post, get } = await testEndpoint({ browse: false });
  await post(trace());
  expect((await get("/")).status).toBe(404);
  expect((await get("/logs/olmo-2/20240504/trace-1.json")).status).toBe(404);
});
