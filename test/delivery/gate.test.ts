import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  abandoned,
  answered,
  expedited,
  type GateAnswer,
  type GateState,
  openGate,
  started,
  startsAtMs,
} from "../../src/delivery/gate.ts";

const answer = (kind: GateAnswer["kind"], state: GateState, more: Partial<GateAnswer> = {}): GateAnswer => ({
  kind,
  epoch: state.epoch,
  retryAfterMs: 0,
  nowMs: 0,
  random: 1,
  ...more,
});
/** One request, start to answer. */
const roundTrip = (state: GateState, kind: GateAnswer["kind"], more: Partial<GateAnswer> = {}): GateState => {
  const flying = started(state, more.nowMs ?? 0);
  return answered(flying, answer(kind, flying, more));
};

describe("open", () => {
  test("starts with two requests in flight, and grows by one with every success up to the maximum", () => {
    let state = openGate(4);
    expect(Math.floor(state.limit)).toBe(2);
    for (let i = 0; i < 5; i++) state = roundTrip(state, "passed");
    expect(state.limit).toBe(4);
  });

  test("allows no more in flight than the limit", () => {
    let state = openGate(10);
    state = started(started(state, 0), 0);
    expect(startsAtMs(state)).toBe(Number.POSITIVE_INFINITY);
    state = answered(state, answer("passed", state));
    expect(startsAtMs(state)).toBe(0);
  });
});

describe("trouble", () => {
  test("closes the gate for twice as long each time, with jitter, up to a minute", () => {
    let state = openGate(8);
    const waits: number[] = [];
    for (let i = 0; i < 9; i++) {
      state = roundTrip(state, "retry");
      waits.push(state.reopenAtMs);
    }
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60].map((seconds) => seconds * 1000));
    expect(roundTrip(openGate(8), "retry", { random: 0 }).reopenAtMs).toBe(500);
  });

  test("lets exactly one probe through, and opens at its success", () => {
    let state = roundTrip(openGate(8), "retry");
    expect(startsAtMs(state)).toBe(1_000);
    state = started(state, 1_000);
    expect(startsAtMs(state)).toBe(Number.POSITIVE_INFINITY);
    state = answered(state, answer("passed", state, { nowMs: 1_001 }));
    expect(state).toMatchObject({ phase: "open", streak: 0, probing: false });
  });

  test("halves the concurrency, and lets it grow by one per round afterwards", () => {
    let state: GateState = { ...openGate(8), limit: 8 };
    state = roundTrip(state, "retry");
    expect(state.limit).toBe(4);
    state = roundTrip(state, "passed");
    expect(state.limit).toBe(4.25);
  });

  test("of ten requests that fail together counts once", () => {
    let state: GateState = { ...openGate(10), limit: 10 };
    for (let i = 0; i < 10; i++) state = started(state, 0);
    const { epoch } = state;
    for (let i = 0; i < 10; i++) state = answered(state, answer("retry", state, { epoch }));
    expect(state).toMatchObject({ streak: 1, inFlight: 0, limit: 5, reopenAtMs: 1_000 });
  });

  test("Retry-After is a floor", () => {
    expect(roundTrip(openGate(8), "throttled", { retryAfterMs: 30_000 }).reopenAtMs).toBe(30_000);
    expect(roundTrip(openGate(8), "throttled", { retryAfterMs: 10 }).reopenAtMs).toBe(1_000);
  });

  test("a used-up quota waits in minutes, up to fifteen", () => {
    let state = roundTrip(openGate(8), "quota");
    expect(state).toMatchObject({ phase: "quota", reopenAtMs: 60_000 });
    for (let i = 0; i < 9; i++) state = roundTrip(state, "quota");
    expect(state.reopenAtMs).toBe(15 * 60_000);
  });

  test("a wrong key holds, and is probed at most once a minute in the end", () => {
    let state = roundTrip(openGate(8), "held");
    expect(state).toMatchObject({ phase: "held", reopenAtMs: 1_000 });
    for (let i = 0; i < 9; i++) state = roundTrip(state, "held");
    expect(state.reopenAtMs).toBe(60_000);
  });

  test("a request that we gave up says nothing", () => {
    const state = roundTrip(openGate(8), "retry");
    expect(abandoned(started(state, 1_000))).toMatchObject({ phase: "backing_off", probing: false, inFlight: 0 });
  });

  test("a close may ask once more at once", () => {
    const state = roundTrip(openGate(8), "retry");
    expect(startsAtMs(expedited(state, 5))).toBe(5);
    expect(startsAtMs(expedited(openGate(8), 5))).toBe(0);
  });
});

describe("whatever happens", () => {
  const kinds = fc.constantFrom<GateAnswer["kind"]>("passed", "retry", "throttled", "quota", "held");
  const steps = fc.array(
    fc.record({
      kind: kinds,
      waitMs: fc.nat(5_000),
      start: fc.boolean(),
      pick: fc.nat(),
      random: fc.float({ min: 0, max: Math.fround(0.99), noNaN: true }),
    }),
    { maxLength: 200 },
  );

  test("requests in flight never exceed the maximum, a closed gate has one probe at most, and it always reopens", () => {
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 16 }), (script, max) => {
        let state = openGate(max);
        let nowMs = 0;
        const flying: number[] = [];
        for (const step of script) {
          nowMs += step.waitMs;
          if (step.start && startsAtMs(state) <= nowMs) {
            const closed = state.phase !== "open";
            state = started(state, nowMs);
            flying.push(state.epoch);
            if (closed) expect(startsAtMs(state)).toBe(Number.POSITIVE_INFINITY);
          } else if (flying.length > 0) {
            const [epoch = 0] = flying.splice(step.pick % flying.length, 1);
            state = answered(state, { kind: step.kind, epoch, retryAfterMs: 0, nowMs, random: step.random });
          }
          expect(state.inFlight).toBe(flying.length);
          expect(state.limit).toBeGreaterThanOrEqual(1);
          expect(state.limit).toBeLessThanOrEqual(max);
          if (state.phase === "open") expect(state.inFlight).toBeLessThanOrEqual(max);
          else expect(state.probing || state.reopenAtMs <= nowMs + 15 * 60_000).toBe(true);
          if (flying.length === 0) expect(startsAtMs(state)).toBeLessThan(Number.POSITIVE_INFINITY);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe("a server that allows so many requests a second, with bursts", () => {
  test.each([
    [50, 10, 5],
    [50, 10, 100],
    [10, 5, 20],
    [200, 50, 30],
  ])(
    "%i/s with bursts of %i, %i ms a request: at least 80 %% of the rate, under 5 %% refused",
    (rate, burst, latencyMs) => {
      const result = simulate({ rate, burst, latencyMs, traces: rate * 120 });
      expect(result.share).toBeGreaterThan(0.8);
      expect(result.refused).toBeLessThan(0.05);
    },
  );

  /** A token bucket, asked through the gate on a virtual clock that ticks like a timer, in milliseconds. */
  function simulate(server: { rate: number; burst: number; latencyMs: number; traces: number }) {
    let state = openGate(10);
    let tokens = server.burst;
    let delivered = 0;
    let refused = 0;
    let nowMs = 0;
    let flying: { atMs: number; ok: boolean; epoch: number }[] = [];
    for (; delivered < server.traces && nowMs < 3_600_000; nowMs++) {
      tokens = Math.min(server.burst, tokens + server.rate / 1000);
      for (const landing of flying.filter(({ atMs }) => atMs <= nowMs)) {
        landing.ok ? delivered++ : refused++;
        state = answered(state, {
          kind: landing.ok ? "passed" : "throttled",
          epoch: landing.epoch,
          retryAfterMs: 0,
          nowMs,
          random: 0.5,
        });
      }
      flying = flying.filter(({ atMs }) => atMs > nowMs);
      while (startsAtMs(state) <= nowMs) {
        state = started(state, nowMs);
        const ok = tokens >= 1;
        if (ok) tokens--;
        flying.push({ atMs: nowMs + server.latencyMs, ok, epoch: state.epoch });
      }
    }
    return { share: delivered / (nowMs / 1000) / server.rate, refused: refused / (delivered + refused) };
  }
});
