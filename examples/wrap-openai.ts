/**
 * The openai client, wrapped: a call, then a stream.
 *
 *     OPENAI_API_KEY=… TRACELOGGER_API_KEY=… node examples/wrap-openai.ts
 *
 * OPENAI_BASE_URL and OPENAI_MODEL name another OpenAI-compatible provider, TRACELOGGER_ENDPOINT names another endpoint.
 */
import OpenAI from "openai";
import { TraceLogger, wrapOpenAI } from "../src/index.ts"; // users write "tracelogger"

const logger = new TraceLogger();
const openai = wrapOpenAI(new OpenAI(), logger);
const model = process.env.OPENAI_MODEL ?? "gpt-5-mini";

const { choices } = await openai.chat.completions.create({
  model,
  messages: [{ role: "user", content: "I am unhappy about my work." }],
});
console.log(choices[0]?.message.content);

const stream = await openai.chat.completions.create({
  model,
  messages: [{ role: "user", content: "I feel sad today." }],
  stream: true,
});
for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta.content ?? "");
console.log();

await logger.close();
const { accepted, delivered } = logger.stats;
console.log(`${delivered} of ${accepted} traces delivered`);
