/** `tracelogger check`: are these traces what the endpoint takes? */
import { Command } from "commander";
import { isTraceLoggerError, parseTrace, TraceValidationError } from "../index.ts";
import { explain } from "./explain.ts";
import { type FoundTrace, readTraces } from "./traces.ts";

/** The command, for the program to list. */
export function checkCommand(): Command {
  return new Command("check")
    .description("validate traces without sending them; the exit code is 1 when one is wrong")
    .argument("<file...>", "JSON or NDJSON, - for stdin")
    .action(check);
}

function check(files: string[]): void {
  let unread = 0;
  const traces = readTraces(files, (message) => {
    unread++;
    console.error(message);
  });
  const good = traces.filter(isGood).length;
  const all = traces.length + unread;
  console.log(`${good} of ${all} traces are good.`);
  if (good < all) process.exitCode = 1;
}

function isGood({ where, input }: FoundTrace): boolean {
  try {
    parseTrace(input);
    return true;
  } catch (error) {
    if (!isTraceLoggerError(error)) throw error;
    if (!(error instanceof TraceValidationError)) console.error(`${where}: ${explain(error)}`);
    else {
      for (const { path, expected, got, hint } of error.issues)
        console.error(`${where}: ${path || "the trace"}: expected ${expected}, got ${got}.${hint ? ` ${hint}` : ""}`);
    }
    return false;
  }
}
