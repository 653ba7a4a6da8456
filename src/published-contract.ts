/**
 * The contract as it was published, word for word in meaning: looser than trace.ts, and with `choices` as an object only.
 * `traceJsonSchema` is derived from it, and the endpoint's request validator is it. Not part of the client.
 */
import * as z from "zod/mini";
import { TRACE_ROLES } from "./trace.ts";

const anyObject = z.looseObject({});
/** As JSON Schema has it: any number without a fraction, however large. (zod's own `int` wants a safe integer.) */
const wholeNumber = z.number().check(z.refine((value) => Number.isInteger(value)));

export const publishedTraceSchema = z.looseObject({
  model: z.string().check(z.describe("The model name")),
  created: wholeNumber.check(z.describe("Unix timestamp of when the trace was created")),
  system_fingerprint: z.optional(
    z.string().check(z.describe("The fingerprint of the system. If not provided, the model will be used.")),
  ),
  id: z.optional(
    z
      .string()
      .check(
        z.describe(
          "The ID of the trace. If not provided, the server will assign a random UUID by the endpoint. Must be unique across all traces with the same fingerprint.",
        ),
      ),
  ),
  object: z.optional(z.string().check(z.describe("The object type. Defaults to `chat.trace`."))),
  messages: z
    .array(
      z.looseObject({
        role: z.enum(TRACE_ROLES).check(z.describe("The role should be one of system, user, or assistant.")),
        content: z.string().check(z.describe("The content of the message.")),
      }),
    )
    .check(z.describe("An array of message objects.")),
  choices: z.optional(anyObject.check(z.describe("Field for compatibility with OpenAI's API."))),
  usage: z.optional(anyObject.check(z.describe("Field for compatibility with OpenAI's API."))),
});
