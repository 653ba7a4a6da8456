/** One POST, once. Retrying is the queue's: ky's own retry would sleep inside a slot, on its own, and skip POST anyway. */
import ky from "ky";
import { type Answer, type Verdict, verdictOf, verdictOfFailure } from "./verdict.ts";

export interface AttemptOptions {
  readonly endpoint: string;
  readonly apiKey?: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly fetch?: typeof fetch | undefined;
  /** For the whole exchange, the answer's last byte included. */
  readonly timeoutMs: number;
}

/** Sends one trace, as JSON. Never rejects; gives up when `signal` aborts. */
export type Attempt = (json: string, signal: AbortSignal) => Promise<Verdict>;

/** The endpoint's answers have a few hundred bytes. More is a page of something else, and is not read to its end. */
const MAX_ANSWER_BYTES = 256 * 1024;

export function createAttempt(options: AttemptOptions): Attempt {
  const headers = {
    ...options.headers,
    "content-type": "application/json",
    ...(options.apiKey === undefined ? {} : { "x-api-key": options.apiKey }),
  };
  return async (json, signal) => {
    const deadline = withDeadline(signal, options.timeoutMs);
    try {
      const response = await ky.post(options.endpoint, {
        body: json,
        headers,
        signal: deadline.signal,
        retry: 0,
        timeout: false,
        throwHttpErrors: false,
        redirect: "manual",
        ...(options.fetch ? { fetch: options.fetch } : {}),
      });
      // Raced, since not every `fetch` ends a body that is being read when its signal aborts.
      return verdictOf(await Promise.race([readAnswer(response), deadline.aborted]), Date.now());
    } catch (cause) {
      return verdictOfFailure(cause, deadline.passed());
    } finally {
      deadline.clear();
    }
  };
}

/** One signal for the caller's abort and for the time limit; the limit holds for headers and body together. */
function withDeadline(outer: AbortSignal, timeoutMs: number) {
  const controller = new AbortController();
  let timedOut = false;
  const abort = () => controller.abort(outer.reason);
  const timer = setTimeout(() => {
    timedOut = true;
    controller.abort(new DOMException(`No answer within ${timeoutMs} ms`, "TimeoutError"));
  }, timeoutMs);
  if (outer.aborted) abort();
  outer.addEventListener("abort", abort, { once: true });
  const aborted = new Promise<never>((_resolve, reject) => {
    controller.signal.addEventListener("abort", () => reject(controller.signal.reason), { once: true });
  });
  aborted.catch(() => {}); // nobody waits for it while headers are awaited
  return {
    signal: controller.signal,
    aborted,
    passed: () => timedOut,
    clear() {
      clearTimeout(timer);
      outer.removeEventListener("abort", abort);
    },
  };
}

async function readAnswer(response: Response): Promise<Answer> {
  return { status: response.status, headers: response.headers, body: await readBounded(response.body) };
}

async function readBounded(body: ReadableStream<Uint8Array> | null): Promise<string> {
  if (!body) return "";
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.byteLength;
    text += decoder.decode(chunk, { stream: true });
    if (bytes > MAX_ANSWER_BYTES) break; // leaving the loop cancels the stream, which frees the socket
  }
  return text + decoder.decode();
}
