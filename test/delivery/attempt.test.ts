import { inspect } from "node:util";
import { HttpResponse, http } from "msw";
import { setupServer } from "msw/node";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { createAttempt } from "../../src/delivery/attempt.ts";

const endpoint = "https://traces.test/prod";
const stored = { outcome: "success", error: null, url: null };
const server = setupServer();
beforeAll(() => server.listen({ onUnhandledFrame: "error" }));
afterEach(() => {
  server.resetHandlers();
  vi.useRealTimers();
});
afterAll(() => server.close());

const attempt = (more: Partial<Parameters<typeof createAttempt>[0]> = {}) =>
  createAttempt({ endpoint, headers: {}, timeoutMs: 32_000, compress: "none", ...more });
const never = new AbortController().signal;

test("one POST with the key and the JSON as it is", async () => {
  const requests: { method: string; key: string | null; type: string | null; body: string }[] = [];
  server.use(
    http.all(endpoint, async ({ request }) => {
      const { method, headers } = request;
      requests.push({
        method,
        key: headers.get("x-api-key"),
        type: headers.get("content-type"),
        body: await request.text(),
      });
      return HttpResponse.json(stored);
    }),
  );
  expect(await attempt({ apiKey: "k" })('{"a":"é"}', never)).toEqual({ kind: "delivered", url: null });
  expect(requests).toEqual([{ method: "POST", key: "k", type: "application/json", body: '{"a":"é"}' }]);
});

test.each([500, 503, 429])("HTTP %i is asked once: trying again is the queue's", async (status) => {
  let count = 0;
  server.use(
    http.post(endpoint, () => {
      count++;
      return new HttpResponse(null, { status });
    }),
  );
  expect((await attempt()("{}", never)).kind).not.toBe("delivered");
  expect(count).toBe(1);
});

test("a redirect is not followed", async () => {
  server.use(http.post(endpoint, () => HttpResponse.redirect("https://elsewhere.test/", 302)));
  expect(await attempt()("{}", never)).toMatchObject({ kind: "held", error: { code: "config" } });
});

test("no connection is trouble that passes", async () => {
  server.use(http.post(endpoint, () => HttpResponse.error()));
  expect(await attempt()("{}", never)).toMatchObject({ kind: "retry", error: { code: "network" } });
});

test.each([
  ["by fetch", {}],
  ["by a fetch of the host's", { fetch: () => Promise.reject(new TypeError("fetch failed")) }],
])("what is told of a failure %s holds neither the key nor other headers, however it is printed", async (_, more) => {
  server.use(http.post(endpoint, () => HttpResponse.error()));
  const failed = await attempt({ apiKey: "the-key", headers: { "x-mine": "another-key" }, ...more })("{}", never);
  expect(inspect(failed, { depth: null, showHidden: true })).not.toMatch(/the-key|another-key/);
  expect(failed).toMatchObject({ error: { code: "network", cause: { name: "TypeError" } } });
});

test("an answer that is too long for an endpoint is not read to its end", async () => {
  let sent = 0;
  const endless = new ReadableStream({
    pull(controller) {
      sent += 65_536;
      controller.enqueue(new Uint8Array(65_536).fill(32));
    },
  });
  server.use(http.post(endpoint, () => new HttpResponse(endless)));
  expect(await attempt()("{}", never)).toMatchObject({ kind: "retry", error: { code: "not_an_endpoint" } });
  expect(sent).toBeLessThan(2_000_000);
});

test("a body that never ends is given up after timeoutMs, headers and body together", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const silent = new ReadableStream({ start: (controller) => controller.enqueue(new Uint8Array([123])) });
  server.use(http.post(endpoint, () => new HttpResponse(silent)));
  const verdict = attempt({ timeoutMs: 1_000 })("{}", never);
  const advance = setInterval(() => vi.advanceTimersByTime(100), 5);
  try {
    expect(await verdict).toMatchObject({ kind: "retry", error: { code: "timeout" } });
  } finally {
    clearInterval(advance);
  }
});

test("an abort ends it at once", async () => {
  const controller = new AbortController();
  server.use(
    http.post(endpoint, () => {
      controller.abort();
      return new Promise<never>(() => {});
    }),
  );
  expect(await attempt()("{}", controller.signal)).toMatchObject({ kind: "retry", error: { code: "network" } });
});
