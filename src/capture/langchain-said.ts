import type { BaseMessage, BaseMessageChunk } from "@langchain/core/messages";
import { toChatMessage } from "./langchain-messages.ts";
import type { ChatMessage } from "./model-call.ts";

/** So many chunks are put together at a time: LangChain's own way of doing it costs more than the chunk itself. */
const FOLD_AT = 32;

/**
 * What a stream has said so far, for the case that it does not end well: LangChain then gives back nothing of it.
 * Plain text is kept as text; chunks with tool calls, reasoning or content blocks are put together by LangChain.
 */
export class SaidSoFar {
  #text = "";
  #chunks: BaseMessageChunk[] = [];

  add(token: string, chunk: BaseMessageChunk | undefined): void {
    if (chunk === undefined || isPlainText(chunk)) this.#text += token;
    else if (this.#chunks.push(chunk) >= FOLD_AT)
      this.#chunks = [fold(this.#chunks)].filter((one) => one !== undefined);
  }

  toMessage(): ChatMessage {
    const rest = fold(this.#chunks);
    if (rest === undefined) return { role: "assistant", content: this.#text };
    const message = toChatMessage(rest as BaseMessage & BaseMessageChunk); // a chunk is a message
    return { ...message, role: "assistant", content: withText(this.#text, message.content) };
  }
}

function isPlainText(chunk: BaseMessageChunk): boolean {
  const calls = "tool_call_chunks" in chunk && Array.isArray(chunk.tool_call_chunks) ? chunk.tool_call_chunks : [];
  return typeof chunk.content === "string" && calls.length === 0 && Object.keys(chunk.additional_kwargs).length === 0;
}

function fold(chunks: readonly BaseMessageChunk[]): BaseMessageChunk | undefined {
  return chunks.length === 0 ? undefined : chunks.reduce((whole, chunk) => whole.concat(chunk));
}

function withText(text: string, content: unknown): unknown {
  if (text === "") return content;
  if (Array.isArray(content)) return [{ type: "text", text }, ...content];
  return text + (typeof content === "string" ? content : "");
}
