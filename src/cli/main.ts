/** `tracelogger`: one file per command, listed here. */
import { Command, CommanderError } from "commander";
import packageJson from "../../package.json" with { type: "json" };
import { checkCommand } from "./check.ts";
import { devCommand } from "./dev.ts";
import { drainCommand } from "./drain.ts";
import { explain } from "./explain.ts";
import { sendCommand } from "./send.ts";

const program = new Command("tracelogger")
  .description("Record what people and language models say to each other.")
  .version(packageJson.version)
  .showHelpAfterError()
  .addCommand(devCommand())
  .addCommand(sendCommand())
  .addCommand(checkCommand())
  .addCommand(drainCommand());

// A reader that has seen enough (`| head`) ends neither what is being sent nor the endpoint.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode;
  else {
    console.error(`tracelogger: ${explain(error)}`);
    process.exitCode = 1;
  }
}
