/**
 * Nothing leaves this process with a key, an e-mail address or a card number in it.
 *
 *     OPENAI_API_KEY=… TRACELOGGER_API_KEY=… node examples/redact.ts
 *
 * OPENAI_BASE_URL and OPENAI_MODEL name another OpenAI-compatible provider, TRACELOGGER_ENDPOINT another endpoint.
 */
import OpenAI from "openai";
import { TraceLogger, wrapOpenAI } from "tracelogger";
import { composeRedactors, redactCardNumbers, redactEmails, redactSecrets } from "tracelogger/redact";

const logger = new TraceLogger({ redact: composeRedactors(redactSecrets(), redactEmails(), redactCardNumbers()) });
const openai = wrapOpenAI(new OpenAI(), logger);

const { choices } = await openai.chat.completions.create({
  model: process.env.OPENAI_MODEL ?? "gpt-5-mini",
  messages: [{ role: "user", content: "My address is bob@example.com, my card 4111 1111 1111 1111." }],
});
console.log(choices[0]?.message.content);

await logger.close();
const { accepted, delivered } = logger.stats;
console.log(`${delivered} of ${accepted} traces delivered`);
