import * as z from "zod/mini";
import { publishedTraceSchema } from "../src/published-contract.ts";
import { DEFAULT_TRACE_OBJECT } from "../src/trace.ts";

/** Of each field, in the words of the published schema. */
const DESCRIPTIONS: Readonly<Record<string, string>> = {
  model: "The model name",
  created: "Unix timestamp of when the trace was created",
  system_fingerprint: "The fingerprint of the system. If not provided, the model will be used.",
  id: "The ID of the trace. If not provided, the server will assign a random UUID by the endpoint. Must be unique across all traces with the same fingerprint.",
  object: "The object type. Defaults to `chat.trace`.",
  messages: "An array of message objects.",
  role: "The role should be one of system, user, or assistant.",
  content: "The content of the message.",
  choices: "Field for compatibility with OpenAI's API.",
  usage: "Field for compatibility with OpenAI's API.",
};

/** The published contract as draft-04 JSON Schema, derived from the zod schema. */
export function deriveTraceJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(publishedTraceSchema, {
    target: "draft-4",
    io: "input",
    override: ({ jsonSchema, path }) => {
      // zod spells out that other fields are welcome, which the published schema does not; and whether a number is
      // whole is a refinement, which zod does not convert.
      delete jsonSchema.additionalProperties;
      if (jsonSchema.type === "number") jsonSchema.type = "integer";
      if (jsonSchema.properties && Object.keys(jsonSchema.properties).length === 0) delete jsonSchema.properties;
      const description = DESCRIPTIONS[String(path.at(-1))];
      if (description) jsonSchema.description = description;
      if (path.at(-1) === "object") jsonSchema.default = DEFAULT_TRACE_OBJECT;
    },
  });
}

export function renderTraceJsonSchema(): string {
  return `// Generated from publishedTraceSchema (published-contract.ts) by \`npm run generate\`: a constant, because zod's converter would
// weigh more than the rest of the contract together. A test proves that it is up to date.

/** The published contract as draft-04 JSON Schema: what a gateway's request validator is given. */
export const traceJsonSchema = ${JSON.stringify(deriveTraceJsonSchema(), null, 2)} as const;
`;
}
