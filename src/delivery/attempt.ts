/** One POST, once. Retrying is the queue's: ky's own retry would sleep inside a slot, on its own, and skip POST anyway. */
import ky, { isNetworkError } from "ky";
import { timerMs } from "./deadline.ts";
import { type Answer, type Verdict, verdictOf, verdictOfFailure } from "./verdict.ts";

export interface AttemptOptions {
  readonly endpoint: string;
  readonly apiKey?: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly fetch?: typeof fetch | undefined;
  /** For the whole exchange, the answer's last byte included. */
  readonly timeoutMs: number;
  readonly compress: "none" | "gzip";
}

/**
 * Sends JSON: one trace, or a list. Never rejects; gives up when `signal` aborts. `judge` reads the answer, where it is
 * not the usual one to a single trace.
 */
export type Attempt = (json: string, signal: AbortSignal, judge?: typeof verdictOf) => Promise<Verdict>;

/** An answer has a few hundred bytes for each trace. More is a page of something else, and is not read to its end. */
const MAX_ANSWER_BYTES = 1024 * 1024;
/** Shorter bodies gain nothing. */
const MIN_BYTES_TO_COMPRESS = 1024;

export function createAttempt(options: AttemptOptions): Attempt {
  const headers = {
    ...options.headers,
    "content-type": "application/json",
    ...(options.apiKey === undefined ? {} : { "x-api-key": options.apiKey }),
  };
  const post: Post = async (body, more, { signal, judge }) => {
    const deadline = withDeadline(signal, options.timeoutMs);
    try {
      const response = await ky.post(options.endpoint, {
        body,
        headers: { ...headers, ...more },
        retry: 0,
        timeout: false,
        throwHttpErrors: false,
        redirect: "manual",
        signal: deadline.signal,
        ...(options.fetch ? { fetch: heedful(options.fetch, deadline.aborted) } : {}),
      });
      // Raced, since not every `fetch` ends a body that is being read when its signal aborts.
      return judge(await Promise.race([readAnswer(response), deadline.aborted]), Date.now());
    } catch (cause) {
      // ky's own error holds the request, and whoever prints it prints the key: what it stands for is what happened.
      return verdictOfFailure(isNetworkError(cause) ? (cause.cause ?? cause) : cause, deadline.passed());
    } finally {
      deadline.clear();
    }
  };
  const plain: Attempt = (json, signal, judge = verdictOf) => post(json, {}, { signal, judge });
  return options.compress === "gzip" ? compressed(post, plain) : plain;
}

/** A host's `fetch` may neither answer nor heed its signal. */
function heedful(fetch: typeof globalThis.fetch, aborted: Promise<never>): typeof globalThis.fetch {
  return async (...args) => Promise.race([fetch(...args), aborted]);
}

type Post = (
  body: string | ArrayBuffer,
  headers: Readonly<Record<string, string>>,
  how: { readonly signal: AbortSignal; readonly judge: typeof verdictOf },
) => Promise<Verdict>;

/**
 * Compresses, until an endpoint does not take it: with 415, or with whatever it says to bytes that it takes for broken
 * JSON. So a refusal is believed only of the body as it is, until a compressed one has passed.
 */
function compressed(post: Post, plain: Attempt): Attempt {
  let takesGzip: boolean | undefined;
  return async (json, signal, judge = verdictOf) => {
    if (takesGzip === false || json.length < MIN_BYTES_TO_COMPRESS) return plain(json, signal, judge);
    const zipped = await gzip(json).catch(() => undefined); // not every runtime can
    if (!zipped) return plain(json, signal, judge);
    const verdict = await post(zipped, { "content-encoding": "gzip" }, { signal, judge });
    if (verdict.kind === "delivered") takesGzip = true;
    const is415 = verdict.kind === "held" && verdict.error.status === 415;
    const isRefused = verdict.kind === "rejected" && !verdict.tooLarge && !takesGzip;
    if (!is415 && !isRefused) return verdict;
    const plainVerdict = await plain(json, signal, judge);
    if (is415 || plainVerdict.kind === "delivered") takesGzip = false;
    return plainVerdict;
  };
}

async function gzip(json: string): Promise<ArrayBuffer> {
  return new Response(new Blob([json]).stream().pipeThrough(new CompressionStream("gzip"))).arrayBuffer();
}

/** One signal for the caller's abort and for the time limit; the limit holds for headers and body together. */
function withDeadline(outer: AbortSignal, timeoutMs: number) {
  const controller = new AbortController();
  let timedOut = false;
  const abort = () => controller.abort(outer.reason);
  const timer = setTimeout(() => {
    timedOut = true;
    controller.abort(new DOMException(`No answer within ${timeoutMs} ms`, "TimeoutError"));
  }, timerMs(timeoutMs));
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
