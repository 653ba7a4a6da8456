import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { monotonicMs } from "../../src/delivery/alarm.ts";
import type { Deliver, Delivery } from "../../src/delivery/deliver.ts";
import { Dispatcher } from "../../src/delivery/dispatcher.ts";
import type { QueuedTrace } from "../../src/delivery/queue.ts";
import { DeliveryError, TraceRejectedError } from "../../src/errors.ts";

const delivered: Delivery = { verdict: { kind: "delivered", url: null }, form: "absent" };
const retry: Delivery = {
  verdict: { kind: "retry", retryAfterMs: 0, error: new DeliveryError("x", { code: "server" }) },
  form: "absent",
};
const rejected: Delivery = {
  verdict: { kind: "rejected", tooLarge: false, error: new TraceRejectedError("x") },
  form: "absent",
};

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(1);
});
afterEach(() => {
  vi.useRealTimers();
});

/** A dispatcher over a `deliver` that answers by script, and a log of what happened in which millisecond. */
function setUp(answer: (trace: QueuedTrace) => Delivery | Promise<Delivery>, options = {}, whole?: () => Delivery[]) {
  const { maxAgeMs } = { maxAgeMs: 86_400_000, ...options };
  const startMs = monotonicMs();
  const log: string[] = [];
  const note = (what: string) => log.push(`${Math.round(monotonicMs() - startMs)} ${what}`);
  const deliver: Deliver = async (traces) => {
    if (whole) return whole();
    for (const { id } of traces) note(`send ${id}`);
    return Promise.all(traces.map(answer));
  };
  const dispatcher = new Dispatcher(
    {
      batch: { maxTraces: 100, maxBytes: 1_000_000, maxWaitMs: 200 },
      maxConcurrency: 10,
      maxAgeMs: 86_400_000,
      ...options,
    },
    {
      deliver,
      parcel: () => ({ maxTraces: 1, maxBytes: 1_000_000 }),
      onEvent: ({ type }) => note(type),
    },
  );
  const add = (id: string) =>
    dispatcher.add({
      id,
      json: "{}",
      bytes: 2,
      form: "absent",
      refused: [],
      expiresAtMs: monotonicMs() + maxAgeMs,
      failures: 0,
      deliveredAtFailure: -1,
      ticket: {
        ref: null,
        deliver: () => note(`delivered ${id}`),
        lose: ({ reason }) => note(`lost ${id} ${reason}`),
        spool: () => note(`spooled ${id}`),
      },
    });
  return { dispatcher, add, log };
}

test("a batch leaves maxWaitMs after its first trace", async () => {
  const { add, log } = setUp(() => delivered);
  add("a");
  await vi.advanceTimersByTimeAsync(150);
  add("b");
  expect(log).toEqual([]);
  await vi.advanceTimersByTimeAsync(50);
  expect(log).toEqual(["200 send a", "200 send b", "200 delivered a", "200 delivered b"]);
});

test("an outage costs few requests, and everything passes after it", async () => {
  let up = false;
  const { add, log } = setUp(() => (up ? delivered : retry));
  for (let i = 0; i < 200; i++) add(`t${i}`);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(log.filter((line) => line.includes("send")).length).toBeLessThanOrEqual(10);
  up = true;
  await vi.advanceTimersByTimeAsync(60_000);
  expect(log.filter((line) => line.includes("delivered"))).toHaveLength(200);
  expect(log.filter((line) => line.includes("recovered"))).toHaveLength(1);
});

test("a trace that fails 8 times while others pass is given up, and holds nobody up for long", async () => {
  const { add, log } = setUp(({ id }) => (id === "bad" ? retry : delivered));
  add("bad");
  for (let i = 0; i < 100; i++) {
    add(`good${i}`);
    await vi.advanceTimersByTimeAsync(1_000);
  }
  expect(log.filter((line) => line.includes("lost"))).toEqual([expect.stringMatching(/lost bad poison/)]);
  expect(log.filter((line) => line.includes("delivered good"))).toHaveLength(100);
});

test("a trace that fails alone is kept: it may be the endpoint's fault", async () => {
  const { add, log, dispatcher } = setUp(() => retry);
  add("alone");
  await vi.advanceTimersByTimeAsync(3_600_000);
  expect(log.some((line) => line.includes("lost"))).toBe(false);
  expect(dispatcher.load.traces).toBe(1);
});

test("age is counted by a clock that does not jump", async () => {
  const { add, log } = setUp(() => retry, { maxAgeMs: 3_600_000 });
  add("a");
  await vi.advanceTimersByTimeAsync(1_000);
  vi.setSystemTime(Date.now() + 86_400_000);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(log.some((line) => line.includes("lost"))).toBe(false);
  await vi.advanceTimersByTimeAsync(3_600_000);
  expect(log.at(-1)).toMatch(/lost a expired/);
});

test("a refused trace is lost, and the gate stays open", async () => {
  const { add, log, dispatcher } = setUp(({ id }) => (id === "bad" ? rejected : delivered));
  for (const id of ["bad", "good"]) add(id);
  await vi.advanceTimersByTimeAsync(200);
  expect(log).toEqual(["200 send bad", "200 send good", "200 lost bad rejected", "200 delivered good"]);
  expect(dispatcher.phase).toBe("open");
});

describe("stop", () => {
  test("hands over what waits and what flies, once, and ignores answers that come later", async () => {
    // 1. two requests are in flight, one trace waits behind them
    const answers: ((delivery: Delivery) => void)[] = [];
    const { add, log, dispatcher } = setUp(() => new Promise((resolve) => answers.push(resolve)));
    for (const id of ["a", "b", "c"]) add(id);
    await vi.advanceTimersByTimeAsync(200);
    expect(answers).toHaveLength(2);
    // 2. stop: all three are handed over
    expect(dispatcher.stop().map(({ id }) => id)).toEqual(["a", "b", "c"]);
    // 3. the answers arrive too late to count
    for (const answer of answers) answer(delivered);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(log).toEqual(["200 send a", "200 send b"]);
    expect(dispatcher.load).toEqual({ traces: 0, bytes: 0 });
    expect(vi.getTimerCount()).toBe(0);
  });
});

test("a reply that is too short: what it does not answer for is sent again", async () => {
  let calls = 0;
  const { add, log } = setUp(
    () => delivered,
    {},
    () => (calls++ === 0 ? [] : [delivered]),
  );
  add("a");
  await vi.advanceTimersByTimeAsync(200);
  expect(log).toEqual(["200 delivered a"]);
  expect(calls).toBe(2);
});

describe("drive", () => {
  const never = new Promise<never>(() => {});

  test("what was begun for one whose request has ended is sent again for the next who waits", async () => {
    let isAnswered = false;
    const { dispatcher, add, log } = setUp(() => (isAnswered ? delivered : never));
    add("a");
    void dispatcher.drive(never);
    isAnswered = true;
    await vi.advanceTimersByTimeAsync(5_000);
    add("b");
    void dispatcher.drive(never);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(log).toEqual(["0 send a", "5000 send b", "5000 delivered b", "10000 send a", "10000 delivered a"]);
  });

  test("ends when what it has begun has come back, which may be another's trace", async () => {
    const answers: (() => void)[] = [];
    const { dispatcher, add, log } = setUp(() => new Promise((resolve) => answers.push(() => resolve(delivered))));
    add("a");
    const driven = dispatcher.drive(Promise.resolve()).then(() => log.push("ended"));
    await vi.advanceTimersByTimeAsync(1);
    expect(log).toEqual(["0 send a"]);
    answers[0]?.();
    await driven;
    expect(log).toEqual(["0 send a", "1 delivered a", "ended"]);
  });
});
