/**
 * Logs, closes, and says in one line of JSON what the process held before there was a logger and after it had closed;
 * then it ends by itself, or says `held open`.
 */
import { existsSync, readdirSync, readlinkSync, writeSync } from "node:fs";
import { join } from "node:path";
import { openSpool } from "../../../src/delivery/spool/spool.ts";
import { TraceLogger } from "../../../src/index.ts";

export interface ClosesPlan {
  readonly endpoint: string;
  readonly dir?: string;
  readonly traces: number;
  readonly timeoutMs: number;
  readonly options?: object;
}

/** What keeps the process open, who listens on it, and which files of the spool are open. */
export interface Held {
  readonly resources: readonly string[];
  readonly listeners: Readonly<Record<string, number>>;
  readonly files: readonly string[];
}

const plan: ClosesPlan = JSON.parse(process.argv[2] ?? "");

function openFiles(): string[] {
  if (!existsSync("/proc/self/fd")) return []; // not Linux
  return readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      const path = readlinkSync(join("/proc/self/fd", fd));
      return plan.dir !== undefined && path.startsWith(plan.dir) ? [path] : [];
    } catch {
      return []; // the folder's own
    }
  });
}

function held(): Held {
  const listeners = process.eventNames().map((name) => [String(name), process.listenerCount(String(name))]);
  return {
    resources: process.getActiveResourcesInfo().sort(),
    listeners: Object.fromEntries(listeners.sort()),
    files: openFiles(),
  };
}

const before = held();
const logger = new TraceLogger({
  endpoint: plan.endpoint,
  handleSignals: true,
  batch: { maxWaitMs: 1 },
  onLoss: () => {},
  onEvent: () => {},
  ...(plan.dir === undefined ? {} : { spool: { dir: plan.dir, open: openSpool } }),
  ...plan.options,
});
for (let i = 0; i < plan.traces; i++) {
  void logger.logTrace({ model: "m", messages: [{ role: "user", content: "what was said" }] });
}
const flushed = logger.flush();
const ready = logger.ready();
await logger.close({ timeoutMs: plan.timeoutMs });
await Promise.all([flushed, ready]);
// A few turns for what was aborted to come to its end.
for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
writeSync(1, `${JSON.stringify({ before, after: held() })}\n`);
setTimeout(() => writeSync(1, "held open\n"), 3_000).unref();
