import type {
  LanguageModelV4,
  LanguageModelV4CallOptions,
  LanguageModelV4FinishReason,
  LanguageModelV4GenerateResult,
  LanguageModelV4StreamResult,
  LanguageModelV4Usage,
} from "@ai-sdk/provider";
import type { LanguageModelMiddleware } from "ai";
import type { OpenCall, TraceSink } from "../sink.ts";
import type { CallEnding } from "../transcript.ts";
import { partsToMessage, promptToMessages } from "./ai-sdk-messages.ts";
import { collectParts, observeParts, type PartCollector, type SaidPart } from "./ai-sdk-parts.ts";
import { type CallControl, HEADER, readControl } from "./call-control.ts";
import { isCaptured, logCall, type ModelCall, resolveSharedOptions, toEnding } from "./model-call.ts";
import { closeCall, openCall } from "./open-calls.ts";
import { takeHeader } from "./request.ts";

/** Options of {@link tracingMiddleware}. */
export interface TracingMiddlewareOptions {
  /** Also trace calls that failed or were aborted before the model said anything. @default false */
  readonly captureErrors?: boolean | undefined;
  /**
   * Asked before every call that would be traced; `false` leaves it alone. It fails closed: when it throws, the call is
   * made and not traced.
   *
   * @default every call
   */
  readonly shouldCapture?: ((call: ModelCallInfo) => boolean) | undefined;
}

/** What {@link TracingMiddlewareOptions.shouldCapture} decides by. */
export interface ModelCallInfo {
  readonly modelId: string;
  readonly provider: string;
  /** Prompt, tools, provider options and the rest, as the model is given them. */
  readonly params: MiddlewareCall["params"];
}

// By `ai` and not by `@ai-sdk/provider`, which our declarations could not find where packages are not hoisted (pnpm).
type MiddlewareCall = Parameters<NonNullable<LanguageModelMiddleware["wrapGenerate"]>>[0];

/**
 * A middleware for `wrapLanguageModel` of the Vercel AI SDK (`ai` 7): every call of the model becomes a trace, each
 * step of a multi-step generation its own. Works with any provider, also those that do not speak OpenAI's format or
 * take no custom `fetch`. Where the provider is OpenAI-style and takes a `fetch`, `tracingFetch` keeps more: the
 * provider's own words instead of the SDK's translation of them. Use one of the two, or every call is traced twice.
 *
 * What the model gives back is passed on unchanged, part by part as it is read; nothing here throws into a call.
 *
 * `traceHeaders` of the main entry name one call, sample it by its conversation, or leave it out: give them as `headers`
 * of `generateText` and the like; the model does not see them.
 *
 * @throws {TraceLoggerError} `invalid_option`
 * @example
 * const model = wrapLanguageModel({ model: openai("gpt-5"), middleware: tracingMiddleware(logger) });
 * await generateText({ model, prompt: "Hello" });
 */
export function tracingMiddleware(sink: TraceSink, options: TracingMiddlewareOptions = {}): LanguageModelMiddleware {
  const { captureErrors, shouldCapture } = resolveSharedOptions(sink, options, ["captureErrors", "shouldCapture"]);
  const startCall = (params: LanguageModelV4CallOptions, model: LanguageModelV4): Call | undefined => {
    const control = controlOf(params);
    const { modelId, provider } = model;
    if (!isCaptured(control, shouldCapture, () => ({ modelId, provider, params }))) return undefined;
    return { sink, control, captureErrors, params, model };
  };
  return {
    specificationVersion: "v4",
    transformParams: async ({ params }) => withoutControlHeader(params),
    wrapGenerate: ({ doGenerate, params, model }) => {
      const call = startCall(params, model);
      return call ? traceGenerate(doGenerate, call) : doGenerate();
    },
    wrapStream: ({ doStream, params, model }) => {
      const call = startCall(params, model);
      return call ? traceStream(doStream, call) : doStream();
    },
  };
}

/** Where the header's content is held: a copy of the parameters, as other middlewares make it, takes a symbol along. */
const controlKey = Symbol.for("tracelogger.control");
type ControlledParams = LanguageModelV4CallOptions & { readonly [controlKey]?: CallControl };

function withoutControlHeader(params: ControlledParams): ControlledParams {
  const found = takeHeader(params.headers, HEADER);
  if (!found) return params;
  const headers = found.others as Record<string, string | undefined>; // in the form in which they were given
  return { ...params, headers, [controlKey]: readControl(found.value) };
}

function controlOf(params: ControlledParams): CallControl {
  return params[controlKey] ?? {};
}

interface Call {
  readonly sink: TraceSink;
  readonly control: CallControl;
  readonly captureErrors: boolean;
  readonly params: LanguageModelV4CallOptions;
  readonly model: LanguageModelV4;
}

async function traceGenerate(
  doGenerate: () => PromiseLike<LanguageModelV4GenerateResult>,
  call: Call,
): Promise<LanguageModelV4GenerateResult> {
  const result = await orFailure(doGenerate, call);
  logCall(call.sink, call.control, () =>
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
  openCall(streaming, call.sink, stream);
  return { ...result, stream };
}

async function orFailure<T>(start: () => PromiseLike<T>, call: Call): Promise<T> {
  try {
    return await start();
  } catch (error) {
    if (call.captureErrors) {
      const ending = toEnding(error, call.params.abortSignal);
      logCall(call.sink, call.control, () => toModelCall(call, { content: [], ending }));
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
    const { sink, control } = this.#call;
    closeCall(this, sink);
    this.#call.params.abortSignal?.removeEventListener("abort", this.abandon);
    const { content, modelId, finish } = this.#parts;
    logCall(sink, control, () => toModelCall(this.#call, { content, modelId, finish, ending }));
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
