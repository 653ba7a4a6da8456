import { listenToEnd } from "../runtime.ts";

/**
 * What happens to pending traces when the process ends. One set of listeners serves all loggers, and stands only while
 * one of them has something pending; none of them changes how the process ends.
 */
export interface EndsWithProcess {
  /** The event loop is empty: deliver what is pending, within a bound. Never rejects. */
  deliverRest(): Promise<unknown>;
  /** The very last moment (`process.exit`, an uncaught exception): synchronous work only. Never throws. */
  leave(): void;
}

const waiting = new Set<EndsWithProcess>();

// Our timers do not keep the process alive; the flush that this starts does.
function onBeforeExit(): void {
  for (const logger of waiting) void logger.deliverRest();
}

function onExit(): void {
  for (const logger of waiting) logger.leave();
}

function listen(how: "on" | "off"): void {
  listenToEnd(how, "beforeExit", onBeforeExit);
  listenToEnd(how, "exit", onExit);
}

export function remindAtEnd(logger: EndsWithProcess): void {
  if (waiting.size === 0) listen("on");
  waiting.add(logger);
}

/** Has the last moment come, too late to be told of it? */
export function isLeaving(): boolean | undefined {
  // Not in the types, though it has been there since Node 0.10.
  return (globalThis.process as { _exiting?: boolean } | undefined)?._exiting;
}

export function forgetAtEnd(logger: EndsWithProcess): void {
  if (waiting.delete(logger) && waiting.size === 0) listen("off");
}

const SIGNALS = ["SIGTERM", "SIGINT"] as const;
/** On our listeners, also those of another copy of this package. */
const mark = Symbol.for("tracelogger.signal");

/**
 * On SIGTERM and SIGINT: finish, then let the signal do what it would have done. Only on request, because a listener
 * switches off Node's default. Where the host listens itself, the host also ends the process, or does not. Gives back
 * the undoing.
 */
export function finishOnSignals(finish: () => Promise<unknown>): () => void {
  const { process } = globalThis;
  const onSignal = (signal: NodeJS.Signals): void => {
    // Looked at first of all listeners: one for `once` is gone after its call.
    const isHosts = process.listeners(signal).some((listener) => !(mark in listener));
    void finish().then(() => {
      stop();
      if (isHosts || process.listenerCount(signal) > 0) return;
      process.kill(process.pid, signal);
      // Only process 1 gets here, a container's: the system spares it, and it would go on with a closed logger.
      if (process.pid === 1) process.exit(128 + (signal === "SIGTERM" ? 15 : 2));
    });
  };
  onSignal[mark] = 1;
  const stop = (): void => {
    for (const signal of SIGNALS) process?.off?.(signal, onSignal);
  };
  for (const signal of SIGNALS) process?.prependListener?.(signal, onSignal); // see `isHosts`
  return stop;
}
