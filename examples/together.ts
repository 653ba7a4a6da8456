/**
 * An SDK built like openai's, wrapped the same way: together-ai here; groq-sdk, cerebras and others alike.
 *
 *     OPENAI_API_KEY=… TRACELOGGER_API_KEY=… node examples/together.ts
 *
 * OPENAI_BASE_URL and OPENAI_MODEL name another OpenAI-compatible provider, TRACELOGGER_ENDPOINT names another endpoint.
 */
import Together from "together-ai";
import { TraceLogger, wrapOpenAI } from "../src/index.ts"; // users write "tracelogger"

const { OPENAI_API_KEY: apiKey, OPENAI_BASE_URL: baseURL, OPENAI_MODEL: model = "openai/gpt-oss-20b" } = process.env;
const logger = new TraceLogger();
const together = wrapOpenAI(new Together({ ...(apiKey ? { apiKey } : {}), ...(baseURL ? { baseURL } : {}) }), logger);

const { choices } = await together.chat.completions.create({
  model,
  messages: [{ role: "user", content: "I feel sad today." }],
});
console.log(choices[0]?.message?.content);

await logger.close();
const { accepted, delivered } = logger.stats;
console.log(`${delivered} of ${accepted} traces delivered`);
