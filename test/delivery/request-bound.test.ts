/** A runtime that drops what a request has begun together with the request, as Cloudflare's Workers do. */
import { AsyncLocalStorage } from "node:async_hooks";
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { TraceLogger, type TraceLoggerOptions, tracingFetch } from "../../src/index.ts";
import { expectBalance, said, scriptedEndpoint } from "../support.ts";

interface Request {
  isOver: boolean;
  readonly waitedFor: Promise<unknown>[];
}

const requests = new AsyncLocalStorage<Request>();

/** An answer comes back as long as the request lives that asked for it; what nobody's request asked for does not. */
const boundFetch: typeof fetch = async (...args) => {
  const asking = requests.getStore();
  const response = await fetch(...args);
  return asking && !asking.isOver ? response : new Promise(() => {});
};

/** The platform's: the request that is being served lives until then. */
function waitUntil(promise: Promise<unknown>): void {
  requests.getStore()?.waitedFor.push(promise);
}

async function serve(work: () => unknown): Promise<void> {
  const request: Request = { isOver: false, waitedFor: [] };
  await requests.run(request, async () => work());
  for (const promise of request.waitedFor) await promise;
  request.isOver = true;
}

beforeEach(() => {
  vi.stubGlobal("navigator", { userAgent: "Cloudflare-Workers" });
});
afterEach(() => {
  vi.unstubAllGlobals();
});

test.each<[string, TraceLoggerOptions, (logger: TraceLogger) => void]>([
  ["each flushes", {}, (logger) => waitUntil(logger.flush())],
  ["the logger has the platform's waitUntil", { waitUntil }, () => {}],
])("many requests at a time share a logger, and %s: everything arrives", async (_how, options, after) => {
  await using endpoint = await scriptedEndpoint();
  const logger = new TraceLogger({ endpoint: endpoint.url, fetch: boundFetch, batch: { maxWaitMs: 1 }, ...options });
  const ids = Array.from({ length: 40 }, (_, i) => `request-${i}`);
  const serveOne = (id: string) =>
    serve(() => {
      void logger.logTrace(said("what was said", { id }));
      after(logger);
    });
  await Promise.all(ids.map(serveOne));
  expect(endpoint.stored.map(({ id }) => id).sort()).toEqual(ids.sort());
  expect(endpoint.requests).toHaveLength(ids.length);
  expectBalance(logger.stats);
  expect(logger.stats.delivered).toBe(ids.length);
});

test("a request that dies while its media are hashed holds up no other, and the next one hashes them", async () => {
  await using endpoint = await scriptedEndpoint();
  const begun = Promise.withResolvers<void>();
  const hashing = vi.spyOn(crypto.subtle, "digest").mockImplementationOnce(() => {
    begun.resolve();
    return new Promise(() => {}); // for its request is over by then
  });
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => {
    vi.useRealTimers();
    hashing.mockRestore();
  });
  const logger = new TraceLogger({ endpoint: endpoint.url, fetch: boundFetch });
  const traced = tracingFetch(logger, { fetch: async () => Response.json({ model: "sees", choices: [] }) });
  const image = { type: "image_url", image_url: { url: `data:image/png;base64,${"iVBORw0K".repeat(200)}` } };
  const body = JSON.stringify({ model: "sees", messages: [{ role: "user", content: [image] }] });
  // 1. A request makes a call and begins to flush; its client goes away, and it ends with that.
  await serve(async () => {
    await (await traced("https://provider.test/chat/completions", { method: "POST", body })).json();
    void logger.flush();
    await begun.promise;
  });
  vi.clearAllTimers(); // which end with it, too
  // 2. Another one logs, and flushes.
  const flushed = serve(() => {
    void logger.logTrace(said("by hand"));
    waitUntil(logger.flush());
  });
  // 3. It hears nothing of the hash in the time that any takes, and makes it itself.
  await vi.advanceTimersByTimeAsync(10_000);
  await flushed;
  expect(endpoint.stored.map(({ model }) => model).sort()).toEqual(["olmo-2", "sees"]);
  expect(await logger.flush()).toMatchObject({ pending: 0 });
  expectBalance(logger.stats);
});

test("functions of Node that are there and throw, as in Next's edge runtime, are done without", async () => {
  await using endpoint = await scriptedEndpoint();
  const refuse = () => {
    throw new Error("not supported in the Edge Runtime");
  };
  for (const name of ["getBuiltinModule", "on", "off"] as const) vi.spyOn(process, name).mockImplementation(refuse);
  for (const name of ["setImmediate", "CompressionStream"]) vi.stubGlobal(name, refuse);
  onTestFinished(() => void vi.restoreAllMocks());
  const logger = new TraceLogger({ endpoint: endpoint.url, compress: "gzip" });
  expect(await logger.logTrace(said("by hand"))).toMatchObject({ status: "delivered" });
  const traced = tracingFetch(logger, { fetch: async () => new Response('data: {"choices":[]}\n\n') });
  for (let i = 0; i < 2; i++) {
    const body = JSON.stringify(said("x".repeat(2_000)));
    await (await traced("https://provider.test/chat/completions", { method: "POST", body })).body?.pipeTo(
      new WritableStream(),
    );
  }
  expect(await logger.flush()).toMatchObject({ delivered: 2, pending: 0 });
  expect(endpoint.stored).toHaveLength(3);
});
