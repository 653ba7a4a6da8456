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

export function remindAtEnd(logger: EndsWithProcess): void {
  if (waiting.size === 0) {
    globalThis.process?.on?.("beforeExit", onBeforeExit);
    globalThis.process?.on?.("exit", onExit);
  }
  waiting.add(logger);
}

export function forgetAtEnd(logger: EndsWithProcess): void {
  if (!waiting.delete(logger) || waiting.size > 0) return;
  globalThis.process?.off?.("beforeExit", onBeforeExit);
  globalThis.process?.off?.("exit", onExit);
}

const SIGNALS = ["SIGTERM", "SIGINT"] as const;

/**
 * On SIGTERM and SIGINT: finish, then let the signal do what it would have done. Only on request, because a listener
 * switches off Node's default. Where the host listens itself, the host also ends the process. Gives back the undoing.
 */
export function finishOnSignals(finish: () => Promise<unknown>): () => void {
  const { process } = globalThis;
  const onSignal = (signal: NodeJS.Signals): void => {
    void finish().then(() => {
      stop();
      if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
    });
  };
  const stop = (): void => {
    for (const signal of SIGNALS) process?.off?.(signal, onSignal);
  };
  for (const signal of SIGNALS) process?.on?.(signal, onSignal);
  return stop;
}
