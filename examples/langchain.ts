/**
 * LangChain, traced by a callback handler: a chain, then a stream.
 *
 *     OPENAI_API_KEY=… TRACELOGGER_API_KEY=… node examples/langchain.ts
 *
 * OPENAI_BASE_URL and OPENAI_MODEL name another OpenAI-compatible provider, TRACELOGGER_ENDPOINT another endpoint.
 */
import { ChatPromptTemplate } from "@langchain/core/prompts";
import { ChatOpenAI } from "@langchain/openai";
import { TraceLogger } from "tracelogger";
import { tracingHandler } from "tracelogger/langchain";

const logger = new TraceLogger();
const model = new ChatOpenAI({
  model: process.env.OPENAI_MODEL ?? "gpt-5-mini",
  configuration: process.env.OPENAI_BASE_URL ? { baseURL: process.env.OPENAI_BASE_URL } : {},
  callbacks: [tracingHandler(logger)],
});

const prompt = ChatPromptTemplate.fromMessages([
  ["system", "You are a patient listener."],
  ["human", "{feeling}"],
]);
const { text } = await prompt.pipe(model).invoke({ feeling: "I am unhappy about my work." });
console.log(text);

for await (const piece of await model.stream("I feel sad today.")) process.stdout.write(piece.text);
console.log();

await logger.close();
const { accepted, delivered } = logger.stats;
console.log(`${delivered} of ${accepted} traces delivered`);
