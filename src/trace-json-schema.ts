// Generated from publishedTraceSchema (published-contract.ts) by `npm run generate`: a constant, because zod's converter would
// weigh more than the rest of the contract together. A test proves that it is up to date.

/** The published contract as draft-04 JSON Schema: what a gateway's request validator is given. */
export const traceJsonSchema = {
  $schema: "http://json-schema.org/draft-04/schema#",
  type: "object",
  properties: {
    model: {
      type: "string",
      description: "The model name",
    },
    created: {
      type: "integer",
      description: "Unix timestamp of when the trace was created",
    },
    system_fingerprint: {
      type: "string",
      description: "The fingerprint of the system. If not provided, the model will be used.",
    },
    id: {
      type: "string",
      description:
        "The ID of the trace. If not provided, the server will assign a random UUID by the endpoint. Must be unique across all traces with the same fingerprint.",
    },
    object: {
      type: "string",
      description: "The object type. Defaults to `chat.trace`.",
      default: "chat.trace",
    },
    messages: {
      type: "array",
      items: {
        type: "object",
        properties: {
          role: {
            type: "string",
            enum: ["system", "user", "assistant"],
            description: "The role should be one of system, user, or assistant.",
          },
          content: {
            type: "string",
            description: "The content of the message.",
          },
        },
        required: ["role", "content"],
      },
      description: "An array of message objects.",
    },
    choices: {
      type: "object",
      description: "Field for compatibility with OpenAI's API.",
    },
    usage: {
      type: "object",
      description: "Field for compatibility with OpenAI's API.",
    },
  },
  required: ["model", "created", "messages"],
} as const;
