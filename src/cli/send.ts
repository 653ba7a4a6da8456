/** `tracelogger send`: delivers traces from files, and says what became of each that did not arrive. */
import { Command } from "commander";
import { TraceLogger, type TraceLoggerOptions } from "../index.ts";
import { explainDelivery } from "./explain.ts";
import { parseSeconds } from "./seconds.ts";
import { readTraces } from "./traces.ts";

/** The command, for the program to list. */
export function sendCommand(): Command {
  return new Command("send")
    .description("deliver traces from files; the exit code is 1 when one did not arrive")
    .argument("<file...>", "JSON or NDJSON, - for stdin")
    .option(
      "--endpoint <url>",
      "where to send them (default: TRACELOGGER_ENDPOINT, else the published endpoint), with TRACELOGGER_API_KEY",
    )
    .option("--timeout <seconds>", "give up after so long", parseSeconds, 60)
    .action(send);
}

async function send(
  files: string[],
  { endpoint, timeout }: Pick<TraceLoggerOptions, "endpoint"> & { readonly timeout: number },
): Promise<void> {
  const traces = readTraces(files);
  const logger = new TraceLogger({ endpoint, onLoss: () => {}, onEvent: () => {} });
  for (const { where, input } of traces) {
    await logger.ready();
    // Not typed yet: whether it is a trace is for the logger to say.
    void logger.logTrace(input as Parameters<TraceLogger["logTrace"]>[0]).then((receipt) => {
      if (receipt.status === "lost")
        console.error(`${where}: not delivered (${receipt.reason}): ${receipt.error.message}`);
      if (receipt.status === "skipped") console.error(`${where}: not sent (${receipt.reason}).`);
    });
  }
  const { lastError } = await logger.close({ timeoutMs: timeout * 1000 });
  const { delivered } = logger.stats;
  console.log(`${delivered} of ${traces.length} traces delivered.`);
  if (delivered === traces.length) return;
  if (lastError) console.error(explainDelivery(lastError));
  process.exitCode = 1;
}
