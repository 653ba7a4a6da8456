/** `tracelogger`: one file per command, listed here. */
import { Command, CommanderError } from "commander";
import packageJson from "../../package.json" with { type: "json" };
import { devCommand } from "./dev.ts";
import { explain } from "./explain.ts";

const program = new Command("tracelogger")
  .description("Record what people and language models say to each other.")
  .version(packageJson.version)
  .showHelpAfterError()
  .addCommand(devCommand());

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode;
  else {
    console.error(`tracelogger: ${explain(error)}`);
    process.exitCode = 1;
  }
}
