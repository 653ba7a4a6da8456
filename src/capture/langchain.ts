import type { CallbackHandlerMethods } from "@langchain/core/callbacks/base";
import type { BaseMessage } from "@langchain/core/messages";
import type { Generation, LLMResult } from "@langchain/core/outputs";
import type { OpenCall, TraceSink } from "../sink.ts";
import type { CallEnding } from "../transcript.ts";
import { type CallControl, HEADER, readControl } from "./call-control.ts";
import { generationMessage, toChatMessage } from "./langchain-messages.ts";
import { SaidSoFar } from "./langchain-said.ts";
import {
  type ChatMessage,
  type Choice,
  isCaptured,
  logCall,
  type ModelCall,
  resolveSharedOptions,
  toEnding,
} from "./model-call.ts";
import { closeCall, openCall, touchCall } from "./open-calls.ts";
import { checkOption } from "./options.ts";

/** Options of {@link tracingHandler}. */
export interface TracingHandlerOptions {
  /** Also trace calls that failed or were aborted before the model said anything. @default false */
  readonly captureErrors?: boolean | undefined;
  /**
   * Asked before every call that would be traced; `false` leaves it alone. It fails closed: when it throws, the call is
   * made and not traced.
   *
   * @default every call
   */
  readonly shouldCapture?: ((call: RunInfo) => boolean) | undefined;
  /**
   * How many calls may be under way at once. LangChain never tells the end of a stream that its reader broke out of;
   * beyond this number the oldest call is taken for such a one and traced as aborted. So is, when another call begins,
   * one of which nothing was heard for an hour. @default 1_000
   */
  readonly maxOpenCalls?: number | undefined;
}

/** What {@link TracingHandlerOptions.shouldCapture} decides by. */
export interface RunInfo {
  readonly model: string;
  /** What is said to the model; texts, where it is a completion model. */
  readonly messages: readonly (BaseMessage | string)[];
  readonly tags: readonly string[];
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** What LangChain takes in `callbacks`. */
export interface TracingHandler extends CallbackHandlerMethods {
  /** LangChain waits for the handler, so that a `flush` right after a call does not miss its trace. */
  readonly awaitHandlers: true;
  /**
   * Trace every call that is still open as aborted, with what was said so far. For the place where you break out of a
   * stream without an `AbortSignal` and flush right afterwards; without it this happens when the logger is closed, or
   * when the process ends.
   */
  endOpenCalls(): void;
}

/**
 * A callback handler for LangChain's models: every call of a model becomes a trace, each step of an agent and each
 * input of a batch its own. Pass it wherever LangChain takes `callbacks`: to a model, to `invoke`, to a chain. In more
 * than one of these places it traces a call once, and so do several handlers of one logger.
 *
 * `traceHeaders` of the main entry name one call, sample it by its conversation, or leave it out: give them as `metadata`
 * (`model.invoke(input, { metadata: traceHeaders({ off: true }) })`), which LangChain keeps from the provider.
 *
 * LangChain runs no callbacks for its newer `streamEvents` (without `version`); use `tracingFetch` there.
 *
 * @throws {TraceLoggerError} `invalid_option`
 * @example
 * const model = new ChatOpenAI({ model: "gpt-5", callbacks: [tracingHandler(logger)] });
 */
export function tracingHandler(sink: TraceSink, options: TracingHandlerOptions = {}): TracingHandler {
  const names = ["captureErrors", "shouldCapture", "maxOpenCalls"];
  const { captureErrors, shouldCapture } = resolveSharedOptions(sink, options, names);
  const { maxOpenCalls = 1_000 } = options;
  const isCount = Number.isSafeInteger(maxOpenCalls) && maxOpenCalls > 0;
  checkOption("maxOpenCalls", "a whole number above 0", maxOpenCalls, isCount);
  const runs = new Map<string, Run>();
  const followed = followedFor(sink);
  const start = (runId: string, input: RunInput, { tags = [], metadata = {} }: RunLabels): void => {
    if (followed.has(runId)) return; // this handler, or another of this sink: in the model's callbacks and in the call's
    const control = HEADER in metadata ? readControl(metadata[HEADER]) : {};
    const { model, messages } = input;
    if (!isCaptured(control, shouldCapture, () => ({ model, messages, tags, metadata }))) return;
    const onEnd = () => {
      runs.delete(runId);
      followed.delete(runId);
    };
    runs.set(runId, new Run(input, { sink, control, captureErrors, onEnd }));
    followed.add(runId);
    if (runs.size > maxOpenCalls) runs.values().next().value?.abandon();
  };
  return {
    awaitHandlers: true,
    handleChatModelStart: (llm, messages, runId, _parent, extra, tags, metadata) =>
      start(runId, { messages: messages.flat(), ...describeCall(llm, extra, metadata) }, { tags, metadata }),
    handleLLMStart: (llm, prompts, runId, _parent, extra, tags, metadata) =>
      start(runId, { messages: prompts, ...describeCall(llm, extra, metadata) }, { tags, metadata }),
    handleLLMNewToken: (token, { completion }, runId, _parent, _tags, fields) =>
      runs.get(runId)?.said(completion).add(token, chunkMessage(fields?.chunk)),
    handleLLMEnd: (result, runId) => runs.get(runId)?.complete(result),
    handleLLMError: (error, runId) => runs.get(runId)?.fail(error),
    endOpenCalls: () => {
      for (const run of runs.values()) run.abandon();
    },
  };
}

/** Which runs a sink is told of already, by whichever of its handlers. */
const followedBySink = new WeakMap<TraceSink, Set<string>>();

function followedFor(sink: TraceSink): Set<string> {
  const followed = followedBySink.get(sink) ?? new Set();
  followedBySink.set(sink, followed);
  return followed;
}

interface RunInput {
  readonly messages: readonly (BaseMessage | string)[];
  readonly model: string;
  readonly signal: AbortSignal | undefined;
}

interface RunLabels {
  readonly tags: readonly string[] | undefined;
  readonly metadata: Fields | undefined;
}

interface RunContext {
  readonly sink: TraceSink;
  readonly control: CallControl;
  readonly captureErrors: boolean;
  onEnd(): void;
}

/** One call, from its start to whichever end it meets first. */
class Run implements OpenCall {
  readonly #input: RunInput;
  readonly #context: RunContext;
  readonly #said = new Map<number, SaidSoFar>();
  #isOver = false;

  constructor(input: RunInput, context: RunContext) {
    this.#input = input;
    this.#context = context;
    openCall(this, context.sink);
  }

  /** What the n-th completion has said so far. */
  said(completion: number): SaidSoFar {
    touchCall(this);
    const said = this.#said.get(completion) ?? new SaidSoFar();
    this.#said.set(completion, said);
    return said;
  }

  complete(result: LLMResult): void {
    this.#endWith(() => {
      const generations = result.generations.flat();
      const usage = usageOf(generations[0], result.llmOutput);
      // The choices of a stream are run together by LangChain, and so is the model's name.
      if (this.#said.size > Math.max(generations.length, 1))
        return { ...this.#call(this.#choicesSoFar(), undefined), usage };
      const reply = generationMessage(generations[0])?.response_metadata ?? {};
      return {
        ...this.#call(generations.map(toChoice), undefined),
        model: firstString(reply["model_name"], reply["model"], result.llmOutput?.["model_name"]) ?? this.#input.model,
        usage,
      };
    });
  }

  fail(error: unknown): void {
    if (this.#said.size > 0 || this.#context.captureErrors) this.#endUnfinished(toEnding(error, this.#input.signal));
    else this.#close();
  }

  abandon(): void {
    this.#endUnfinished({ ended: "aborted" });
  }

  #endUnfinished(ending: CallEnding): void {
    this.#endWith(() => this.#call(this.#choicesSoFar(), ending));
  }

  #choicesSoFar(): Choice[] {
    return [...this.#said].map(([index, said]) => ({ index, message: said.toMessage(), finish_reason: null }));
  }

  #call(choices: readonly Choice[], ending: CallEnding | undefined): ModelCall {
    return { model: this.#input.model, messages: this.#input.messages.map(toInputMessage), choices, ending };
  }

  #endWith(build: () => ModelCall): void {
    if (this.#isOver) return;
    this.#close();
    logCall(this.#context.sink, this.#context.control, build);
  }

  #close(): void {
    this.#isOver = true;
    closeCall(this, this.#context.sink);
    this.#context.onEnd();
  }
}

const toInputMessage = (message: BaseMessage | string): ChatMessage =>
  typeof message === "string" ? { role: "user", content: message } : toChatMessage(message);

function toChoice(generation: Generation | undefined, index: number): Choice {
  const message = generationMessage(generation);
  const { finish_reason, logprobs } = { ...message?.response_metadata, ...generation?.generationInfo } as Fields; // open-ended, and read as such
  return {
    index,
    message: message ? toChatMessage(message) : { role: "assistant", content: generation?.text ?? "" },
    finish_reason: firstString(finish_reason) ?? null,
    ...(logprobs !== undefined && logprobs !== null && { logprobs }),
  };
}

type Fields = Record<string, unknown>;

/** The provider's own figures where LangChain kept them, else LangChain's. */
function usageOf(generation: Generation | undefined, llmOutput: Fields | undefined): object | undefined {
  const message = generationMessage(generation);
  const candidates: unknown[] = [
    message?.response_metadata?.["usage"],
    message !== undefined && "usage_metadata" in message ? message.usage_metadata : undefined,
    llmOutput?.["tokenUsage"],
  ];
  return candidates.find((usage): usage is object => isObject(usage) && Object.keys(usage).length > 0);
}

function describeCall(
  llm: unknown,
  extra: Fields | undefined,
  metadata: Fields | undefined,
): Omit<RunInput, "messages"> {
  const params = asFields(extra?.["invocation_params"]);
  const { id, kwargs } = asFields(llm);
  const className = Array.isArray(id) ? id.at(-1) : undefined;
  const model = firstString(
    params["model"],
    params["model_name"],
    metadata?.["ls_model_name"],
    asFields(kwargs)["model"],
  );
  const { signal } = asFields(extra?.["options"]);
  return {
    model: model ?? firstString(className) ?? "unknown",
    signal: signal instanceof AbortSignal ? signal : undefined,
  };
}

function chunkMessage(chunk: unknown) {
  const { message } = asFields(chunk);
  return message as Parameters<SaidSoFar["add"]>[1]; // a ChatGenerationChunk's message; completion models have none
}

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null;
const asFields = (value: unknown): Fields => (isObject(value) ? { ...value } : {});
const firstString = (...values: unknown[]): string | undefined =>
  values.find((value): value is string => typeof value === "string" && value !== "");
