/** Connections that break at every point: what was reported delivered is stored, and what is stored is reported once. */
import { describe, expect, test } from "vitest";
import { type Reply, replies, scriptedEndpoint } from "../support.ts";
import { type Spoil, spoilingProxy, spoils } from "./proxy.ts";
import { observed, storedIn } from "./support.ts";

const TRACES = 40;

/** One good exchange, and the connection is closed. */
const closing: Spoil = (link) => {
  link.passRequests();
  link.server.once("data", (answer) => link.client.end(answer));
};

describe.each(Object.entries(spoils))("%s", (_name, spoil) => {
  test("the first connections are spoilt, and all arrives in the end", async () => {
    await using endpoint = await scriptedEndpoint();
    const proxy = await spoilingProxy(endpoint.url, (count) => (count <= 3 ? spoil : spoils.none));
    const { logger, log, expectTruth } = observed({ endpoint: proxy.url, timeoutMs: 400 });
    for (let i = 0; i < TRACES; i++) log();
    expect(await logger.flush()).toMatchObject({ delivered: TRACES, pending: 0, lost: 0 });
    expectTruth(storedIn(endpoint));
    expect(logger.stats.lost.poison).toBe(0);
  });
});

test("all of them in turn, each with a good one after it", async () => {
  await using endpoint = await scriptedEndpoint();
  const kinds: readonly Spoil[] = Object.values(spoils);
  const proxy = await spoilingProxy(endpoint.url, (count) =>
    count % 2 === 1 ? (kinds[(count - 1) / 2] ?? spoils.none) : closing,
  );
  const { logger, log, expectTruth } = observed({ endpoint: proxy.url, timeoutMs: 150 });
  for (let i = 0; i < TRACES; i++) log();
  expect(await logger.flush({ timeoutMs: 120_000 })).toMatchObject({ delivered: TRACES, pending: 0, lost: 0 });
  expect(proxy.connections()).toBeGreaterThan(kinds.length);
  expectTruth(storedIn(endpoint));
});

test("a close in the middle of it reports every trace once, and what it calls delivered is stored", async () => {
  await using endpoint = await scriptedEndpoint();
  const proxy = await spoilingProxy(endpoint.url, (count) => (count === 1 ? spoils.none : spoils.hangAfterTheRequest));
  const { logger, log, receipts } = observed({ endpoint: proxy.url });
  for (let i = 0; i < TRACES; i++) log();
  const report = await logger.close({ timeoutMs: 500 });
  expect(report.delivered + report.lost).toBe(TRACES);
  expect(report.pending).toBe(0);
  const stored = new Set(storedIn(endpoint));
  const delivered = [...receipts].filter(([, { status }]) => status === "delivered").map(([id]) => id);
  expect(delivered.filter((id) => !stored.has(id))).toEqual([]);
  // Stored, and the answer came too late: reported lost (closed), and at most as many as were under way.
  expect(stored.size - delivered.length).toBeLessThanOrEqual(10);
  expect(receipts.size).toBe(TRACES);
});

const inner = (body: unknown): Reply => ({ status: 200, body: JSON.stringify({ statusCode: 200, body }) });
const outcome = (error: string): Reply => ({
  status: 200,
  body: JSON.stringify({ outcome: "failure", error, url: null }),
});

describe("what an endpoint can say about one trace of many", () => {
  test.each<[string, Reply, "delivered" | "too_large" | "rejected"]>([
    ["an AssertionError in the envelope", replies.failed("AssertionError: Choices must be a list"), "rejected"],
    ["a TypeError in the envelope", replies.failed("TypeError: unexpected keyword argument 'name'"), "rejected"],
    ["a ValueError in the envelope", replies.failed("ValueError: Invalid timestamp"), "rejected"],
    ["a KeyError in the envelope", replies.failed("KeyError: 'model'"), "rejected"],
    ["an AttributeError in the envelope", replies.failed("AttributeError: 'str' has no attribute 'get'"), "rejected"],
    ["the same without an envelope", outcome("ValueError: Invalid timestamp"), "rejected"],
    ["400 of the gateway's validator", replies.invalidBody, "rejected"],
    ["413 in text", replies.tooLarge, "too_large"],
    ["413 in JSON", { status: 413, body: '{"message":"Request Too Long"}' }, "too_large"],
    ["413 inside a 200", { status: 200, body: '{"statusCode":413,"body":"{}"}' }, "too_large"],
    ["a ClientError, once", replies.failed("ClientError: SlowDown"), "delivered"],
    ["an EndpointConnectionError, once", replies.failed("EndpointConnectionError: no"), "delivered"],
    ["a ReadTimeoutError, once", replies.failed("ReadTimeoutError: no"), "delivered"],
    ["a time-out of the function, once", replies.crashed, "delivered"],
    ["a time-out of the gateway, once", { status: 504, body: '{"message":"Endpoint request timed out"}' }, "delivered"],
    ["the same inside a 200, once", { status: 200, body: '{"message":"Endpoint request timed out"}' }, "delivered"],
    [
      "an envelope whose body is an object, once",
      inner({ outcome: "failure", error: "ClientError", url: null }),
      "delivered",
    ],
    ["an envelope whose body is a list, once", inner([]), "delivered"],
    ["an envelope whose body is no JSON, once", inner("Internal Server Error"), "delivered"],
    ["an envelope in an envelope, once", inner(JSON.stringify({ statusCode: 503, body: "" })), "delivered"],
    ["null, once", { status: 200, body: "null" }, "delivered"],
    ["204, once", { status: 204 }, "delivered"],
    ["HTML, once", replies.captivePortal, "delivered"],
    ["303, once", { status: 303, headers: { location: "/elsewhere" } }, "delivered"],
    ["308, once", { status: 308, headers: { location: "/elsewhere" } }, "delivered"],
    ["415, once", { status: 415, body: '{"message":"Unsupported Media Type"}' }, "delivered"],
  ])("%s", async (_name, reply, fate) => {
    let told = 0;
    await using endpoint = await scriptedEndpoint(({ id }) =>
      id === "trace-3" && (fate !== "delivered" || told++ === 0) ? reply : undefined,
    );
    const { logger, log, receipts, expectTruth } = observed({ endpoint: endpoint.url, onEvent: () => {} });
    for (let i = 0; i < 8; i++) log();
    const lost = fate === "delivered" ? 0 : 1;
    expect(await logger.flush()).toMatchObject({ delivered: 8 - lost, pending: 0, lost });
    expect(receipts.get("trace-3")).toMatchObject(
      fate === "delivered" ? { status: "delivered" } : { status: "lost", reason: fate },
    );
    expectTruth(storedIn(endpoint));
  });
});
