import { AsyncLocalStorage } from "node:async_hooks";
import { afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { openSpool } from "../src/delivery/spool/spool.ts";
import { TraceLoggerError } from "../src/errors.ts";
import type { TraceLoggerOptions } from "../src/options.ts";
import type { TraceLoss } from "../src/receipts.ts";
import { redactSecrets } from "../src/redact.ts";
import { deferTrace } from "../src/sink.ts";
import type { Trace } from "../src/trace.ts";
import { TraceLogger } from "../src/trace-logger.ts";
import { temporaryFolder } from "./delivery/spool/support.ts";
import { eventually, expectBalance, replies, said, scriptedEndpoint } from "./support.ts";

const open: TraceLogger[] = [];
function newLogger(options: TraceLoggerOptions): TraceLogger {
  const logger = new TraceLogger({ batch: { maxWaitMs: 5 }, ...options });
  open.push(logger);
  return logger;
}
afterEach(async () => {
  for (const logger of open.splice(0)) {
    await logger.close({ timeoutMs: 0 });
    expectBalance(logger.stats);
    expect(logger.stats.pending).toBe(0);
  }
});

describe("logTrace", () => {
  test("delivers the trace, and hands over its id and the share page", async () => {
    await using endpoint = await scriptedEndpoint();
    const logger = newLogger({ endpoint: endpoint.url, apiKey: "k1", headers: { "x-team": "red" } });
    const receipt = await logger.logTrace(said("hi"));
    const [trace] = endpoint.stored;
    expect(receipt).toEqual({
      status: "delivered",
      id: trace?.id,
      url: `https://share.test/${trace?.id}.html`,
      leftOut: [],
    });
    expect(trace).toMatchObject({ ...said("hi"), object: "chat.trace", system_fingerprint: "olmo-2" });
    expect(endpoint.requests[0]?.headers).toMatchObject({
      "x-api-key": "k1",
      "x-team": "red",
      "content-type": "application/json",
    });
    expect(endpoint.requests[0]?.headers).not.toHaveProperty("authorization");
  });

  test("takes a copy: what is changed after the call is not sent", async () => {
    await using endpoint = await scriptedEndpoint();
    const logger = newLogger({ endpoint: endpoint.url });
    const input = said("before");
    const receipt = logger.logTrace(input);
    for (const message of input.messages) message.content = "after";
    await receipt;
    expect(endpoint.stored[0]?.messages[0]?.content).toBe("before");
  });

  test("sends a batch when it is full, without waiting for its time", async () => {
    await using endpoint = await scriptedEndpoint();
    const logger = newLogger({ endpoint: endpoint.url, batch: { maxTraces: 3, maxWaitMs: 3_600_000 } });
    const three = ["a", "b", "c"].map((text) => logger.logTrace(said(text)));
    void logger.logTrace(said("d"));
    await Promise.all(three);
    expect(endpoint.stored).toHaveLength(3);
    expect(logger.stats.pending).toBe(1);
    const report = await logger.flush();
    expect(report).toMatchObject({ delivered: 1, pending: 0, lost: 0, lastError: null });
  });

  test("sends a batch by its bytes, counted as UTF-8", async () => {
    await using endpoint = await scriptedEndpoint();
    const logger = newLogger({ endpoint: endpoint.url, batch: { maxBytes: 3_000, maxWaitMs: 3_600_000 } });
    await logger.logTrace(said("é".repeat(1_500)));
    expect(endpoint.stored).toHaveLength(1);
  });

  test("runs outside the caller's async context", async () => {
    await using endpoint = await scriptedEndpoint();
    const storage = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    const logger = newLogger({
      endpoint: endpoint.url,
      fetch: (...args) => {
        seen.push(storage.getStore());
        return fetch(...args);
      },
    });
    await storage.run("a user's request", () => logger.logTrace(said("hi")));
    expect(seen).toEqual([undefined]);
  });
});

describe("bad input is a receipt with a reason, never an exception", () => {
  const cyclic: Record<string, unknown> = {};
  cyclic["self"] = cyclic;
  const thrower = Object.defineProperty({}, "model", {
    enumerable: true,
    get: () => {
      throw new Error("boom");
    },
  });
  const revoked = Proxy.revocable({}, {});
  revoked.revoke();
  const cases: [string, unknown, string][] = [
    ["null", null, "invalid"],
    ["undefined", undefined, "invalid"],
    ["a string", "hi", "invalid"],
    ["a function", () => {}, "invalid"],
    ["wrong types", { model: 1, messages: {} }, "invalid"],
    ["a cyclic object", said("x", { usage: cyclic }), "invalid"],
    ["a BigInt", said("x", { usage: { tokens: 1n } }), "invalid"],
    ["a BigInt in choices", said("x", { choices: [{ index: 0n }] }), "invalid"],
    ["a getter that throws", thrower, "invalid"],
    [
      "a toJSON that throws",
      said("x", {
        usage: {
          a: {
            toJSON: () => {
              throw new Error("boom");
            },
          },
        },
      }),
      "invalid",
    ],
    ["a revoked proxy", revoked.proxy, "invalid"],
    ["a symbol", Symbol("x"), "invalid"],
    ["12 MB of text", said("x".repeat(12_000_000)), "too_large"],
  ];
  test.each(cases)("%s", async (_name, input, reason) => {
    await using endpoint = await scriptedEndpoint();
    const losses: TraceLoss[] = [];
    const logger = newLogger({ endpoint: endpoint.url, onLoss: (loss) => losses.push(loss) });
    // @ts-expect-error the point of the test
    const receipt = await logger.logTrace(input);
    expect(receipt).toMatchObject({ status: "lost", reason, error: expect.any(TraceLoggerError) });
    expect(losses).toMatchObject([{ reason }]);
    expect(logger.stats.lost).toMatchObject({ [reason]: 1 });
    expect(endpoint.requests).toHaveLength(0);
  });

  test("a lone surrogate is delivered as U+FFFD, and what looks like its escape stays as it was", async () => {
    await using endpoint = await scriptedEndpoint();
    const logger = newLogger({ endpoint: endpoint.url });
    const texts = [
      "a\ud83d b",
      "\ud83d\ud83d",
      "literal \\ud83d",
      "back\\\\\ud83d",
      "pair 😀",
      "\udc00x",
      "\\\ud800\\ud800",
    ];
    for (const text of texts) await logger.logTrace(said(text));
    expect(endpoint.stored.map(({ messages }) => messages[0]?.content)).toEqual(
      texts.map((text) => text.toWellFormed()),
    );
  });

  test("onLoss gets the trace itself, so that it can be saved", async () => {
    await using endpoint = await scriptedEndpoint(() => replies.failed("ValueError: no"));
    const losses: TraceLoss[] = [];
    const logger = newLogger({ endpoint: endpoint.url, onLoss: (loss) => losses.push(loss) });
    const receipt = await logger.logTrace(said("keep me", { id: "t1" }));
    expect(receipt).toMatchObject({ status: "lost", reason: "rejected", id: "t1" });
    expect(losses).toMatchObject([{ id: "t1", reason: "rejected", trace: said("keep me", { id: "t1" }) }]);
  });
});

describe("trouble loses nothing", () => {
  const troubles: [string, Parameters<typeof scriptedEndpoint>[0] & {}][] = [
    ["a wrong API key", () => replies.wrongKey],
    ["429", () => replies.tooMany],
    ["503", () => replies.unavailable],
    ["a reset connection", () => "reset"],
    ["200 with statusCode 500", () => replies.failed("ClientError: SlowDown")],
    ["a crashed function", () => replies.crashed],
    ["a captive portal", () => replies.captivePortal],
    ["a redirect", () => replies.redirect],
  ];
  test.concurrent.each(troubles)("%s, and then all is well", async (_name, trouble) => {
    await using endpoint = await scriptedEndpoint((trace, count) => (count <= 2 ? trouble(trace, count) : undefined));
    const events: string[] = [];
    await using logger = new TraceLogger({ endpoint: endpoint.url, onEvent: ({ type }) => events.push(type) });
    const receipts = await Promise.all(Array.from({ length: 20 }, (_, i) => logger.logTrace(said(`t${i}`))));
    expect(receipts.every(({ status }) => status === "delivered")).toBe(true);
    expect(new Set(endpoint.stored.map(({ id }) => id)).size).toBe(20);
    expect(endpoint.stored).toHaveLength(20);
    expect(events.at(-1)).toBe("recovered");
    expectBalance(logger.stats);
  });

  test("a server that never answers is given up after timeoutMs, and the trace is sent again", async () => {
    await using endpoint = await scriptedEndpoint((_trace, count) => (count === 1 ? "hang" : undefined));
    const logger = newLogger({ endpoint: endpoint.url, timeoutMs: 50 });
    expect(await logger.logTrace(said("x"))).toMatchObject({ status: "delivered" });
    expect(endpoint.requests).toHaveLength(2);
  });

  test("a trace older than maxAgeMs is given up", async () => {
    await using endpoint = await scriptedEndpoint(() => replies.unavailable);
    const logger = newLogger({ endpoint: endpoint.url, maxAgeMs: 20, onLoss: () => {} });
    expect(await logger.logTrace(said("x"))).toMatchObject({ status: "lost", reason: "expired" });
  });
});

describe("choices", () => {
  const choices = [
    { index: 0, message: { role: "assistant", content: "first" }, finish_reason: "stop" },
    { index: 1, message: { role: "assistant", content: "second" }, finish_reason: "stop" },
  ];
  const wantsList = (trace: { choices?: unknown }) =>
    trace.choices !== undefined && !Array.isArray(trace.choices)
      ? replies.failed("AssertionError: Choices must be a list")
      : undefined;
  const wantsObject = (trace: { choices?: unknown }) =>
    Array.isArray(trace.choices) ? replies.invalidBody : undefined;
  const wantsNone = (trace: { choices?: unknown }) => wantsObject(trace) ?? wantsList(trace);

  test.each([
    ["an object", wantsObject, { "0": choices[0], "1": choices[1] }, 1, 0],
    ["a list", wantsList, choices, 2, 0],
    ["none", wantsNone, undefined, 3, 2],
  ])("an endpoint that wants %s gets it, and is asked only once", async (_name, reply, expected, requests, leftOut) => {
    await using endpoint = await scriptedEndpoint(reply);
    const logger = newLogger({ endpoint: endpoint.url });
    const first = await logger.logTrace(said("q", { choices }));
    expect(first).toMatchObject({ status: "delivered", leftOut: leftOut ? ["choices"] : [] });
    expect(endpoint.requests).toHaveLength(requests);
    await logger.logTrace(said("q", { choices }));
    expect(endpoint.requests).toHaveLength(requests + 1);
    for (const trace of endpoint.stored) {
      expect(trace.choices).toEqual(expected);
      if (leftOut) for (const text of ["first", "second"]) expect(JSON.stringify(trace.messages)).toContain(text);
    }
    expect(logger.stats).toMatchObject({ choicesLeftOut: leftOut, delivered: 2, requests: requests + 1 });
  });

  test("trouble in the middle of finding out does not start it over", async () => {
    const script = [replies.invalidBody, replies.unavailable, undefined];
    await using endpoint = await scriptedEndpoint((_trace, count) => script[count - 1]);
    const logger = newLogger({ endpoint: endpoint.url });
    expect(await logger.logTrace(said("q", { choices }))).toMatchObject({ status: "delivered", leftOut: [] });
    expect(endpoint.requests.map(({ trace }) => Array.isArray(trace.choices))).toEqual([false, true, true]);
  });

  test("a trace that is refused in every form is lost, once", async () => {
    await using endpoint = await scriptedEndpoint(() => replies.invalidBody);
    const logger = newLogger({ endpoint: endpoint.url, onLoss: () => {} });
    expect(await logger.logTrace(said("q", { choices }))).toMatchObject({ status: "lost", reason: "rejected" });
    expect(endpoint.requests).toHaveLength(3);
  });
});

describe("the queue is bounded", () => {
  test.each([
    ["reject-newest", ["t0", "t1", "t2"], ["t3", "t4"]],
    ["drop-oldest", ["t2", "t3", "t4"], ["t0", "t1"]],
  ] as const)("%s", async (overflow, kept, dropped) => {
    await using endpoint = await scriptedEndpoint();
    const losses: (string | null)[] = [];
    const logger = newLogger({
      endpoint: endpoint.url,
      batch: { maxWaitMs: 3_600_000 },
      queue: { maxTraces: 3, overflow },
      onLoss: ({ id }) => losses.push(id),
    });
    for (let i = 0; i < 5; i++) void logger.logTrace(said("x", { id: `t${i}` }));
    await logger.flush();
    expect(endpoint.stored.map(({ id }) => id).sort()).toEqual(kept);
    expect(losses).toEqual(dropped);
    expect(logger.stats.lost.queue_full).toBe(2);
  });

  test("in bytes, traces in flight included", async () => {
    await using endpoint = await scriptedEndpoint(() => "hang");
    const logger = newLogger({ endpoint: endpoint.url, queue: { maxBytes: 2_500 }, onLoss: () => {} });
    void logger.logTrace(said("x".repeat(1_000)));
    await eventually(() => expect(endpoint.requests).toHaveLength(1));
    void logger.logTrace(said("x".repeat(1_000)));
    expect(await logger.logTrace(said("x".repeat(1_000)))).toMatchObject({ status: "lost", reason: "queue_full" });
    expect(logger.stats.pendingBytes).toBeLessThanOrEqual(2_500);
  });

  test("ready() resolves when there is room again", async () => {
    let release = false;
    await using endpoint = await scriptedEndpoint(() => (release ? undefined : replies.unavailable));
    const logger = newLogger({ endpoint: endpoint.url, queue: { maxTraces: 4 }, onLoss: () => {} });
    await logger.ready();
    for (let i = 0; i < 4; i++) void logger.logTrace(said("x"));
    let isReady = false;
    const ready = logger.ready().then(() => {
      isReady = true;
    });
    await eventually(() => expect(endpoint.requests.length).toBeGreaterThan(0));
    expect(isReady).toBe(false);
    release = true;
    await ready;
    expect(logger.stats.pending).toBeLessThan(4);
  });
});

describe("flush", () => {
  test("needs no timers of a test that has stopped them", async () => {
    await using endpoint = await scriptedEndpoint();
    const logger = newLogger({ endpoint: endpoint.url });
    onTestFinished(() => void vi.useRealTimers());
    vi.useFakeTimers();
    void logger.logTrace(said("x"));
    expect(await logger.flush()).toMatchObject({ delivered: 1, pending: 0 });
    void logger.logTrace(said("y"));
    expect(await logger.close()).toMatchObject({ delivered: 1, pending: 0 });
  });

  test("waits for what was accepted before it, not for what comes after", async () => {
    await using endpoint = await scriptedEndpoint((trace) => (trace.id === "late" ? "hang" : undefined));
    const logger = newLogger({ endpoint: endpoint.url, onLoss: () => {} });
    void logger.logTrace(said("x", { id: "early" }));
    const flushed = logger.flush();
    await Promise.resolve();
    void logger.logTrace(said("x", { id: "late" }));
    expect(await flushed).toEqual({ delivered: 1, pending: 0, spooled: 0, lost: 0, lastError: null });
    expect(logger.stats.pending).toBe(1);
  });

  test("overlapping calls each get their own report", async () => {
    await using endpoint = await scriptedEndpoint();
    const logger = newLogger({ endpoint: endpoint.url });
    void logger.logTrace(said("a"));
    const first = logger.flush();
    await Promise.resolve();
    void logger.logTrace(said("b"));
    const second = logger.flush();
    expect([(await first).delivered, (await second).delivered]).toEqual([1, 2]);
  });

  test("says honestly what it could not do", async () => {
    await using endpoint = await scriptedEndpoint(() => replies.unavailable);
    const logger = newLogger({ endpoint: endpoint.url, onLoss: () => {} });
    void logger.logTrace(said("x"));
    const report = await logger.flush({ timeoutMs: 100 });
    expect(report).toMatchObject({ delivered: 0, pending: 1, lost: 0, lastError: { code: "server", status: 503 } });
  });

  test.each([Number.POSITIVE_INFINITY, 2 ** 31])("for as long as %d ms, if need be", async (timeoutMs) => {
    await using endpoint = await scriptedEndpoint((_trace, count) => (count === 1 ? replies.unavailable : undefined));
    const logger = newLogger({ endpoint: endpoint.url, timeoutMs: 2 ** 31 });
    void logger.logTrace(said("later"));
    expect(await logger.flush({ timeoutMs })).toMatchObject({ delivered: 1, pending: 0 });
  });

  test.each([-1, Number.NaN])("not at all for %d ms, and without a word", async (timeoutMs) => {
    const warnings: unknown[] = [];
    const onWarning = (warning: unknown) => void warnings.push(warning);
    process.on("warning", onWarning);
    onTestFinished(() => void process.off("warning", onWarning));
    await using endpoint = await scriptedEndpoint(() => "hang");
    const logger = newLogger({ endpoint: endpoint.url });
    void logger.logTrace(said("later"));
    expect(await logger.flush({ timeoutMs })).toMatchObject({ delivered: 0, pending: 1 });
    expect(warnings).toEqual([]);
  });

  test("waits for calls that have ended but whose traces are still being built", async () => {
    await using endpoint = await scriptedEndpoint();
    const logger = newLogger({ endpoint: endpoint.url });
    logger[deferTrace](async () => {
      await Promise.resolve();
      void logger.logTrace(said("built later"));
    });
    expect(await logger.flush()).toMatchObject({ delivered: 1 });
  });
});

describe("close", () => {
  test("leaves room for `ready`, also where requests were under way", async () => {
    await using endpoint = await scriptedEndpoint(() => "hang");
    const logger = newLogger({ endpoint: endpoint.url, queue: { maxTraces: 1 }, onLoss: () => {} });
    void logger.logTrace(said("x".repeat(1_000)));
    const small = newLogger({ endpoint: endpoint.url, queue: { maxBytes: 1_300 }, onLoss: () => {} });
    void small.logTrace(said("x".repeat(1_000)));
    await eventually(() => expect(endpoint.requests).toHaveLength(2));
    for (const each of [logger, small]) {
      each.leave();
      await each.ready();
    }
  });

  test.each([
    ["no answer", "reset" as const],
    ["trouble", replies.unavailable],
  ])("errors of what is lost after %s do not say that it is kept", async (_, reply) => {
    await using endpoint = await scriptedEndpoint(() => reply);
    const logger = newLogger({ endpoint: endpoint.url });
    const receipt = logger.logTrace(said("x"));
    await eventually(async () => expect((await logger.flush({ timeoutMs: 0 })).lastError).toBeInstanceOf(Error));
    const { lastError } = await logger.close({ timeoutMs: 0 });
    const { error } = (await receipt) as { error?: Error };
    expect(error?.message).toContain("close()");
    expect(lastError?.message).toMatch(/^The endpoint /);
    expect(`${error?.message} ${error?.cause} ${lastError?.message}`).not.toMatch(/kept|sent again/);
  });

  test("delivers the rest, and what is logged afterwards is lost as closed", async () => {
    await using endpoint = await scriptedEndpoint();
    const logger = newLogger({ endpoint: endpoint.url, onLoss: () => {} });
    void logger.logTrace(said("x"));
    const [first, second] = await Promise.all([logger.close(), logger.close()]);
    expect(first).toMatchObject({ delivered: 1, pending: 0, lost: 0 });
    expect(second).toBe(first);
    expect(await logger.logTrace(said("y"))).toMatchObject({ status: "lost", reason: "closed" });
  });

  test("a call that ends afterwards is reported lost at once: the process may end before any timer", async () => {
    await using endpoint = await scriptedEndpoint();
    const losses: TraceLoss[] = [];
    const logger = newLogger({ endpoint: endpoint.url, onLoss: (loss) => losses.push(loss) });
    await logger.close();
    logger[deferTrace](() => void logger.logTrace(said("x")));
    expect(losses).toMatchObject([{ reason: "closed" }]);
  });

  test("ends the work at its deadline, and reports every undelivered trace lost", async () => {
    await using endpoint = await scriptedEndpoint(() => "hang");
    const losses: TraceLoss[] = [];
    const logger = newLogger({ endpoint: endpoint.url, onLoss: (loss) => losses.push(loss) });
    const receipts = [1, 2, 3, 4].map((i) => logger.logTrace(said(`${i}`)));
    await eventually(() => expect(endpoint.requests).toHaveLength(2));
    expect(await logger.close({ timeoutMs: 50 })).toMatchObject({ delivered: 0, pending: 0, lost: 4 });
    expect(
      (await Promise.all(receipts)).every((receipt) => receipt.status === "lost" && receipt.reason === "closed"),
    ).toBe(true);
    expect(losses).toHaveLength(4);
  });

  test("asks once more at once, though the gate would wait longer", async () => {
    await using endpoint = await scriptedEndpoint(() => ({ ...replies.tooMany, headers: { "retry-after": "300" } }));
    const logger = newLogger({ endpoint: endpoint.url });
    void logger.logTrace(said("x"));
    await eventually(() => expect(logger.stats.gate).toBe("backing_off"));
    endpoint.reply = () => undefined;
    expect(await logger.close()).toMatchObject({ delivered: 1, lost: 0 });
  });

  test("does not wait for an asynchronous redact for ever", async () => {
    await using endpoint = await scriptedEndpoint();
    const logger = newLogger({ endpoint: endpoint.url, redact: () => new Promise(() => {}), onLoss: () => {} });
    const receipt = logger.logTrace(said("x"));
    expect(await logger.close({ timeoutMs: 20 })).toMatchObject({ pending: 0, lost: 1 });
    expect(await receipt).toMatchObject({ status: "lost", reason: "closed" });
  });

  test("await using closes", async () => {
    await using endpoint = await scriptedEndpoint();
    {
      await using logger = new TraceLogger({ endpoint: endpoint.url });
      void logger.logTrace(said("x"));
    }
    expect(endpoint.stored).toHaveLength(1);
  });
});

describe("redact", () => {
  const hide = (text: string) => text.replace("secret", "[hidden]");
  test.each([
    ["at once", (trace: never) => trace],
    ["later", async (trace: never) => trace],
  ])("changes what leaves, %s", async (_name, wrap) => {
    await using endpoint = await scriptedEndpoint();
    const logger = newLogger({
      endpoint: endpoint.url,
      redact: (trace) =>
        wrap({
          ...trace,
          messages: trace.messages.map(({ role, content }) => ({ role, content: hide(content) })),
        } as never),
    });
    await logger.logTrace(said("my secret"));
    expect(endpoint.stored[0]?.messages[0]?.content).toBe("my [hidden]");
  });

  test.each([
    [
      "throws",
      () => {
        throw new Error("boom");
      },
    ],
    ["rejects", () => Promise.reject(new Error("boom"))],
    ["gives back nothing", () => undefined],
    ["gives back no trace", () => ({ messages: [] })],
  ])("fails closed when it %s: nothing is sent", async (_name, redact) => {
    await using endpoint = await scriptedEndpoint();
    // @ts-expect-error the point of the test
    const logger = newLogger({ endpoint: endpoint.url, redact, onLoss: () => {} });
    expect(await logger.logTrace(said("my secret"))).toMatchObject({ status: "lost", reason: "redact_failed" });
    expect(endpoint.requests).toHaveLength(0);
  });

  test("is shown what will be written: nothing leaves by a toJSON that it did not see", async () => {
    await using endpoint = await scriptedEndpoint();
    const logger = newLogger({ endpoint: endpoint.url, redact: redactSecrets() });
    const choices = [{ index: 0, source: new URL("https://bob:my-secret@example.com/") }];
    const usage = { n: 1, toJSON: () => ({ password: "my-secret" }) };
    expect(await logger.logTrace({ ...said("x"), choices, usage })).toMatchObject({ status: "delivered" });
    expect(JSON.stringify(endpoint.stored)).toContain("[REDACTED:secret]");
    expect(JSON.stringify(endpoint.stored)).not.toContain("my-secret");
  });

  test("has a copy of its own: the caller's objects stay, and what becomes of them later is not sent", async () => {
    await using endpoint = await scriptedEndpoint();
    const redact = async (trace: Trace) => {
      await Promise.resolve();
      return { ...trace, usage: Object.assign(trace.usage ?? {}, { by: "redact" }) };
    };
    const logger = newLogger({ endpoint: endpoint.url, redact });
    const input = { ...said("x"), choices: [{ message: { content: "first" } }], usage: { total_tokens: 1 } };
    const receipt = logger.logTrace(input);
    for (const { message } of input.choices) message.content = "second";
    await receipt;
    expect(endpoint.stored[0]).toMatchObject({ choices: { 0: { message: { content: "first" } } } });
    expect(input.usage).toEqual({ total_tokens: 1 });
  });

  test("is not asked about what cannot be written", async () => {
    const redact = vi.fn((trace: Trace) => trace);
    const logger = newLogger({ endpoint: "http://127.0.0.1:9", redact, onLoss: () => {} });
    const receipt = await logger.logTrace({ ...said("x"), usage: { total_tokens: 1n } });
    expect(receipt).toMatchObject({ status: "lost", reason: "invalid" });
    expect(redact).not.toHaveBeenCalled();
  });
});

describe("switched off", () => {
  test("enabled: false skips every call", async () => {
    const logger = newLogger({ enabled: false, endpoint: "http://127.0.0.1:9" });
    expect(await logger.logTrace(said("x"))).toEqual({ status: "skipped", reason: "disabled" });
    expect(logger.stats).toMatchObject({ accepted: 0, skipped: 1 });
  });

  test("enabled: false leaves the spool alone, and what others have left in it", () => {
    const openDisk = vi.fn(openSpool);
    newLogger({ enabled: false, endpoint: "http://127.0.0.1:9", spool: { dir: temporaryFolder(), open: openDisk } });
    expect(openDisk).not.toHaveBeenCalled();
  });

  test("sampleRate skips its share", async () => {
    await using endpoint = await scriptedEndpoint();
    const logger = newLogger({ endpoint: endpoint.url, sampleRate: 0.25 });
    const random = vi.spyOn(Math, "random");
    random.mockReturnValueOnce(0.2);
    expect(await logger.logTrace(said("x"))).toMatchObject({ status: "delivered" });
    random.mockReturnValueOnce(0.3);
    expect(await logger.logTrace(said("x"))).toEqual({ status: "skipped", reason: "sampled_out" });
  });

  test("sampleRate takes all traces of a key or none, in every logger alike, and more with a higher rate", async () => {
    await using endpoint = await scriptedEndpoint();
    const keys = Array.from({ length: 400 }, (_, i) => `conversation-${i}`);
    const takenAt = async (sampleRate: number) => {
      const logger = newLogger({ endpoint: endpoint.url, sampleRate });
      const twice = [...keys, ...keys].map(async (sampleKey) => {
        const { status } = await logger.logTrace(said("x"), { sampleKey });
        return status === "delivered" ? sampleKey : "";
      });
      const taken = (await Promise.all(twice)).filter(Boolean);
      expect(taken.slice(taken.length / 2)).toEqual(taken.slice(0, taken.length / 2));
      return new Set(taken);
    };
    const [quarter, again, half] = [await takenAt(0.25), await takenAt(0.25), await takenAt(0.5)];
    expect(again).toEqual(quarter);
    expect([...quarter].filter((key) => !half.has(key))).toEqual([]);
    expect(quarter.size).toBeGreaterThan(60);
    expect(quarter.size).toBeLessThan(140);
    expect(half.size).toBeGreaterThan(150);
    expect(half.size).toBeLessThan(250);
  });

  test.each([null, Object.create(null), {}])(
    "a sampleKey that is none (%#) leaves each trace by itself, and throws nothing",
    async (sampleKey) => {
      const logger = newLogger({ endpoint: "http://127.0.0.1:9", sampleRate: 0.5 });
      const random = vi.spyOn(Math, "random").mockReturnValueOnce(0.6);
      expect(await logger.logTrace(said("x"), { sampleKey })).toEqual({ status: "skipped", reason: "sampled_out" });
      expect(random).toHaveBeenCalled();
    },
  );
});

describe("callbacks of the host", () => {
  test.each([
    [
      "throw",
      () => {
        throw new Error("boom");
      },
    ],
    ["reject", () => Promise.reject(new Error("boom"))],
  ])("that %s change nothing", async (_name, callback) => {
    await using endpoint = await scriptedEndpoint((_trace, count) => (count === 1 ? replies.unavailable : undefined));
    const logger = newLogger({ endpoint: endpoint.url, onLoss: callback, onEvent: callback });
    // @ts-expect-error the point of the test
    expect(await logger.logTrace(null)).toMatchObject({ status: "lost" });
    expect(await logger.logTrace(said("x"))).toMatchObject({ status: "delivered" });
  });

  test("that log traces themselves are served", async () => {
    await using endpoint = await scriptedEndpoint((trace) => (trace.id === "bad" ? replies.invalidBody : undefined));
    const logger: TraceLogger = newLogger({
      endpoint: endpoint.url,
      onLoss: () => void logger.logTrace(said("about the loss", { id: "again" })),
    });
    await logger.logTrace(said("x", { id: "bad" }));
    await logger.flush();
    expect(endpoint.stored.map(({ id }) => id)).toEqual(["again"]);
  });

  test("are not needed: where a wrong key is told, what is lost of it in the end is told, too", async () => {
    await using endpoint = await scriptedEndpoint(() => replies.wrongKey);
    const print = vi.spyOn(console, "error").mockImplementation(() => {});
    const logger = new TraceLogger({ endpoint: endpoint.url });
    for (let i = 0; i < 3; i++) void logger.logTrace(said(`secret ${i}`));
    await logger.flush({ timeoutMs: 200 });
    await logger.close({ timeoutMs: 0 });
    expect(print.mock.calls.map(([line]) => line)).toEqual([
      expect.stringMatching(/refuses the API key.*Traces are kept\.$/),
      expect.stringContaining("a trace was lost (closed)"),
    ]);
    print.mockRestore();
  });

  test("are not needed: the first loss is one line on stderr, without what was said", async () => {
    await using endpoint = await scriptedEndpoint(() => replies.invalidBody);
    const print = vi.spyOn(console, "error").mockImplementation(() => {});
    const logger = newLogger({ endpoint: endpoint.url });
    await logger.logTrace(said("my secret"));
    await logger.logTrace(said("my secret"));
    expect(print).toHaveBeenCalledTimes(1);
    expect(print.mock.calls[0]?.[0]).toMatch(/^\[tracelogger\] a trace was lost \(rejected\)/);
    expect(print.mock.calls[0]?.[0]).not.toContain("secret");
  });
});
