/** `tracelogger send`: delivers traces from files, and says what became of each that did not arrive. */
import { setTimeout } from "node:timers/promises";
import { Command } from "commander";
import { TraceLogger, type TraceLoggerEvent, type TraceLoggerOptions } from "../index.ts";
import { explain, explainDelivery } from "./explain.ts";
import { parseSeconds } from "./seconds.ts";
import { endpointOption, refuseDisabled, WHILE_DISABLED } from "./sending.ts";
import { type FoundTrace, readTraces } from "./traces.ts";

/** The command, for the program to list. */
export function sendCommand(): Command {
  return new Command("send")
    .description("deliver traces from files; the exit code is 1 when one did not arrive")
    .argument("<file...>", "JSON or NDJSON, - for stdin")
    .addOption(endpointOption())
    .option("--timeout <seconds>", "give up when the endpoint takes nothing for so long", parseSeconds, 60)
    .addHelpText("after", WHILE_DISABLED)
    .action(send);
}

async function send(
  files: string[],
  { endpoint, timeout }: Pick<TraceLoggerOptions, "endpoint"> & { readonly timeout: number },
): Promise<void> {
  refuseDisabled({ endpoint });
  const traces = readTraces(files);
  const timeoutMs = timeout * 1000;
  let told: string | undefined;
  const onEvent = (event: TraceLoggerEvent) => {
    if (event.type !== "held" || told === event.error.message) return;
    told = event.error.message;
    console.error(explain(event.error));
  };
  const logger = new TraceLogger({ endpoint, onLoss: () => {}, onEvent });
  let all = 0;
  let patienceMs = timeoutMs;
  try {
    for await (const found of traces) {
      all++;
      if ("refusal" in found) console.error(found.refusal);
      else if (await hasRoom(logger, timeoutMs)) log(found, logger);
      else {
        console.error(`Gave up: ${found.where} and what follows was not sent.`);
        patienceMs = 0;
        break;
      }
    }
  } finally {
    const { lastError } = await logger.close({ timeoutMs: patienceMs });
    const { delivered, accepted } = logger.stats;
    console.log(`${delivered} of ${all} traces delivered.`);
    if (delivered < all) process.exitCode = 1;
    if (delivered < accepted && lastError && lastError.message !== told) console.error(explainDelivery(lastError));
  }
}

function log({ where, input }: FoundTrace, logger: TraceLogger): void {
  // Not typed yet: whether it is a trace is for the logger to say.
  void logger.logTrace(input as Parameters<TraceLogger["logTrace"]>[0]).then((receipt) => {
    if (receipt.status === "lost")
      console.error(`${where}: not delivered (${receipt.reason}): ${explain(receipt.error)}`);
    if (receipt.status === "skipped") console.error(`${where}: not sent (${receipt.reason}).`);
  });
}

/** Is there, within this time? There is none as long as the endpoint takes nothing. */
async function hasRoom(logger: TraceLogger, timeoutMs: number): Promise<boolean> {
  const giveUp = new AbortController();
  const timedOut = setTimeout(timeoutMs, false, { signal: giveUp.signal }).catch(() => false);
  const isReady = await Promise.race([logger.ready().then(() => true), timedOut]);
  giveUp.abort();
  return isReady;
}
