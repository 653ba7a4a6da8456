/**
 * Calls that have begun and whose end nobody has told. LangChain says nothing when a reader breaks out of a stream,
 * a stream can be dropped without being cancelled, and a process can leave in the middle of one; what was said in such
 * a call must not be lost with it. It ends as aborted when its stream is garbage, when its sink closes, or when the
 * process ends or has nothing else left to do.
 */
import { listenToEnd } from "../runtime.ts";
import { type OpenCall, openCallsOf, type TraceSink } from "../sink.ts";

/** Those whose carrier will be garbage once nobody can tell anything of them any more. */
const carried = new Set<OpenCall>();
/** When something was last heard of each of the others, the longest silent first. */
const open = new Map<OpenCall, number>();
/** Of these, one of which nothing was heard for an hour is over: what is held for it is bounded in time, too. */
const MAX_IDLE_MS = 3_600_000;
const abandonCollected = (call: OpenCall): void => call.abandon();
// Absent in some embedded runtimes.
const collected =
  typeof FinalizationRegistry === "function" ? new FinalizationRegistry<OpenCall>(abandonCollected) : undefined;

function abandonAll(): void {
  for (const call of [...carried, ...open.keys()]) call.abandon();
}

function abandonIdle(now: number): void {
  for (const [call, heard] of open) {
    if (now - heard < MAX_IDLE_MS) return;
    call.abandon();
    open.delete(call); // whatever it does: or this would not end
  }
}

/** One listener each for all calls: on before the first has begun, off after the last has ended. */
function listenUnlessOpen(how: "on" | "off"): void {
  if (carried.size + open.size > 0) return;
  listenToEnd(how, "beforeExit", abandonAll);
  listenToEnd(how, "exit", abandonAll);
}

/**
 * From now on the call is open.
 *
 * @param carrier what the call cannot go on without, once it is garbage; the call itself must not hold it. @default none:
 *   whoever hears of the call says so (see {@link touchCall})
 */
export function openCall(call: OpenCall, sink: TraceSink, carrier?: object): void {
  listenUnlessOpen("on");
  if (carrier && collected) {
    collected.register(carrier, call, call);
    carried.add(call);
  } else {
    const now = performance.now();
    // Here and not by a timer: nothing grows while no call begins.
    abandonIdle(now);
    open.set(call, now);
  }
  openCallsOf(sink)?.add(call);
}

/** Something was heard of the call. */
export function touchCall(call: OpenCall): void {
  if (open.delete(call)) open.set(call, performance.now());
}

export function closeCall(call: OpenCall, sink: TraceSink): void {
  openCallsOf(sink)?.delete(call);
  const wasCarried = carried.delete(call);
  if (wasCarried) collected?.unregister(call);
  if (wasCarried || open.delete(call)) listenUnlessOpen("off");
}
