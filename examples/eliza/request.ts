import * as z from "zod";

/** The models that this server offers. */
export const MODELS = ["eliza", "eliza-mini"] as const;

/** A request that is answered with an error in OpenAI's form. */
export class RequestError extends Error {
  readonly status: number;
  readonly body: { error: { message: string; type: string; param: string | null; code: string | null } };

  constructor(status: number, message: string, details: { param?: string; code?: string } = {}) {
    super(message);
    this.status = status;
    const { param = null, code = null } = details;
    this.body = { error: { message, type: status < 500 ? "invalid_request_error" : "server_error", param, code } };
  }
}

const textPart = z.looseObject({ type: z.string(), text: z.string().optional() });
const toolCall = z.looseObject({
  id: z.string(),
  type: z.literal("function"),
  function: z.looseObject({ name: z.string(), arguments: z.string() }),
});
const message = z.discriminatedUnion("role", [
  z.looseObject({
    role: z.enum(["system", "developer", "user"]),
    content: z.union([z.string(), z.array(textPart).min(1)]),
  }),
  z.looseObject({
    role: z.literal("assistant"),
    content: z.union([z.string(), z.array(textPart)]).nullish(),
    tool_calls: z.array(toolCall).optional(),
  }),
  z.looseObject({
    role: z.literal("tool"),
    content: z.union([z.string(), z.array(textPart)]),
    tool_call_id: z.string(),
  }),
]);
const tool = z.looseObject({
  type: z.literal("function"),
  function: z.looseObject({
    name: z.string().min(1).max(64),
    description: z.string().optional(),
    parameters: z.looseObject({ properties: z.record(z.string(), z.unknown()).optional() }).optional(),
  }),
});
const chatRequest = z.looseObject({
  model: z.string(),
  messages: z.array(message).min(1),
  n: z.int().min(1).max(8).nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().optional() }).nullish(),
  tools: z.array(tool).optional(),
  tool_choice: z
    .union([
      z.enum(["none", "auto", "required"]),
      z.looseObject({ type: z.literal("function"), function: z.looseObject({ name: z.string() }) }),
    ])
    .optional(),
  max_tokens: z.int().min(1).nullish(),
  max_completion_tokens: z.int().min(1).nullish(),
});

export type ChatRequest = z.output<typeof chatRequest>;
export type ChatMessage = ChatRequest["messages"][number];
export type Tool = z.output<typeof tool>;
export type ToolCall = z.output<typeof toolCall>;

/**
 * Read the body of `POST /v1/chat/completions`.
 *
 * @throws {RequestError} 400 or 404 in OpenAI's form, naming the parameter that is wrong.
 */
export function parseChatRequest(body: string): ChatRequest {
  const result = chatRequest.safeParse(parseJson(body));
  if (!result.success) {
    const [issue] = result.error.issues;
    const param = z.core.toDotPath(issue?.path ?? []);
    throw new RequestError(400, `Invalid '${param}': ${issue?.message ?? "not understood"}.`, {
      param,
      code: "invalid_value",
    });
  }
  refuseUnsupported(result.data);
  return result.data;
}

function refuseUnsupported(request: ChatRequest): void {
  const known: readonly string[] = MODELS;
  if (!known.includes(request.model)) {
    const message = `The model '${request.model}' does not exist. Available: ${MODELS.join(", ")}.`;
    throw new RequestError(404, message, { code: "model_not_found" });
  }
  if (request.stream_options && !request.stream) {
    throw new RequestError(400, "'stream_options' is only allowed when 'stream' is true.", {
      param: "stream_options",
      code: "invalid_value",
    });
  }
  const format = request["response_format"];
  if (typeof format === "object" && format !== null && "type" in format && format.type !== "text") {
    throw new RequestError(400, "ELIZA answers in plain text only.", {
      param: "response_format",
      code: "unsupported_value",
    });
  }
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    throw new RequestError(400, "We could not parse the JSON body of your request.", { code: "invalid_json" });
  }
}

/** What a message says, as plain text. */
export function textOf(message: ChatMessage): string {
  if (typeof message.content === "string") return message.content;
  return (message.content ?? []).flatMap(({ text }) => text ?? []).join("\n");
}
