/**
 * How fast may requests start, once an endpoint has said "too many"? The gateway sends no Retry-After, so its rate has
 * to be found out, as CUBIC finds it out for TCP: on a 429 the pace falls a little below the rate that was passing,
 * comes back to it quickly, stays near it for long, and then tries more, faster and faster, until the next 429. Before
 * the first 429 there is no limit at all.
 *
 * Pure, like the gate.
 */
export interface Pace {
  /** Requests a second; `Infinity` until the first 429. */
  readonly perSecond: number;
  readonly nextStartMs: number;
  /** The rate that was passing when the last 429 came. */
  readonly passingPerSecond: number;
  /** How far the pace has come since: 1 when it is back at the rate that was passing. */
  readonly growth: number;
  /** Deliveries in this window and the one before it; none from before the last 429, or from before a lull. */
  readonly windows: readonly [before: Window, now: Window];
}

interface Window {
  readonly startMs: number;
  readonly delivered: number;
}

/** So far below the passing rate the pace falls, and so steeply it grows. */
const FALL = 0.15;
/** Back at the passing rate after so many seconds, or so many requests where they take longer: a 429 costs one of them. */
const RETURN = { seconds: 3, requests: 60 };
/** A rate is measured over one to two windows. A few requests would tell nothing. */
const WINDOW = { ms: 1_000, deliveries: 10 };
/** Timers are late by some milliseconds: a start that is late may be made up for, within these limits. */
const CATCH_UP = { starts: 4, ms: 20 };

/** Requests that could have started so long ago were not there: what passed before that is not what can pass. */
const LULL_MS = 2_000;

export const startPace: Pace = {
  perSecond: Number.POSITIVE_INFINITY,
  nextStartMs: Number.NEGATIVE_INFINITY,
  passingPerSecond: Number.POSITIVE_INFINITY,
  growth: 0,
  windows: windowsFrom(0),
};

function windowsFrom(startMs: number): Pace["windows"] {
  const window = { startMs, delivered: 0 };
  return [window, window];
}

export function withStart(pace: Pace, nowMs: number): Pace {
  const intervalMs = 1000 / pace.perSecond;
  const earliestMs = nowMs - Math.max(CATCH_UP.ms, CATCH_UP.starts * intervalMs);
  const windows = nowMs - pace.nextStartMs > LULL_MS ? windowsFrom(nowMs) : pace.windows;
  return { ...pace, windows, nextStartMs: Math.max(pace.nextStartMs, earliestMs) + intervalMs };
}

export function afterDelivery(pace: Pace, nowMs: number): Pace {
  const windows = counted(pace, nowMs);
  const { perSecond, passingPerSecond } = pace;
  if (perSecond === Number.POSITIVE_INFINITY) return { ...pace, windows };
  // A delivery stands for 1/pace seconds: a pace that is not used is not tried out, and does not grow.
  const growth = pace.growth + 1 / Math.max(RETURN.requests, perSecond * RETURN.seconds);
  return { ...pace, windows, growth, perSecond: passingPerSecond * (1 + FALL * (growth - 1) ** 3) };
}

/** Where nothing has passed since the last 429, this one says nothing about the rate. */
export function afterThrottling(pace: Pace, nowMs: number, waitUntilMs: number): Pace {
  const [before, now] = pace.windows;
  const delivered = before.delivered + now.delivered;
  if (delivered === 0) return { ...pace, nextStartMs: waitUntilMs };
  const measured = (delivered * 1000) / Math.max(1, nowMs - before.startMs);
  const least = delivered < WINDOW.deliveries && pace.perSecond < Number.POSITIVE_INFINITY ? pace.perSecond / 4 : 0;
  const passingPerSecond = Math.min(pace.perSecond, Math.max(measured, least));
  const perSecond = passingPerSecond * (1 - FALL);
  const nextStartMs = Math.max(waitUntilMs, nowMs + 1000 / perSecond);
  return { perSecond, passingPerSecond, growth: 0, nextStartMs, windows: windowsFrom(nowMs) };
}

function counted({ windows: [before, now] }: Pace, nowMs: number): Pace["windows"] {
  const isOver = nowMs - now.startMs >= WINDOW.ms && now.delivered >= WINDOW.deliveries;
  if (!isOver) return [before, { ...now, delivered: now.delivered + 1 }];
  return [now, { startMs: nowMs, delivered: 1 }];
}
