/** LangChain's messages as OpenAI-style ones. What has no such form stays as it is, so that nothing is lost. */
import type { BaseMessage } from "@langchain/core/messages";
import type { Generation } from "@langchain/core/outputs";
import { isBytes } from "./bytes.ts";
import { mediaPart } from "./media-part.ts";
import type { ChatMessage } from "./model-call.ts";

type Fields = Record<string, unknown>;

/** One message: of a prompt, of a reply, or the chunks of a reply put together. */
export function toChatMessage(message: BaseMessage): ChatMessage {
  // LangChain's classes differ in their fields; each is looked for, none is relied on.
  const fields: Fields & Pick<BaseMessage, "content"> = { ...message, content: message.content };
  const { tool_calls: rawCalls, __openai_role__: openaiRole, ...kwargs } = publicKwargs(message, fields);
  const toolCalls = isRawCalls(rawCalls) ? rawCalls.map(withoutIndex) : standardCalls(fields);
  const content = toContent(fields.content);
  return {
    role: roleOf(message, fields, openaiRole),
    content: content === "" && toolCalls.length > 0 ? null : content,
    ...pick(fields, ["name", "tool_call_id"]),
    ...(fields["status"] === "error" && { status: "error" }),
    ...kwargs,
    ...(toolCalls.length > 0 && { tool_calls: toolCalls }),
  };
}

const ROLES: Record<string, string> = { human: "user", ai: "assistant", system: "system", tool: "tool" };

function roleOf(message: BaseMessage, fields: Fields, openaiRole: unknown): string {
  if (typeof openaiRole === "string") return openaiRole; // "developer", as @langchain/openai marks it
  const type = message.getType();
  return ROLES[type] ?? (typeof fields["role"] === "string" ? fields["role"] : type);
}

/** `additional_kwargs` hold what the provider said beyond LangChain's own fields, and some notes of LangChain's. */
function publicKwargs(message: BaseMessage, { tool_calls: _ }: Fields): Fields {
  const entries = Object.entries(message.additional_kwargs ?? {});
  return Object.fromEntries(
    entries.filter(([key, value]) => value !== undefined && (key === "__openai_role__" || !key.startsWith("__"))),
  );
}

function toContent(content: BaseMessage["content"]): unknown {
  return Array.isArray(content) ? content.map(toPart) : content;
}

function toPart(block: unknown): unknown {
  if (typeof block !== "object" || block === null) return block;
  const { type, data, mimeType, mime_type, source_type: _, ...rest } = block as Fields; // an object, as just checked
  const isMedia = type === "image" || type === "audio" || type === "video" || type === "file";
  if (!isMedia || (typeof data !== "string" && !isBytes(data))) return block;
  const mediaType = String(mimeType ?? mime_type ?? (type === "file" ? "" : type));
  return mediaPart({ mediaType, data }, rest);
}

type RawCall = { function: { arguments: string } };

/** The provider's own tool calls, with the arguments as it wrote them. */
function isRawCalls(calls: unknown): calls is (RawCall & Fields)[] {
  return (
    Array.isArray(calls) && calls.length > 0 && calls.every((call) => typeof call?.function?.arguments === "string")
  );
}

/** `index` is how the pieces of a stream are told apart, and says nothing afterwards. */
const withoutIndex = ({ index: _, ...call }: RawCall & Fields): Fields => call;

/** LangChain's parsed calls, and those it could not parse. */
function standardCalls({ tool_calls, invalid_tool_calls }: Fields): Fields[] {
  const calls = [tool_calls, invalid_tool_calls].flatMap((list) => (Array.isArray(list) ? list : []));
  return calls.map(({ id, name, args, type: _, index: __, ...rest }) => ({
    id,
    type: "function",
    function: { name, arguments: typeof args === "string" ? args : JSON.stringify(args ?? {}) },
    ...pick(rest, Object.keys(rest)),
  }));
}

function pick(fields: Fields, names: readonly string[]): Fields {
  return Object.fromEntries(names.map((name) => [name, fields[name]]).filter(([, value]) => value !== undefined));
}

/** What one generation said: chat models give a message, completion models only text. */
export function generationMessage(generation: Generation | undefined): BaseMessage | undefined {
  return generation !== undefined && "message" in generation
    ? (generation.message as BaseMessage) // ChatGeneration, the only kind with this field
    : undefined;
}
