import type { TraceInput } from "./trace.ts";

/** What a sink may be told about one trace. */
export interface LogOptions {
  /**
   * With a `sampleRate`: all traces of one key are logged, or none of them, in every process alike. A conversation's id.
   * @default none: each trace by itself
   */
  readonly sampleKey?: string | undefined;
  /**
   * Larger than `maxTraceBytes`: cut the trace, head and tail kept, instead of refusing it. Captured calls are logged so.
   * @default false: the trace is lost as `too_large`
   */
  readonly truncate?: boolean | undefined;
}

/** Where captured conversations go. A `TraceLogger` is one; anything with a `logTrace` can stand in for it. */
export interface TraceSink {
  logTrace(input: TraceInput, options?: LogOptions): unknown;
}

/**
 * A sink may take the work of building a trace instead of the trace: it then runs the work off the caller's path,
 * and `flush`, `close` and the end of the process wait for it, so that a call which has ended is never missed by a
 * `flush` right after it. The work calls `logTrace` itself, and never throws.
 *
 * `Symbol.for`, so that the ESM and the CJS copy of the package understand each other.
 */
export const deferTrace: unique symbol = Symbol.for("tracelogger.defer");

/** A sink that takes deferred work (see {@link deferTrace}). */
export interface DeferringTraceSink extends TraceSink {
  [deferTrace](work: () => void | Promise<void>): void;
}

/** A call that is under way, and whose end nobody may ever tell. */
export interface OpenCall {
  /** Nobody will hear of this call again. Does nothing when it has ended meanwhile; never throws. */
  abandon(): void;
}

/** Where a sink that closes finds the calls that it must not outlive: it abandons them first. `Symbol.for` as above. */
export const openCalls: unique symbol = Symbol.for("tracelogger.open");

/** A sink that closes (see {@link openCalls}). */
export interface ClosingTraceSink extends TraceSink {
  readonly [openCalls]: Set<OpenCall>;
}

/** The open calls of a sink that wants to know them. */
export function openCallsOf(sink: TraceSink): Set<OpenCall> | undefined {
  return openCalls in sink ? (sink as ClosingTraceSink)[openCalls] : undefined; // `in` has just proven the shape
}

/** Hand finished-call work to the sink: deferred when the sink can, else in a task of its own. */
export function defer(sink: TraceSink, work: () => void | Promise<void>): void {
  if (deferTrace in sink)
    (sink as DeferringTraceSink)[deferTrace](work); // `in` has just proven the shape
  else inTask(work);
}

/** In a task of its own: the next one where the runtime has such, which spares its event loop a timer to wake up for. */
export function inTask(work: () => unknown): void {
  try {
    setImmediate(work);
  } catch {
    setTimeout(work, 0); // there is none; or one that throws, in Next's edge runtime
  }
}
