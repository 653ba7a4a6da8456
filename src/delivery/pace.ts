/**
 * How fast may requests start, once an endpoint has said "too many"? The gateway sends no Retry-After, so its rate has
 * to be found out: on a 429 the pace falls a little below what was being delivered, then creeps up again, quickly while
 * far below the rate that was refused and slowly near it. Before the first 429 there is no limit at all.
 *
 * Pure, like the gate.
 */
export interface Pace {
  /** Requests a second; `Infinity` until the first 429. */
  readonly perSecond: number;
  /** The pace at which the last 429 came. */
  readonly refusedAtPerSecond: number;
  readonly nextStartMs: number;
  readonly changedAtMs: number;
  /** Deliveries in the window that began at `windowStartMs`, and a second's worth in the one before: the rate that works. */
  readonly windowStartMs: number;
  readonly windowDelivered: number;
  readonly lastWindowPerSecond: number;
}

const WINDOW_MS = 1_000;
const FALL = 0.9;
const FAST_GROWTH_PER_SECOND = 0.3;
const SLOW_GROWTH_PER_SECOND = 0.02;
const NEAR = 0.93;
/** So long after the last 429 the pace no longer matters: whatever refused us then may have gone. */
const FORGET_MS = 120_000;
/** Timers are late by a millisecond or two: a start that is late may be made up for, up to this many starts. */
const CATCH_UP_STARTS = 2;

export const startPace: Pace = {
  perSecond: Number.POSITIVE_INFINITY,
  refusedAtPerSecond: Number.POSITIVE_INFINITY,
  nextStartMs: 0,
  changedAtMs: 0,
  windowStartMs: 0,
  windowDelivered: 0,
  lastWindowPerSecond: 0,
};

export function paceAllowsAtMs(pace: Pace): number {
  return pace.nextStartMs;
}

export function withStart(pace: Pace, nowMs: number): Pace {
  if (pace.perSecond === Number.POSITIVE_INFINITY) return pace;
  const intervalMs = 1000 / pace.perSecond;
  return { ...pace, nextStartMs: Math.max(pace.nextStartMs, nowMs - CATCH_UP_STARTS * intervalMs) + intervalMs };
}

export function afterDelivery(pace: Pace, nowMs: number): Pace {
  return grow(count(pace, nowMs), nowMs);
}

export function afterThrottling(pace: Pace, nowMs: number): Pace {
  const refusedAt = Math.min(pace.perSecond, Math.max(pace.lastWindowPerSecond, currentPerSecond(pace, nowMs)));
  const perSecond = Math.max(1, refusedAt * FALL);
  return { ...pace, perSecond, refusedAtPerSecond: refusedAt, changedAtMs: nowMs, nextStartMs: nowMs };
}

function count(pace: Pace, nowMs: number): Pace {
  if (nowMs - pace.windowStartMs < WINDOW_MS) return { ...pace, windowDelivered: pace.windowDelivered + 1 };
  return { ...pace, windowStartMs: nowMs, windowDelivered: 1, lastWindowPerSecond: currentPerSecond(pace, nowMs) };
}

function currentPerSecond(pace: Pace, nowMs: number): number {
  return (pace.windowDelivered * 1000) / Math.max(WINDOW_MS, nowMs - pace.windowStartMs);
}

function grow(pace: Pace, nowMs: number): Pace {
  if (pace.perSecond === Number.POSITIVE_INFINITY) return pace;
  if (nowMs - pace.changedAtMs > FORGET_MS) return { ...startPace, windowStartMs: nowMs };
  const near = pace.perSecond > pace.refusedAtPerSecond * NEAR && pace.perSecond < pace.refusedAtPerSecond / NEAR;
  const growth = near ? SLOW_GROWTH_PER_SECOND : FAST_GROWTH_PER_SECOND;
  // One delivery stands for 1/pace seconds, so the growth of a second is spread over its deliveries.
  return { ...pace, perSecond: pace.perSecond + growth };
}
