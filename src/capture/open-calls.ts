/**
 * Calls that have begun and whose end nobody has told. LangChain says nothing when a reader breaks out of a stream,
 * and a stream of the AI SDK can be dropped without being cancelled; what was said in such a call must not be lost
 * with it. It ends as aborted when its stream is garbage, when its sink closes, or when the process has nothing else
 * left to do.
 */
import { type OpenCall, openCallsOf, type TraceSink } from "../sink.ts";

/** A call of which nothing was heard for an hour is over: what is held for it is bounded in time, too. */
const MAX_IDLE_MS = 3_600_000;
/** When something was last heard of each, the longest silent first. */
const open = new Map<OpenCall, number>();
const abandonCollected = (call: OpenCall): void => call.abandon();
// Absent in some embedded runtimes.
const collected =
  typeof FinalizationRegistry === "function" ? new FinalizationRegistry<OpenCall>(abandonCollected) : undefined;

function onBeforeExit(): void {
  for (const call of open.keys()) call.abandon();
}

function abandonIdle(now: number): void {
  for (const [call, heard] of open) {
    if (now - heard < MAX_IDLE_MS) return;
    call.abandon();
    open.delete(call); // whatever it does: or this would not end
  }
}

/** From now on the call is open; one listener for all of them, and only while there is one. */
export function openCall(call: OpenCall, sink: TraceSink): void {
  const now = performance.now();
  // Here and not by a timer: nothing grows while no call begins.
  abandonIdle(now);
  if (open.size === 0) globalThis.process?.on?.("beforeExit", onBeforeExit);
  open.set(call, now);
  openCallsOf(sink)?.add(call);
}

/** Something was heard of the call. */
export function touchCall(call: OpenCall): void {
  if (open.delete(call)) open.set(call, performance.now());
}

/** The call cannot go on once this object (which it must not hold) is garbage. */
export function abandonWhenCollected(call: OpenCall, carrier: object): void {
  collected?.register(carrier, call, call);
}

export function closeCall(call: OpenCall, sink: TraceSink): void {
  collected?.unregister(call);
  openCallsOf(sink)?.delete(call);
  if (open.delete(call) && open.size === 0) globalThis.process?.off?.("beforeExit", onBeforeExit);
}
