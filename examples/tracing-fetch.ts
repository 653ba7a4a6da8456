/**
 * Plain fetch, traced: for anything that takes a fetch of one's own, or that you call yourself.
 *
 *     OPENAI_API_KEY=… TRACELOGGER_API_KEY=… node examples/tracing-fetch.ts
 *
 * OPENAI_BASE_URL and OPENAI_MODEL name another OpenAI-compatible provider, TRACELOGGER_ENDPOINT names another endpoint.
 */
import { TraceLogger, tracingFetch } from "../src/index.ts"; // users write "tracelogger"

const logger = new TraceLogger();
const fetch = tracingFetch(logger);

const response = await fetch(`${process.env.OPENAI_BASE_URL ?? "https://api.openai.com/v1"}/chat/completions`, {
  method: "POST",
  headers: { "content-type": "application/json", authorization: `Bearer ${process.env.OPENAI_API_KEY}` },
  body: JSON.stringify({
    model: process.env.OPENAI_MODEL ?? "gpt-5-mini",
    messages: [{ role: "user", content: "I feel sad today." }],
  }),
});
console.log(await response.text());

await logger.close();
const { accepted, delivered } = logger.stats;
console.log(`${delivered} of ${accepted} traces delivered`);
