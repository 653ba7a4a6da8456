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
    expect(roundTrip(openGate(8), "throttled", { retryAfterMs: 10 }).reopenAtMs).toBe(100);
  });

  test("a 429 costs a short pause, while the pace falls; only when the next request is refused too, waits grow", () => {
    let state = roundTrip(openGate(8), "passed");
    const waits: number[] = [];
    for (let i = 0; i < 4; i++) {
      state = roundTrip(state, "throttled");
      waits.push(state.reopenAtMs);
    }
    expect(waits).toEqual([100, 2_000, 4_000, 8_000]);
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

/** Does a server take a request that comes at this time? */
type Server = (nowMs: number) => boolean;

function tokenBucket(rateAt: (nowMs: number) => number, burst: number): Server {
  let tokens = burst;
  let lastMs = 0;
  return (nowMs) => {
    tokens = Math.min(burst, tokens + (rateAt(nowMs) * (nowMs - lastMs)) / 1000);
    lastMs = nowMs;
    if (tokens < 1) return false;
    tokens--;
    return true;
  };
}

function fixedWindows(limit: number, lengthMs: number, offsetMs: number): Server {
  let current = -1;
  let used = 0;
  return (nowMs) => {
    const window = Math.floor((nowMs + offsetMs) / lengthMs);
    if (window !== current) used = 0;
    current = window;
    return used++ < limit;
  };
}

interface Simulation {
  readonly server: Server;
  readonly latencyMs: number;
  readonly seconds: number;
  /** Count from here on. */
  readonly fromSecond?: number;
  readonly random?: number;
}

/** Always more traces than the server takes, sent through the gate on a virtual clock that ticks like a timer, in milliseconds. */
function simulate({ server, latencyMs, seconds, fromSecond = 0, random = 0.5 }: Simulation) {
  let state = openGate(10);
  let delivered = 0;
  let refused = 0;
  let flying: { atMs: number; ok: boolean; epoch: number }[] = [];
  for (let nowMs = 0; nowMs < seconds * 1000; nowMs++) {
    if (nowMs === fromSecond * 1000) delivered = refused = 0;
    for (const { ok, epoch } of flying.filter(({ atMs }) => atMs <= nowMs)) {
      ok ? delivered++ : refused++;
      state = answered(state, { kind: ok ? "passed" : "throttled", epoch, retryAfterMs: 0, nowMs, random });
    }
    flying = flying.filter(({ atMs }) => atMs > nowMs);
    while (startsAtMs(state) <= nowMs) {
      state = started(state, nowMs);
      flying.push({ atMs: nowMs + latencyMs, ok: server(nowMs), epoch: state.epoch });
    }
  }
  return { perSecond: delivered / (seconds - fromSecond), refused: refused / (delivered + refused) };
}

describe("a server that allows so many requests a second", () => {
  test.each([
    [50, 10, 5],
    [50, 10, 100],
    [50, 1, 5],
    [50, 500, 5],
    [10, 5, 20],
    [5, 10, 20],
    [200, 50, 30],
    [500, 100, 5],
    [500, 5_000, 5],
  ])(
    "%i/s with bursts of %i, %i ms a request: at least 90 %% of the rate, under 3 %% refused",
    (rate, burst, latencyMs) => {
      const result = simulate({ server: tokenBucket(() => rate, burst), latencyMs, seconds: 120 });
      expect(result.perSecond / rate).toBeGreaterThan(0.9);
      expect(result.refused).toBeLessThan(0.03);
    },
  );

  test("whatever the rate, the burst and the latency: at least 80 % of it, under 5 % refused", () => {
    const servers = fc.record({
      rate: fc.integer({ min: 10, max: 500 }),
      burstSeconds: fc.double({ min: 0.2, max: 10, noNaN: true }),
      latencyMs: fc.integer({ min: 1, max: 200 }),
      random: fc.double({ min: 0, max: 0.99, noNaN: true }),
    });
    fc.assert(
      fc.property(servers, ({ rate, burstSeconds, latencyMs, random }) => {
        const burst = Math.max(2, Math.round(rate * burstSeconds));
        const result = simulate({ server: tokenBucket(() => rate, burst), latencyMs, seconds: 120, random });
        const possible = Math.min(rate, 10_000 / latencyMs); // ten in flight
        expect(result.perSecond / possible).toBeGreaterThan(0.8);
        expect(result.refused).toBeLessThan(0.05);
      }),
      { numRuns: 60 },
    );
  });

  test.each([
    [50, 1],
    [5, 1],
    [500, 1],
    [500, 10],
    [3_000, 60],
  ])("counted in windows, %i in %i s: at least 80 %% of them, under 5 %% refused", (limit, windowSeconds) => {
    const server = fixedWindows(limit, windowSeconds * 1000, 333);
    const result = simulate({ server, latencyMs: 20, seconds: 180 });
    expect((result.perSecond / limit) * windowSeconds).toBeGreaterThan(0.8);
    expect(result.refused).toBeLessThan(0.05);
  });

  test.each([
    [50, 200],
    [20, 500],
    [200, 20],
    [500, 5],
  ])("that changes from %i/s to %i/s: found again within a minute", (before, after) => {
    const server = tokenBucket((nowMs) => (nowMs < 60_000 ? before : after), 20);
    const result = simulate({ server, latencyMs: 10, seconds: 180, fromSecond: 120 });
    expect(result.perSecond / after).toBeGreaterThan(0.85);
    expect(result.refused).toBeLessThan(0.05);
  });

  test("and then is down for a minute: the pace is not to blame, and is what it was", () => {
    const bucket = tokenBucket(() => 50, 10);
    const isUp: Server = (nowMs) => (nowMs < 60_000 || nowMs > 120_000) && bucket(nowMs);
    const result = simulate({ server: isUp, latencyMs: 10, seconds: 240, fromSecond: 180 });
    expect(result.perSecond / 50).toBeGreaterThan(0.9);
  });
});
