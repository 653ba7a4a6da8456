import type { LanguageModelV4Content, LanguageModelV4StreamPart, LanguageModelV4StreamResult } from "@ai-sdk/provider";

type Finish = Extract<LanguageModelV4StreamPart, { type: "finish" }>;

/** A tool call of which only a piece arrived before the stream ended. */
export interface PartialToolCall {
  type: "tool-call";
  toolCallId: string;
  toolName: string;
  input: string;
  partial: true;
}

/** What a model said, in the AI SDK's parts. */
export type SaidPart = LanguageModelV4Content | PartialToolCall;

/** Puts the parts of a stream together as they pass: what had been said is there at any time, whole or not. */
export interface PartCollector {
  readonly content: readonly SaidPart[];
  readonly modelId: string | undefined;
  readonly finish: Finish | undefined;
  /** The stream's own `error` part: the SDK hands errors on as parts, and the stream then ends without one. */
  readonly failure: { readonly error: unknown } | undefined;
  add(part: LanguageModelV4StreamPart): void;
}

export function collectParts(): PartCollector {
  const content: SaidPart[] = [];
  const open = new Map<string, SaidPart>();
  const collector: { -readonly [Key in keyof PartCollector]: PartCollector[Key] } = {
    content,
    modelId: undefined,
    finish: undefined,
    failure: undefined,
    add(part) {
      if (part.type === "response-metadata") collector.modelId = part.modelId ?? collector.modelId;
      else if (part.type === "finish") collector.finish = part;
      else if (part.type === "error") collector.failure ??= { error: part.error };
      else addContent(part, content, open);
    },
  };
  return collector;
}

type ContentPart = Exclude<LanguageModelV4StreamPart, { type: "response-metadata" | "finish" | "error" }>;

function addContent(part: ContentPart, content: SaidPart[], open: Map<string, SaidPart>): void {
  switch (part.type) {
    case "stream-start": // warnings
    case "raw": // the same again, in the provider's words
    case "ping":
    case "tool-input-end": // the whole `tool-call` follows
      return;
    case "text-start":
    case "reasoning-start":
    case "tool-input-start":
      begin(part, content, open);
      return;
    case "text-delta":
    case "reasoning-delta":
    case "tool-input-delta":
      append(part, open);
      return;
    case "text-end":
    case "reasoning-end":
      end(part, open);
      return;
    case "tool-call":
      put(part, `tool-input:${part.toolCallId}`, { content, open });
      return;
    case "tool-result": // a preliminary result is replaced by the next one
      put(part, `tool-result:${part.toolCallId}`, { content, open });
      return;
    default:
      content.push(part);
  }
}

type Start = Extract<LanguageModelV4StreamPart, { type: "text-start" | "reasoning-start" | "tool-input-start" }>;
type Delta = Extract<LanguageModelV4StreamPart, { type: "text-delta" | "reasoning-delta" | "tool-input-delta" }>;
type End = Extract<LanguageModelV4StreamPart, { type: "text-end" | "reasoning-end" }>;

const keyOf = (part: Start | Delta | End): string => `${part.type.replace(/-\w+$/, "")}:${part.id}`;

function begin(part: Start, content: SaidPart[], open: Map<string, SaidPart>): void {
  const said: SaidPart =
    part.type === "tool-input-start"
      ? { type: "tool-call", toolCallId: part.id, toolName: part.toolName, input: "", partial: true }
      : { type: part.type === "text-start" ? "text" : "reasoning", text: "", ...metadataOf(part) };
  content.push(said);
  open.set(keyOf(part), said);
}

function append(part: Delta, open: Map<string, SaidPart>): void {
  const said = open.get(keyOf(part));
  if (said?.type === "tool-call") said.input += part.delta;
  else if (said?.type === "text" || said?.type === "reasoning")
    Object.assign(said, metadataOf(part)).text += part.delta;
}

function end(part: End, open: Map<string, SaidPart>): void {
  const said = open.get(keyOf(part));
  if (said === undefined) return;
  Object.assign(said, metadataOf(part), part.type === "text-end" && part.citations && { citations: part.citations });
}

const metadataOf = (part: Start | Delta | End) => part.providerMetadata && { providerMetadata: part.providerMetadata };

/** In the place of the piece that it completes or replaces, else at the end. */
function put(part: SaidPart, key: string, said: { content: SaidPart[]; open: Map<string, SaidPart> }): void {
  const earlier = said.open.get(key);
  const index = earlier === undefined ? -1 : said.content.indexOf(earlier);
  if (index === -1) said.content.push(part);
  else said.content[index] = part;
  said.open.set(key, part);
}

/** What happens to a stream, told as it happens. */
export interface StreamObserver {
  onPart(part: LanguageModelV4StreamPart): void;
  onEnd(): void;
  onCancel(): void;
  onError(error: unknown): void;
}

/**
 * The same stream, observed. It reads a part only when its reader asks for one, so that back-pressure reaches the
 * provider, and holds none back; the parts, errors and cancellation pass as they are.
 */
export function observeParts(
  stream: LanguageModelV4StreamResult["stream"],
  observer: StreamObserver,
): LanguageModelV4StreamResult["stream"] {
  const reader = stream.getReader();
  return new ReadableStream<LanguageModelV4StreamPart>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (done) controller.close();
          else controller.enqueue(value);
          observeSafely(() => (done ? observer.onEnd() : observer.onPart(value)));
        } catch (error) {
          observeSafely(() => observer.onError(error));
          throw error; // errors the stream with the very same error
        }
      },
      cancel(reason) {
        observeSafely(() => observer.onCancel());
        return reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
}

/** A part that nobody has thought of must not become an error of the stream. */
function observeSafely(observe: () => void): void {
  try {
    observe();
  } catch {}
}
