/** What the commands that send have in common. */
import { Option } from "commander";
import { resolveOptions, type TraceLoggerOptions } from "../options.ts";
import { UserError } from "./explain.ts";

/** For below a command's help. */
export const WHILE_DISABLED = "\nNothing is sent while TRACELOGGER_DISABLED is set.";

export function endpointOption(): Option {
  return new Option(
    "--endpoint <url>",
    "where to send them (default: TRACELOGGER_ENDPOINT, else the published endpoint), with TRACELOGGER_API_KEY",
  );
}

/** Whoever has set it wants no conversation to leave, by whichever door; and who has forgotten it is told so once. */
export function refuseDisabled(options: Pick<TraceLoggerOptions, "endpoint">): void {
  if (resolveOptions(options).enabled) return;
  throw new UserError("Nothing was sent: TRACELOGGER_DISABLED is set. Unset it, or set it to 0, to send.");
}
