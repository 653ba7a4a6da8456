/**
 * Calls that have begun and whose end nobody has told. LangChain says nothing when a reader breaks out of a stream,
 * and a stream of the AI SDK can be dropped without being cancelled; what was said in such a call must not be lost
 * with it. It ends as aborted when its stream is garbage, or when the process has nothing else left to do.
 */
export interface OpenCall {
  /** Nobody will hear of this call again. Does nothing when it has ended meanwhile; never throws. */
  abandon(): void;
}

const open = new Set<OpenCall>();
const abandonCollected = (call: OpenCall): void => call.abandon();
// Absent in some embedded runtimes.
const collected =
  typeof FinalizationRegistry === "function" ? new FinalizationRegistry<OpenCall>(abandonCollected) : undefined;

function onBeforeExit(): void {
  for (const call of open) call.abandon();
}

/** From now on the call is open; one listener for all of them, and only while there is one. */
export function openCall(call: OpenCall): void {
  if (open.size === 0) globalThis.process?.on?.("beforeExit", onBeforeExit);
  open.add(call);
}

/** The call cannot go on once this object (which it must not hold) is garbage. */
export function abandonWhenCollected(call: OpenCall, carrier: object): void {
  collected?.register(carrier, call, call);
}

export function closeCall(call: OpenCall): void {
  collected?.unregister(call);
  if (open.delete(call) && open.size === 0) globalThis.process?.off?.("beforeExit", onBeforeExit);
}
