import type {
  LanguageModelV4,
  LanguageModelV4CallOptions,
  LanguageModelV4FinishReason,
  LanguageModelV4GenerateResult,
  LanguageModelV4StreamResult,
  LanguageModelV4Usage,
} from "@ai-sdk/provider";
import type { LanguageModelMiddleware } from "ai";
import type { TraceSink } from "../sink.ts";
import type { CallEnding } from "../transcript.ts";
import { partsToMessage, promptToMessages } from "./ai-sdk-messages.ts";
import { collectParts, observeParts, type PartCollector, type SaidPart } from "./ai-sdk-parts.ts";
import { logCall, type ModelCall, toEnding } from "./model-call.ts";
import { abandonWhenCollected, closeCall, type OpenCall, openCall } from "./open-calls.ts";
import { resolveCaptureOptions } from "./options.ts";

/** Options of {@link tracingMiddleware}. */
export interface TracingMiddlewareOptions {
  /** Also trace calls that failed or were aborted before the model said anything. @default false */
  readonly captureErrors?: boolean | undefined;
}

/**
 * A middleware for `wrapLanguageModel` of the Vercel AI SDK (`ai` 7): every call of the model becomes a trace, each
 * step of a multi-step generation its own. Works with any provider, also those that do not speak OpenAI's format or
 * take no custom `fetch`. Where the provider is OpenAI-style and takes a `fetch`, `tracingFetch` keeps more: the
 * provider's own words instead of the SDK's translation of them. Use one of the two, or every call is traced twice.
 *
 * What the model gives back is passed on unchanged, part by part as it is read; nothing here throws into a call.
 *
 * @throws {TraceLoggerError} `invalid_option`
 * @example
 * const model = wrapLanguageModel({ model: openai("gpt-5"), middleware: tracingMiddleware(logger) });
 * await generateText({ model, prompt: "Hello" });
 */
export function tracingMiddleware(sink: TraceSink, options: TracingMiddlewareOptions = {}): LanguageModelMiddleware {
  const { captureErrors } = resolveCaptureOptions(sink, options);
  return {
    specificationVersion: "v4",
    wrapGenerate: ({ doGenerate, params, model }) => traceGenerate(doGenerate, { sink, captureErrors, params, model }),
    wrapStream: ({ doStream, params, model }) => traceStream(doStream, { sink, captureErrors, params, model }),
  };
}

interface Call {
  readonly sink: TraceSink;
  readonly captureErrors: boolean;
  readonly params: LanguageModelV4CallOptions;
  readonly model: LanguageModelV4;
}

async function traceGenerate(
  doGenerate: () => PromiseLike<LanguageModelV4GenerateResult>,
  call: Call,
): Promise<LanguageModelV4GenerateResult> {
  const result = await orFailure(doGenerate, call);
  logCall(call.sink, () =>
    toModelCall(call, {
      content: result.content,
      finish: result,
      modelId: result.response?.modelId,
      ending: undefined,
    }),
  );
  return result;
}

async function traceStream(
  doStream: () => PromiseLike<LanguageModelV4StreamResult>,
  call: Call,
): Promise<LanguageModelV4StreamResult> {
  const result = await orFailure(doStream, call);
  const streaming = new StreamingCall(call);
  const stream = observeParts(result.stream, streaming);
  abandonWhenCollected(streaming, stream);
  return { ...result, stream };
}

async function orFailure<T>(start: () => PromiseLike<T>, call: Call): Promise<T> {
  try {
    return await start();
  } catch (error) {
    if (call.captureErrors) {
      logCall(call.sink, () => toModelCall(call, { content: [], ending: toEnding(error, call.params.abortSignal) }));
    }
    throw error;
  }
}

/** One stream, from its first part to whichever end it meets first. */
class StreamingCall implements OpenCall {
  readonly #call: Call;
  readonly #parts: PartCollector = collectParts();
  #isOver = false;

  constructor(call: Call) {
    this.#call = call;
    openCall(this);
    // The SDK stops reading at an abort without cancelling, and then nobody else would tell.
    call.params.abortSignal?.addEventListener("abort", this.abandon, { once: true });
  }

  onPart(part: Parameters<PartCollector["add"]>[0]): void {
    this.#parts.add(part);
  }

  onEnd(): void {
    const { failure, finish } = this.#parts;
    if (failure !== undefined) this.onError(failure.error);
    else this.#endWith(finish?.finishReason.unified === "interrupted" ? { ended: "failed" } : undefined);
  }

  onError(error: unknown): void {
    this.#endWith(toEnding(error, this.#call.params.abortSignal));
  }

  onCancel(): void {
    this.abandon();
  }

  readonly abandon = (): void => this.#endWith({ ended: "aborted" });

  #endWith(ending: CallEnding | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    closeCall(this);
    this.#call.params.abortSignal?.removeEventListener("abort", this.abandon);
    const { content, modelId, finish } = this.#parts;
    logCall(this.#call.sink, () => toModelCall(this.#call, { content, modelId, finish, ending }));
  }
}

interface Said {
  readonly content: readonly SaidPart[];
  readonly modelId?: string | undefined;
  readonly finish?: { finishReason: LanguageModelV4FinishReason; usage: LanguageModelV4Usage } | undefined;
  readonly ending: CallEnding | undefined;
}

function toModelCall({ params, model }: Call, { content, modelId, finish, ending }: Said): ModelCall {
  const hasReply = content.length > 0 || finish !== undefined;
  return {
    model: modelId ?? model.modelId,
    messages: promptToMessages(params.prompt),
    choices: hasReply
      ? [
          {
            index: 0,
            message: partsToMessage("assistant", content),
            finish_reason: toFinishReason(finish?.finishReason),
          },
        ]
      : [],
    usage: finish?.usage,
    ending,
  };
}

/** The provider's own word, else the SDK's in OpenAI's spelling. */
function toFinishReason(reason: LanguageModelV4FinishReason | undefined): string | null {
  return reason?.raw ?? reason?.unified.replaceAll("-", "_") ?? null;
}
