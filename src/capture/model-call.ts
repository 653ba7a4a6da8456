/** From a model call that a framework has told us of, however it ended, to the trace that goes to the sink. */
import { invalidOption } from "../errors.ts";
import { isObject } from "../json.ts";
import type { TraceSink } from "../sink.ts";
import type { TraceInput } from "../trace.ts";
import { type CallEnding, choiceMessages, toCallMessage, toTraceMessage } from "../transcript.ts";
import { isBytes } from "./bytes.ts";
import type { CallControl } from "./call-control.ts";
import { toEnding as endingOf } from "./ending.ts";
import { logMarked } from "./mark-trace.ts";
import { describeMedia } from "./media.ts";
import { whenThere } from "./once.ts";
import { type CaptureOptions, resolveCaptureOptions } from "./options.ts";

/** An OpenAI-style message, open-ended. */
export type ChatMessage = { readonly role: string; readonly [field: string]: unknown };

/** One reply, in OpenAI's form of a choice. */
export type Choice = { readonly index: number; readonly message: ChatMessage; readonly [field: string]: unknown };

export interface ModelCall {
  readonly model: string;
  /** What was said to the model. */
  readonly messages: readonly ChatMessage[];
  readonly choices: readonly Choice[];
  /** As it came. */
  readonly usage?: object | undefined;
  /** Absent when the call is complete. */
  readonly ending: CallEnding | undefined;
}

/** What an adapter takes of the options of capture: the requests are not its own to change or to bound. */
type SharedOptions<Call> = Pick<CaptureOptions<Call>, "captureErrors" | "shouldCapture">;

/**
 * @param names of the options that this adapter has
 * @throws {TraceLoggerError} `invalid_option`
 */
export function resolveSharedOptions<Call>(sink: TraceSink, options: SharedOptions<Call>, names: readonly string[]) {
  const unknown = Object.keys(options ?? {}).find((name) => !names.includes(name));
  if (unknown !== undefined)
    throw invalidOption(`There is no option \`${unknown}\` here. There are: ${names.join(", ")}.`);
  const shared = ({ captureErrors, shouldCapture }: SharedOptions<Call>) => ({ captureErrors, shouldCapture });
  return resolveCaptureOptions(sink, isObject(options) ? shared(options) : options);
}

/** Hand the trace of a call to the sink. Never throws into the call. */
export function logCall(sink: TraceSink, control: CallControl, build: () => ModelCall): void {
  logMarked(sink, control, () => toTrace(build()));
}

function toTrace({ model, messages, choices, usage, ending }: ModelCall): TraceInput | Promise<TraceInput> {
  const said = { messages: toPlainData(messages), choices: toPlainData(choices) };
  return whenThere(describeMedia(said), () => {
    const stored = [...said.messages.map((message) => toTraceMessage(message)), ...choiceMessages(said.choices)];
    return {
      model,
      // The contract wants something to be said: an empty call says how it ended.
      messages: ending || stored.length === 0 ? [...stored, toCallMessage(ending ?? { ended: "complete" })] : stored,
      ...(choices.length > 0 && { choices: said.choices }),
      ...(usage && { usage: { ...usage } }),
    };
  });
}

/** A copy that is ours to change, with bytes as base64: how media is recognised, and then replaced by its hash. */
function toPlainData<T>(value: readonly T[]): T[] {
  // Data stays data; what JSON does not know (functions, undefined) says nothing.
  return JSON.parse(
    JSON.stringify(value, function (this: Record<string, unknown>, key: string, seen: unknown) {
      const bytes = this[key]; // not `seen`: Node's Buffers are lists of numbers there already
      if (isBytes(bytes)) return toBase64(bytes);
      return typeof seen === "bigint" ? String(seen) : seen;
    }),
  ) as T[];
}

/** Without `Buffer`, which only Node has. */
function toBase64(bytes: Uint8Array): string {
  let binary = "";
  // In pieces: `fromCharCode` takes its bytes as arguments, of which there may not be too many.
  for (let start = 0; start < bytes.length; start += 8192) {
    binary += String.fromCharCode(...bytes.subarray(start, start + 8192));
  }
  return btoa(binary);
}

/** Is this call traced? It fails closed: when `shouldCapture` throws, the call is made and not traced. */
export function isCaptured<Call>(
  { off }: CallControl,
  shouldCapture: ((call: Call) => boolean) | undefined,
  describe: () => Call,
): boolean {
  try {
    return !off && (!shouldCapture || Boolean(shouldCapture(describe())));
  } catch {
    return false;
  }
}

/** The ending that an error means. */
export function toEnding(error: unknown, signal: AbortSignal | undefined): CallEnding {
  return endingOf(error, signal, plainError);
}

/** An error that a stream told is handed on as what the provider said of it, in an object without a class. */
function plainError(error: unknown): unknown {
  // That is a prototype which has none itself: each realm (Jest's) has its own.
  const prototype: unknown = Object.getPrototypeOf(Object(error));
  if (prototype === null || Object.getPrototypeOf(prototype) !== null) return undefined;
  const { data: _, ...told }: Record<string, unknown> = Object(error);
  try {
    // Beside a message, `data` is the event it was read from, which may hold the whole answer once more.
    return toPlainData([typeof told["message"] === "string" ? told : error])[0];
  } catch {
    return undefined; // it is no data: cyclic, say
  }
}
