/** Whatever the host's own functions do, `logTrace` returns, every trace is accounted for, and delivery goes on. */
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import type { TraceInput, TraceLogger, TraceLoggerOptions } from "../../src/index.ts";
import { eventually, expectBalance, replies, said, scriptedEndpoint } from "../support.ts";
import { observed, storedIn } from "./support.ts";

type Deed = (logger: TraceLogger, log: () => void) => unknown;

const throwsIt = (): never => {
  throw new Error("the host's own");
};

const DEEDS: Record<string, Deed> = {
  throws: throwsIt,
  rejects: () => Promise.reject(new Error("the host's own")),
  "rejects in another realm": () => runInNewContext("Promise.reject(new Error())"),
  "gives back what throws when it is looked at": () => new Proxy({}, { get: throwsIt, getPrototypeOf: throwsIt }),
  "never settles": () => new Promise(() => {}),
  "logs again": (_logger, log) => log(),
  "logs what is no trace": (logger) => logger.logTrace(JSON.parse("{}")),
  flushes: (logger) => logger.flush({ timeoutMs: 50 }),
  "waits for room": (logger) => logger.ready(),
  "looks at the sums": (logger) => expectBalance(logger.stats),
};

describe.each(["onLoss", "onEvent", "waitUntil"] as const)("%s", (name) => {
  test.each(Object.entries(DEEDS))("that %s", async (_name, deed) => {
    await using endpoint = await scriptedEndpoint(({ id }, count) =>
      count <= 2 ? replies.unavailable : id === "trace-3" ? replies.invalidBody : undefined,
    );
    let calls = 0;
    const callback = (): unknown => {
      // A host that logs each loss of what it logs itself has a loop of its own making.
      if (calls++ < 5) return deed(logger, log);
      return undefined;
    };
    const { logger, log, expectTruth } = observed({
      endpoint: endpoint.url,
      onEvent: () => {},
      [name]: callback,
    } as TraceLoggerOptions); // the name is one of theirs
    for (let i = 0; i < 10; i++) log();
    await eventually(async () => {
      await logger.flush();
      expect(logger.stats.pending).toBe(0);
    });
    expect(calls).toBeGreaterThan(0);
    expect(logger.stats.delivered).toBeGreaterThanOrEqual(9);
    expectTruth(storedIn(endpoint));
  });

  test("that closes the logger: what is logged afterwards is lost by name", async () => {
    await using endpoint = await scriptedEndpoint(({ id }, count) =>
      count <= 2 ? replies.unavailable : id === "trace-3" ? replies.invalidBody : undefined,
    );
    const { logger, log, receipts, expectTruth } = observed({
      endpoint: endpoint.url,
      onEvent: () => {},
      [name]: () => void logger.close({ timeoutMs: 5_000 }),
    } as TraceLoggerOptions); // the name is one of theirs
    for (let i = 0; i < 10; i++) log();
    await eventually(() => expect(receipts.size).toBe(10));
    expect(logger.stats.pending).toBe(0);
    expectTruth(storedIn(endpoint));
  });
});

describe("an onLoss that logs every lost trace again, at once", () => {
  test.each<[string, TraceLoggerOptions, (logger: TraceLogger) => unknown]>([
    ["into a full queue", { queue: { maxTraces: 5 } }, () => {}],
    ["into a closed logger", {}, (logger) => logger.close({ timeoutMs: 0 })],
  ])("%s: the host goes on, and the sums agree", async (_name, options, prepare) => {
    await using endpoint = await scriptedEndpoint(() => replies.unavailable);
    const { logger, log, receipts } = observed({
      endpoint: endpoint.url,
      onEvent: () => {},
      // The host hands over what it was given.
      onLoss: ({ trace }) => void logger.logTrace(trace as TraceInput),
      ...options,
    });
    await prepare(logger);
    for (let i = 0; i < 8; i++) log();
    expectBalance(logger.stats);
    expect(logger.stats.pending).toBeLessThanOrEqual(5);
    await eventually(() => expect(receipts.size).toBeGreaterThanOrEqual(3));
  });
});

test("a trace whose getters log others: each is accounted for", async () => {
  await using endpoint = await scriptedEndpoint();
  const { logger, log } = observed({ endpoint: endpoint.url });
  const usage = {
    get total() {
      log();
      return 1;
    },
  };
  void logger.logTrace(said("outer", { usage }));
  await logger.flush();
  expect(logger.stats.delivered).toBeGreaterThan(1);
  expect(logger.stats.delivered).toBe(logger.stats.accepted);
  expect(storedIn(endpoint)).toHaveLength(logger.stats.delivered);
  expectBalance(logger.stats);
});

describe("a `fetch` of the host's", () => {
  const response = (body: BodyInit | null) => new Response(body);
  test.each<[string, () => unknown]>([
    ["throws", throwsIt],
    ["rejects with nothing", () => Promise.reject(undefined)],
    ["rejects with a frozen text", () => Promise.reject("no")],
    ["gives nothing", () => undefined],
    ["gives what is no response", async () => ({ ok: true, status: 200 })],
    ["gives a response without a body", async () => response(null)],
    ["gives a body that breaks", async () => response(new ReadableStream({ pull: throwsIt }))],
    ["gives a body that never ends", async () => response(new ReadableStream({ pull: () => new Promise(() => {}) }))],
    [
      "gives a body that was read",
      async () => {
        const read = response("{}");
        await read.text();
        return read;
      },
    ],
    ["never settles", () => new Promise(() => {})],
  ])("that %s, twice: kept, and delivered afterwards", async (_name, bad) => {
    await using endpoint = await scriptedEndpoint();
    let calls = 0;
    const spoilt: typeof fetch = (...args) =>
      // What a host could give back against its type.
      calls++ < 2 ? (bad() as ReturnType<typeof fetch>) : fetch(...args);
    const { logger, log, expectTruth } = observed({ endpoint: endpoint.url, fetch: spoilt, timeoutMs: 300 });
    for (let i = 0; i < 10; i++) log();
    expect(await logger.flush()).toMatchObject({ delivered: 10, pending: 0, lost: 0 });
    expectTruth(storedIn(endpoint));
  });
});
