/**
 * Logs traces with a spool until it is killed or has logged `traces`; writes each id on stdout as soon as `logTrace` has
 * returned, then `.`; ends with the natural end of the process.
 */
import { writeSync } from "node:fs";
import { openSpool } from "../../../src/delivery/spool/spool.ts";
import { TraceLogger } from "../../../src/index.ts";

export interface LogsPlan {
  readonly endpoint: string;
  readonly dir: string;
  readonly name: string;
  readonly traces: number;
  readonly bytes: number;
  readonly spool?: object;
  readonly options?: object;
}

function say(line: string): void {
  for (;;) {
    try {
      writeSync(1, `${line}\n`);
      return;
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EAGAIN")) throw error; // the pipe is full
    }
  }
}

const plan: LogsPlan = JSON.parse(process.argv[2] ?? "");
const logger = new TraceLogger({
  endpoint: plan.endpoint,
  batch: { maxWaitMs: 1 },
  queue: { maxTraces: 100 },
  spool: { dir: plan.dir, open: openSpool, ...plan.spool },
  onLoss: ({ id, reason }) => say(`! ${id} ${reason}`),
  onEvent: (event) => event.type === "spool" && say(`# ${event.event.type}`),
  ...plan.options,
});

for (let i = 0; i < plan.traces; i++) {
  const id = `${plan.name}-${i}`;
  void logger.logTrace({ id, model: "m", messages: [{ role: "user", content: "x".repeat(plan.bytes) }] });
  say(id);
  if (i % 5 === 0) await new Promise((resolve) => setImmediate(resolve));
}
say(".");
