/** `tracelogger drain`: delivers what dead processes left in a spool's folder, without an application. */
import { statSync } from "node:fs";
import { Command } from "commander";
import { openSpool, type Spool } from "../delivery/spool/spool.ts";
import { TraceLogger, type TraceLoggerOptions } from "../index.ts";
import { explain, explainDelivery, UserError } from "./explain.ts";
import { parseSeconds } from "./seconds.ts";
import { endpointOption, refuseDisabled, WHILE_DISABLED } from "./sending.ts";

const POLL_MS = 50;

/** The command, for the program to list. */
export function drainCommand(): Command {
  return new Command("drain")
    .description(
      "deliver what dead processes left in a spool's folder; the exit code is 1 when something is left there",
    )
    .argument("<dir>", "the folder that was given as `spool`; traces of processes that still run are left to them")
    .addOption(endpointOption())
    .option("--timeout <seconds>", "leave the rest on disk after so long", parseSeconds, 60)
    .addHelpText("after", WHILE_DISABLED)
    .action(drain);
}

async function drain(
  dir: string,
  { endpoint, timeout }: Pick<TraceLoggerOptions, "endpoint"> & { readonly timeout: number },
): Promise<void> {
  if (!statSync(dir, { throwIfNoEntry: false })?.isDirectory()) throw new UserError(`There is no folder ${dir}.`);
  refuseDisabled({ endpoint });
  const untilMs = performance.now() + timeout * 1000;
  const opened: Spool[] = [];
  const logger = new TraceLogger({
    endpoint,
    spool: {
      dir,
      open: (options, deps) => {
        const spool = openSpool(options, deps);
        opened.push(spool);
        return spool;
      },
    },
    onLoss: ({ id, reason, error }) => console.error(`${id ?? "a trace"} is lost (${reason}): ${explain(error)}`),
    onEvent: (event) => {
      if (event.type === "held") console.error(explain(event.error));
    },
  });
  const left = () => logger.stats.pending + opened.reduce((sum, spool) => sum + spool.waiting().records, 0);
  for (const spool of opened) while (spool.adopt().hasMore);
  while (left() > 0 && performance.now() < untilMs) {
    await logger.flush({ timeoutMs: Math.max(0, untilMs - performance.now()) });
    await new Promise((resolve) => setTimeout(resolve, POLL_MS)); // the spool is read a little at a time
  }
  const rest = left();
  const { lastError } = await logger.close({ timeoutMs: 0 });
  console.log(`${logger.stats.delivered} traces delivered${rest > 0 ? `, ${rest} left on disk` : ""}.`);
  if (rest > 0 && lastError) console.error(explainDelivery(lastError));
  if (rest > 0) process.exitCode = 1;
}
