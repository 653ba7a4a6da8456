/** The trace of a call, on its way to the sink: with what its caller said about it (`traceHeaders`). */
import { defer, type TraceSink } from "../sink.ts";
import type { TraceInput } from "../trace.ts";
import type { CallControl } from "./call-control.ts";
import { orElse, whenThere } from "./once.ts";

const MAX_KNOWN_IDS = 1_000;
/** How often an id was used lately. A sink's own: two sinks may be told of the same call. */
const usedIds = new WeakMap<TraceSink, Map<string, number>>();

/** Build the trace of a call off the caller's path and hand it to the sink. The host is sacred: this never throws into it. */
export function logMarked(sink: TraceSink, control: CallControl, build: () => TraceInput | Promise<TraceInput>): void {
  const work = () => orElse(() => whenThere(build(), (trace) => log(sink, control, trace)), nothing);
  // There is nobody to tell: sinks report their own troubles.
  orElse(() => defer(sink, work), nothing);
}

function log(sink: TraceSink, control: CallControl, trace: TraceInput): void {
  const options = { sampleKey: control.sampleKey, truncate: true };
  const receipt = sink.logTrace(markTrace(trace, control, sink), options);
  // Not awaited: a receipt may take as long as the endpoint does.
  if (receipt !== undefined) void Promise.resolve(receipt).catch(nothing);
}

const nothing = () => {};

/**
 * The trace with its id and fingerprint. One call of a framework may be many of the model (steps, an agent, a batch):
 * they would all have the one id, and each overwrite the one before. So the second gets `-2`, and so on.
 */
function markTrace(trace: TraceInput, { id, systemFingerprint }: CallControl, sink: TraceSink): TraceInput {
  if (!id && !systemFingerprint) return trace;
  return {
    ...trace,
    ...(id && { id: uniqueId(id, sink) }),
    ...(systemFingerprint && { system_fingerprint: systemFingerprint }),
  };
}

function uniqueId(id: string, sink: TraceSink): string {
  const used = usedIds.get(sink) ?? new Map<string, number>();
  usedIds.set(sink, used);
  const times = (used.get(id) ?? 0) + 1;
  used.delete(id); // and to the end: what is forgotten is what was not used for longest
  used.set(id, times);
  for (const oldest of used.keys()) {
    if (used.size <= MAX_KNOWN_IDS) break;
    used.delete(oldest);
  }
  return times === 1 ? id : `${id}-${times}`;
}
