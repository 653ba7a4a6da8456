/**
 * A conversation logged by hand, for a model that no client stands before.
 *
 *     TRACELOGGER_API_KEY=… node examples/log-trace.ts
 *
 * TRACELOGGER_ENDPOINT names another endpoint.
 */
import { TraceLogger } from "../src/index.ts"; // users write "tracelogger"

const logger = new TraceLogger();

const receipt = await logger.logTrace({
  model: "olmo-2",
  messages: [
    { role: "user", content: "I feel sad today." },
    { role: "assistant", content: "I regret to hear that you are sad." },
  ],
});
console.log(receipt.status);

await logger.close();
const { accepted, delivered } = logger.stats;
console.log(`${delivered} of ${accepted} traces delivered`);
