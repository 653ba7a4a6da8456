/** One call, as it passed the fetch boundary: what the rooms that read it (`chat-completions`, …) are given. */
import { isObject, type JsonObject } from "../json.ts";
import type { TraceInput } from "../trace.ts";
import { type CallEnding, toCallMessage } from "../transcript.ts";

export interface CapturedCall {
  /** The request's body as text; absent when it could not be read (a stream). */
  readonly requestText: string | undefined;
  /** The response's body as text; `""` when none came. */
  readonly responseText: string;
  /** The same as JSON, if that is known already. */
  readonly responseJson?: JsonObject | undefined;
  /** What came last, where a long response was not kept whole: between the two, `droppedBytes` are missing. */
  readonly tailText: string;
  /** Absent when no response came. */
  readonly status: number | undefined;
  readonly droppedBytes: number;
  /** Absent when the response was read to its end. */
  readonly ending: CallEnding | undefined;
}

export function parseJson(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? "");
  } catch {
    return undefined;
  }
}

export function parseObject(text: string | undefined): JsonObject | undefined {
  const value = parseJson(text);
  return isObject(value) ? value : undefined;
}

/** By its form, not by its content type: errors come as JSON in event streams, and some servers name no type at all. */
export function isEventStream(text: string): boolean {
  return /^\s*(?:data|event|id|retry)?:/.test(text);
}

/** The response as far as it was kept, with a mark where something is missing. */
export function keptText({ responseText, tailText, droppedBytes }: CapturedCall): string {
  return droppedBytes > 0 ? `${responseText}${missing(droppedBytes)}${tailText}` : responseText;
}

export function missing(bytes: number): string {
  return `\n[… ${bytes} bytes left out …]\n`;
}

/** The response as JSON, if it is an object. */
export function responseObject(call: CapturedCall): JsonObject | undefined {
  return call.responseJson ?? parseObject(keptText(call).trim());
}

/** What is kept of a call that no reader could read (nested deeper than the stack, say): both sides as they came. */
export function rawTrace(call: CapturedCall): TraceInput {
  const { requestText = "", ending } = call;
  return {
    model: "unknown",
    messages: [
      { role: "user", content: requestText },
      { role: "assistant", content: keptText(call) },
      ...(ending ? [toCallMessage(ending)] : []),
    ],
  };
}
