/** The batch wire, from the logger to a real endpoint over loopback, with the faults between them by script. */
import { gunzipSync } from "node:zlib";
import { expect, onTestFinished, test } from "vitest";
import { createEndpoint, type EndpointMode } from "../../src/endpoint/index.ts";
import { startServer } from "../../src/endpoint/node.ts";
import type { TraceLoggerOptions } from "../../src/options.ts";
import type { TraceLoss } from "../../src/receipts.ts";
import { TraceLogger } from "../../src/trace-logger.ts";
import { memoryStore } from "../endpoint/support.ts";
import { expectBalance, said } from "../support.ts";

/** A request as it came, and its body, decompressed and parsed. */
interface Seen {
  readonly headers: Headers;
  readonly size: number;
  readonly count: number;
  readonly body: string;
}

interface Setting {
  readonly mode?: EndpointMode;
  readonly options?: TraceLoggerOptions;
  /** Answers instead of the endpoint. */
  readonly instead?: (seen: Seen, nth: number) => Response | undefined;
  readonly failPut?: (key: string, content: string) => boolean;
}

async function setUp({ mode = "proxy", options = {}, instead, failPut = () => false }: Setting = {}) {
  const store = memoryStore(failPut);
  const endpoint = createEndpoint({ store, mode, sharePages: false, maxTraces: 200 });
  const requests: Seen[] = [];
  const server = await startServer({
    handler: async (request) => {
      const bytes = Buffer.from(await request.arrayBuffer());
      const isGzip = request.headers.get("content-encoding") === "gzip";
      const body = (isGzip ? gunzipSync(bytes) : bytes).toString();
      const parsed: unknown = JSON.parse(body);
      const count = Array.isArray(parsed) ? parsed.length : 1;
      const seen = { headers: request.headers, size: bytes.length, count, body };
      requests.push(seen);
      const { method, headers, url } = request;
      return instead?.(seen, requests.length) ?? endpoint(new Request(url, { method, headers, body: bytes }));
    },
  });
  onTestFinished(() => server.close());
  const losses: TraceLoss[] = [];
  const onLoss = (loss: TraceLoss) => losses.push(loss);
  const logger = new TraceLogger({ endpoint: server.url, wire: "batch", onLoss, onEvent: () => {}, ...options });
  onTestFinished(async () => void (await logger.close({ timeoutMs: 0 })));
  const logAll = (count: number, more: (index: number) => object = () => ({})) =>
    Promise.all(Array.from({ length: count }, (_, index) => logger.logTrace(said(`text ${index}`, more(index)))));
  const storedTexts = () =>
    [...store.entries.values()].map((json) => JSON.parse(json).messages[0].content as string).sort();
  return { logger, logAll, requests, storedTexts, losses, store };
}

const texts = (count: number) => Array.from({ length: count }, (_, index) => `text ${index}`).sort();

test("a batch is one request, and every trace gets its own receipt", async () => {
  const { logger, logAll, requests, storedTexts } = await setUp();
  const receipts = await logAll(100);
  expect(receipts.every(({ status }) => status === "delivered")).toBe(true);
  expect(requests.map(({ count }) => count)).toEqual([100]);
  expect(storedTexts()).toEqual(texts(100));
  expectBalance(logger.stats);
});

test("single is the default, whatever the endpoint could take", async () => {
  const { logAll, requests } = await setUp({ options: { wire: "single" } });
  await logAll(5);
  expect(requests.map(({ count, body }) => [count, body.startsWith("{")])).toEqual(Array(5).fill([1, true]));
});

test("only the items that deserve it are sent again, and the gate stays open", async () => {
  const failedOnce = new Set<string>();
  const failPut = (key: string, content: string) => {
    if (!/text (?:3|7)"/.test(content) || failedOnce.has(key)) return false;
    failedOnce.add(key);
    return true;
  };
  const { logger, logAll, requests, storedTexts } = await setUp({ failPut });
  await logAll(10);
  expect(requests.map(({ count }) => count)).toEqual([10, 2]);
  expect(requests[1]?.body).toMatch(/text 3.*text 7/);
  expect(storedTexts()).toEqual(texts(10));
  expect(logger.stats.gate).toBe("open");
});

test("an item that is refused is lost alone", async () => {
  const { logger, logAll, storedTexts, losses } = await setUp();
  await logger.logTrace(said("the first", { id: "taken", created: 1_700_000_000 }));
  const receipts = await logAll(3, (index) => (index === 1 ? { id: "taken", created: 1_700_000_000 } : {}));
  expect(receipts.map(({ status }) => status)).toEqual(["delivered", "lost", "delivered"]);
  expect(losses.map(({ id, reason }) => [id, reason])).toEqual([["taken", "rejected"]]);
  expect(storedTexts()).toEqual(["text 0", "text 2", "the first"]);
});

test.each([
  ["the deployed function", { mode: "deployed" }],
  ["a request validator in front of it", { mode: "published" }],
  [
    "a 415",
    {
      instead: ({ count }) =>
        count > 1 ? Response.json({ message: "Unsupported Media Type" }, { status: 415 }) : undefined,
    },
  ],
  [
    "success in the words for one trace",
    { instead: ({ count }) => (count > 1 ? Response.json({ outcome: "success", error: null, url: null }) : undefined) },
  ],
] satisfies [string, Setting][])(
  "an endpoint that refuses arrays gets single traces for good: %s",
  async (_, setting) => {
    const { logger, logAll, requests, storedTexts } = await setUp(setting);
    const receipts = await logAll(20);
    expect(receipts.every(({ status }) => status === "delivered")).toBe(true);
    await logger.logTrace(said("later"));
    await logger.logTrace(said("later still"));
    expect(requests.map(({ count }) => count)).toEqual([20, ...Array(22).fill(1)]);
    expect(storedTexts()).toEqual(["later", "later still", ...texts(20)]);
  },
);

test("a function that crashes at arrays looks like an outage, and is found out once single traces pass", async () => {
  const crash = { errorMessage: "'list' object has no attribute 'get'", errorType: "AttributeError" };
  const { logAll, requests, storedTexts } = await setUp({
    instead: ({ count }) => (count > 1 ? Response.json(crash) : undefined),
    options: { batch: { maxTraces: 4 } },
  });
  await logAll(6);
  await logAll(20);
  expect(storedTexts()).toEqual([...texts(6), ...texts(20)].sort());
  expect(requests.slice(-15).every(({ count }) => count === 1)).toBe(true);
}, 60_000);

test("a batch that is too large is halved until it passes", async () => {
  const { logAll, requests, storedTexts } = await setUp({
    instead: ({ count }) => (count > 30 ? new Response("HTTP content length exceeded", { status: 413 }) : undefined),
  });
  await logAll(100);
  expect(storedTexts()).toEqual(texts(100));
  expect(requests[0]?.count).toBe(100);
  expect(requests.filter(({ count }) => count > 30).length).toBeLessThan(6);
});

test("a trace at which the function breaks does not take its neighbours with it", async () => {
  const { logger, logAll, storedTexts, losses } = await setUp({
    instead: ({ body }) => (body.includes('text 5"') ? new Response("", { status: 502 }) : undefined),
    options: { batch: { maxTraces: 8 } },
  });
  void logAll(16);
  // What is stored is not yet answered for: the logger's own count is waited for.
  await expect.poll(() => logger.stats.delivered, { timeout: 20_000 }).toBe(15);
  expect(storedTexts()).toHaveLength(15);
  expect(losses).toEqual([]);
  expect(logger.stats.pending).toBe(1);
}, 30_000);

test("choices travel in batches, too", async () => {
  const { logAll, requests, store } = await setUp();
  await logAll(3, () => ({ choices: [{ index: 0, message: { role: "assistant", content: "hi" } }] }));
  expect(requests).toHaveLength(1);
  expect(store.entries.size).toBe(3);
});

test("gzip: what is sent is smaller, and what is stored is the same", async () => {
  const { logAll, requests, storedTexts } = await setUp({ options: { compress: "gzip" } });
  await logAll(50);
  expect(requests.map(({ headers }) => headers.get("content-encoding"))).toEqual(["gzip"]);
  expect(requests[0]?.size).toBeLessThan((requests[0]?.body.length ?? 0) / 3);
  expect(storedTexts()).toEqual(texts(50));
});

test.each([
  ["415", Response.json.bind(null, { message: "Unsupported Media Type" }, { status: 415 })],
  [
    "a 400 for what it takes for broken JSON",
    Response.json.bind(null, { message: "Invalid request body" }, { status: 400 }),
  ],
])("gzip that is answered with %s: as it is from then on, nothing lost", async (_, refusal) => {
  const { logger, requests, storedTexts } = await setUp({
    options: { compress: "gzip", wire: "single" },
    instead: ({ headers }) => (headers.has("content-encoding") ? refusal() : undefined),
  });
  const long = "x".repeat(5_000);
  for (let i = 0; i < 3; i++) expect((await logger.logTrace(said(`${long}${i}`))).status).toBe("delivered");
  expect(requests.map(({ headers }) => headers.get("content-encoding"))).toEqual(["gzip", null, null, null]);
  expect(storedTexts()).toHaveLength(3);
});
