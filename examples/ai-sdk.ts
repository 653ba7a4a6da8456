/**
 * The Vercel AI SDK, traced by a middleware: a tool over two steps, then a stream.
 *
 *     OPENAI_API_KEY=… TRACELOGGER_API_KEY=… node examples/ai-sdk.ts
 *
 * OPENAI_BASE_URL and OPENAI_MODEL name another OpenAI-compatible provider, TRACELOGGER_ENDPOINT another endpoint.
 */
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, isStepCount, streamText, tool, wrapLanguageModel } from "ai";
import { TraceLogger } from "tracelogger";
import { tracingMiddleware } from "tracelogger/ai-sdk";
import * as z from "zod";

const logger = new TraceLogger();
const openai = createOpenAI(process.env.OPENAI_BASE_URL ? { baseURL: process.env.OPENAI_BASE_URL } : {});
const model = wrapLanguageModel({
  model: openai.chat(process.env.OPENAI_MODEL ?? "gpt-5-mini"),
  middleware: tracingMiddleware(logger),
});

const weather = tool({
  description: "The weather in a city",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => ({ city, sky: "clear", celsius: 21 }),
});

const { text } = await generateText({
  model,
  tools: { weather },
  stopWhen: isStepCount(3),
  prompt: "What is the weather in Paris?",
});
console.log(text);

for await (const piece of streamText({ model, prompt: "I feel sad today." }).textStream) process.stdout.write(piece);
console.log();

await logger.close();
const { accepted, delivered } = logger.stats;
console.log(`${delivered} of ${accepted} traces delivered`);
