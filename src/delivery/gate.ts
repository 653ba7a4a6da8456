/**
 * May a request start now? One gate stands before each endpoint, and all traces wait at it together: a failing
 * endpoint is asked by one probe at a time, never by every trace on its own.
 *
 * Pure: `(state, event, now) → state`. Nothing here knows a timer, a request or a trace.
 */
import { afterDelivery, afterThrottling, type Pace, startPace, withStart } from "./pace.ts";

export interface GateState {
  /** `open`: requests flow. Else exactly one probe at a time, the next not before `reopenAtMs`. */
  readonly phase: "open" | "backing_off" | "quota" | "held";
  readonly reopenAtMs: number;
  readonly probing: boolean;
  /** Troubles in a row without a success between them. */
  readonly streak: number;
  /** Grows whenever the phase is decided anew. An answer to a request of an older epoch tells nothing new. */
  readonly epoch: number;
  readonly inFlight: number;
  /** Requests allowed in flight at once; adapts between 1 and the maximum. */
  readonly limit: number;
  readonly maxLimit: number;
  /** Until the first trouble the limit grows by one per success, then by one per round. */
  readonly slowStart: boolean;
  readonly pace: Pace;
}

/** What an answer says to the gate. A rejected trace is a success to it: the endpoint works. */
export interface GateAnswer {
  readonly kind: "passed" | "retry" | "throttled" | "quota" | "held";
  /** The epoch in which the request started. */
  readonly epoch: number;
  readonly retryAfterMs: number;
  readonly nowMs: number;
  /** In [0, 1): spreads the retries of many processes. */
  readonly random: number;
}

/** Two, not the maximum: an endpoint that is down at the start then costs two requests, and growth is quick. */
const FIRST_LIMIT = 2;

const THROTTLED_MS = 100;
const BACKOFF = { baseMs: 500, capMs: 60_000 };
/** Someone has to mend the key or the URL. Quick at first (a key takes seconds to spread), then once a minute. */
const HELD = { baseMs: 500, capMs: 60_000 };
const QUOTA = { baseMs: 30_000, capMs: 15 * 60_000 };

export function openGate(maxLimit: number): GateState {
  return {
    phase: "open",
    reopenAtMs: 0,
    probing: false,
    streak: 0,
    epoch: 0,
    inFlight: 0,
    limit: Math.min(FIRST_LIMIT, maxLimit),
    maxLimit,
    slowStart: true,
    pace: startPace,
  };
}

/** When the next request may start: a time not after `nowMs` means now, `Infinity` means not before an answer comes. */
export function startsAtMs(state: GateState): number {
  if (state.phase !== "open") return state.probing ? Number.POSITIVE_INFINITY : state.reopenAtMs;
  return state.inFlight < Math.floor(state.limit) ? Math.max(0, state.pace.nextStartMs) : Number.POSITIVE_INFINITY;
}

/** A request has started. */
export function started(state: GateState, nowMs: number): GateState {
  return {
    ...state,
    inFlight: state.inFlight + 1,
    probing: state.phase !== "open",
    pace: withStart(state.pace, nowMs),
  };
}

/** A request was given up by us (close): it says nothing about the endpoint. */
export function abandoned(state: GateState): GateState {
  return { ...state, inFlight: state.inFlight - 1, probing: false };
}

/** Someone is about to stop waiting (close): a closed gate allows one probe at once. */
export function expedited(state: GateState, nowMs: number): GateState {
  return state.phase === "open" ? state : { ...state, reopenAtMs: Math.min(state.reopenAtMs, nowMs) };
}

/** A request was answered. */
export function answered(state: GateState, answer: GateAnswer): GateState {
  const landed = { ...state, inFlight: state.inFlight - 1 };
  if (answer.kind === "passed") return passed(landed, answer.nowMs);
  // A straggler from before the last decision: what it says has been acted on.
  if (answer.epoch !== state.epoch) {
    return { ...landed, reopenAtMs: Math.max(state.reopenAtMs, answer.nowMs + answer.retryAfterMs) };
  }
  return troubled(landed, answer.kind, answer);
}

function passed(state: GateState, nowMs: number): GateState {
  const { limit, maxLimit, slowStart } = state;
  const grown = {
    ...state,
    streak: 0,
    limit: Math.min(maxLimit, limit + (slowStart ? 1 : 1 / limit)),
    pace: afterDelivery(state.pace, nowMs),
  };
  return state.phase === "open" ? grown : { ...grown, phase: "open", probing: false, epoch: state.epoch + 1 };
}

function troubled(state: GateState, kind: Exclude<GateAnswer["kind"], "passed">, answer: GateAnswer): GateState {
  const { nowMs, retryAfterMs } = answer;
  const streak = state.streak + 1;
  const waitUntilMs = nowMs + Math.max(waitMs(kind, streak, answer.random), retryAfterMs);
  const pace = kind === "throttled" ? afterThrottling(state.pace, nowMs, waitUntilMs) : state.pace;
  return {
    ...state,
    phase: kind === "quota" || kind === "held" ? kind : "backing_off",
    streak,
    probing: false,
    epoch: state.epoch + 1,
    reopenAtMs: kind === "throttled" ? pace.nextStartMs : waitUntilMs,
    limit: Math.max(1, state.limit / 2),
    slowStart: false,
    pace,
  };
}

function waitMs(kind: GateAnswer["kind"], streak: number, random: number): number {
  // The rate was too high, and falls: that is enough, unless the next request is refused as well.
  if (kind === "throttled" && streak === 1) return THROTTLED_MS;
  const { baseMs, capMs } = kind === "quota" ? QUOTA : kind === "held" ? HELD : BACKOFF;
  return Math.min(capMs, baseMs * 2 ** Math.min(streak, 30)) * (0.5 + random / 2);
}
