/**
 * The AI SDK's prompt and content parts as OpenAI-style messages. A part that has no such form stays as it is, so
 * that nothing is lost: sources, provider-executed tool results, custom parts, metadata.
 */
import type {
  LanguageModelV4File,
  LanguageModelV4FilePart,
  LanguageModelV4Message,
  LanguageModelV4Prompt,
  LanguageModelV4ReasoningPart,
  LanguageModelV4ToolCallPart,
  LanguageModelV4ToolResultPart,
} from "@ai-sdk/provider";
import type { SaidPart } from "./ai-sdk-parts.ts";
import { mediaPart } from "./media-part.ts";
import type { ChatMessage } from "./model-call.ts";

type Tool = Extract<LanguageModelV4Message, { role: "tool" }>["content"][number];
type Part = Exclude<LanguageModelV4Message, { role: "system" }>["content"][number] | SaidPart;

/** What was said to the model. */
export function promptToMessages(prompt: LanguageModelV4Prompt): ChatMessage[] {
  return prompt.flatMap((message): ChatMessage[] => {
    const { role, content, ...others } = message;
    const rest = defined(others);
    if (role === "system") return [{ role, content, ...rest }];
    if (role === "tool") return content.map((part) => ({ ...toolMessage(defined(part)), ...rest }));
    return [{ ...partsToMessage(role, content), ...rest }];
  });
}

/** What parts say in one message: text as `content`, reasoning as `reasoning_content`, tool calls as `tool_calls`. */
export function partsToMessage(role: "user" | "assistant", said: readonly Part[]): ChatMessage {
  const parts = said.map(defined);
  const reasoning = parts.filter((part) => part.type === "reasoning");
  const toolCalls = parts.filter((part) => part.type === "tool-call");
  const others = parts.filter((part) => part.type !== "reasoning" && part.type !== "tool-call").map(toContentPart);
  return {
    role,
    content: others.length > 0 || role === "user" ? onlyText(others) : toolCalls.length > 0 ? null : "",
    ...reasoningFields(reasoning),
    ...(toolCalls.length > 0 && { tool_calls: toolCalls.map(toToolCall) }),
  };
}

/** The SDK writes fields that it does not use as `undefined`: they would make a plain text look like more. */
function defined<T extends object>(value: T): T {
  // Only fields that say nothing are gone.
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as T;
}

/** A single bare text is a string, as in OpenAI's messages; anything else is a list of parts. */
function onlyText(parts: readonly Record<string, unknown>[]): unknown {
  const [first] = parts;
  const isBare = parts.length === 1 && first?.type === "text" && Object.keys(first).length === 2;
  return isBare ? first.text : parts;
}

/** One reasoning text is a string, several are a list; what the provider adds to them stands beside, in their order. */
function reasoningFields(parts: readonly Pick<LanguageModelV4ReasoningPart, "text">[]): object {
  if (parts.length === 0) return {};
  const texts = parts.map((part) => part.text);
  const details = parts.map(({ text: _, ...rest }) => rest);
  const hasDetails = details.some((detail) => Object.keys(detail).length > 1);
  return {
    reasoning_content: texts.length === 1 ? texts[0] : texts,
    ...(hasDetails && { reasoning_details: details }),
  };
}

/** `input` is JSON text when the model has just said it, and a value when it comes back in a prompt. */
function toToolCall(
  part: Pick<LanguageModelV4ToolCallPart, "toolCallId" | "toolName" | "input"> & { type: "tool-call" },
) {
  const { type: _, toolCallId, toolName, input, ...rest } = part;
  const written = typeof input === "string" ? input : (JSON.stringify(input) ?? "");
  return { id: toolCallId, type: "function", function: { name: toolName, arguments: written }, ...rest };
}

function toolMessage(part: Tool): ChatMessage {
  if (part.type !== "tool-result") return { role: "tool", content: [part] };
  const { type: _, toolCallId, toolName, output, ...rest } = part;
  return { role: "tool", tool_call_id: toolCallId, name: toolName, ...toolOutput(output), ...rest };
}

/** Text is `content`; any other kind of output is named beside it. */
function toolOutput(output: LanguageModelV4ToolResultPart["output"]): Record<string, unknown> {
  const { type, ...rest } = output;
  const kind = type === "text" ? {} : { output_type: type };
  if (!("value" in rest)) return { content: rest.reason ?? "", ...kind };
  const { value, ...options } = rest;
  if (typeof value === "string" && type !== "json" && type !== "error-json")
    return { content: value, ...kind, ...options };
  if (type === "content" && Array.isArray(value))
    return { content: value.map((part) => toContentPart(defined(part))), ...kind, ...options };
  return { content: JSON.stringify(value), ...kind, ...options };
}

function toContentPart(part: Record<string, unknown> | Part): Record<string, unknown> {
  return part.type === "file" && "mediaType" in part
    ? // The AI SDK's only part of this type.
      toFilePart(part as LanguageModelV4FilePart | LanguageModelV4File)
    : { ...part };
}

function toFilePart(part: LanguageModelV4FilePart | LanguageModelV4File): Record<string, unknown> {
  const { type: _, data, mediaType, ...rest } = part;
  if (data.type === "text") return { type: "text", text: data.text, media_type: mediaType, ...rest };
  if (data.type === "reference") return { type: "file", file: { ...data.reference, media_type: mediaType }, ...rest };
  if (data.type === "data") return mediaPart({ mediaType, data: data.data }, rest);
  return mediaPart({ mediaType, url: ("originalUrl" in data && data.originalUrl) || data.url }, rest);
}
