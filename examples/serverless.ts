/**
 * A serverless handler: the platform is asked to wait until the traces are delivered, the answer is not kept back.
 *
 *     OPENAI_API_KEY=… TRACELOGGER_API_KEY=… node examples/serverless.ts
 *
 * OPENAI_BASE_URL and OPENAI_MODEL name another OpenAI-compatible provider, TRACELOGGER_ENDPOINT names another endpoint.
 */
import OpenAI from "openai";
import { TraceLogger, wrapOpenAI } from "../src/index.ts"; // users write "tracelogger"

/** What platforms call `context.waitUntil`; a Lambda, which has none, ends its handler with `await logger.flush()`. */
const waiting: Promise<unknown>[] = [];
const waitUntil = (work: Promise<unknown>) => void waiting.push(work);

const logger = new TraceLogger({ waitUntil });
const openai = wrapOpenAI(new OpenAI(), logger);

export async function handler(request: Request): Promise<Response> {
  const { choices } = await openai.chat.completions.create({
    model: process.env.OPENAI_MODEL ?? "gpt-5-mini",
    messages: [{ role: "user", content: await request.text() }],
  });
  // Hands the trace over before the platform may freeze the process, and waits for nothing.
  waitUntil(logger.flush());
  return new Response(choices[0]?.message.content);
}

// What the platform does:
const response = await handler(new Request("http://localhost", { method: "POST", body: "I feel sad today." }));
console.log(await response.text());
await Promise.all(waiting);
const { accepted, delivered } = logger.stats;
console.log(`${delivered} of ${accepted} traces delivered`);
