/**
 * The contract as it was published, word for word in meaning: looser than trace.ts, and with `choices` as an object only.
 * `traceJsonSchema` is derived from it, and the endpoint's request validator is it. Not part of the client: without
 * descriptions (`z.describe`), because zod keeps those in a registry that every import of the client would carry along.
 */
import * as z from "zod/mini";
import { TRACE_ROLES } from "./trace.ts";

const anyObject = z.looseObject({});
/** As JSON Schema has it: any number without a fraction, however large. (zod's own `int` wants a safe integer.) */
const wholeNumber = z.number().check(z.refine((value) => Number.isInteger(value)));

export const publishedTraceSchema = z.looseObject({
  model: z.string(),
  created: wholeNumber,
  system_fingerprint: z.optional(z.string()),
  id: z.optional(z.string()),
  object: z.optional(z.string()),
  messages: z.array(z.looseObject({ role: z.enum(TRACE_ROLES), content: z.string() })),
  choices: z.optional(anyObject),
  usage: z.optional(anyObject),
});
