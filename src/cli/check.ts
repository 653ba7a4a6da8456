/** `tracelogger check`: are these traces what the endpoint takes? */
import { Command } from "commander";
import { isTraceLoggerError, parseTrace, type TraceLoggerError, TraceValidationError } from "../index.ts";
import { explain, printable } from "./explain.ts";
import { type Found, readTraces } from "./traces.ts";

/** The command, for the program to list. */
export function checkCommand(): Command {
  return new Command("check")
    .description("validate traces without sending them; the exit code is 1 when one is wrong")
    .argument("<file...>", "JSON or NDJSON, - for stdin")
    .action(check);
}

async function check(files: string[]): Promise<void> {
  let [good, all] = [0, 0];
  for await (const found of readTraces(files)) {
    all++;
    if (isGood(found)) good++;
  }
  console.log(`${good} of ${all} traces are good.`);
  if (good < all) process.exitCode = 1;
}

function isGood(found: Found): boolean {
  if ("refusal" in found) {
    console.error(found.refusal);
    return false;
  }
  try {
    parseTrace(found.input);
    return true;
  } catch (error) {
    if (!isTraceLoggerError(error)) throw error;
    for (const problem of problemsOf(error)) console.error(`${found.where}: ${problem}`);
    return false;
  }
}

function problemsOf(error: TraceLoggerError): string[] {
  if (!(error instanceof TraceValidationError)) return [explain(error)];
  return error.issues.map(({ path, expected, got, hint }) =>
    printable(`${path || "the trace"}: expected ${expected}, got ${got}.${hint ? ` ${hint}` : ""}`),
  );
}
