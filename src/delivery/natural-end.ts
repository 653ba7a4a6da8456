/**
 * A process that simply ends delivers everything: our timers do not keep it alive, so Node says `beforeExit` with
 * traces still waiting, and the flush that is started then does keep it alive. One listener for all loggers, and only
 * while one of them has something pending.
 */
export interface EndsWithProcess {
  /** Deliver what is pending, within a bound. Never rejects. */
  deliverRest(): Promise<unknown>;
}

const waiting = new Set<EndsWithProcess>();

function onBeforeExit(): void {
  for (const logger of waiting) void logger.deliverRest();
}

export function remindAtEnd(logger: EndsWithProcess): void {
  if (waiting.size === 0) globalThis.process?.on?.("beforeExit", onBeforeExit);
  waiting.add(logger);
}

export function forgetAtEnd(logger: EndsWithProcess): void {
  if (waiting.delete(logger) && waiting.size === 0) globalThis.process?.off?.("beforeExit", onBeforeExit);
}
