import { TraceLoggerError } from "../errors.ts";
import type { TraceSink } from "../sink.ts";
import { type CaptureOptions, resolveCaptureOptions } from "./options.ts";
import { type Fetch, tracesTo, tracingFetch } from "./tracing-fetch.ts";

/** What we need of a client: SDKs of the OpenAI make call the `fetch` they hold. */
interface Client {
  fetch: Fetch;
  withOptions?(options: { fetch: Fetch }): Client;
}

/**
 * The same client, traced: every chat completion that is made through it, by whatever method, goes to the sink. Works
 * with `openai` and the SDKs built like it. The user of the client sees no difference, and the client given stays as it
 * is; only clients without `withOptions` (`openai` 4) are changed in place and given back.
 *
 * @throws {TraceLoggerError} `unsupported_client` for what holds no `fetch`, `invalid_option` for bad options.
 * @example
 * const openai = wrapOpenAI(new OpenAI(), logger);
 */
export function wrapOpenAI<C extends object>(client: C, sink: TraceSink, options: CaptureOptions = {}): C {
  resolveCaptureOptions(sink, options);
  if (!isClient(client)) throw unsupported(client);
  if (tracesTo(client.fetch, sink)) return client;
  const fetch = tracingFetch(sink, { ...options, fetch: client.fetch });
  const wrapped = withFetch(client, fetch);
  // A subclass may not hand its options on, and older clients take none.
  if (wrapped.fetch !== fetch) wrapped.fetch = fetch;
  return wrapped as C & Client; // `withOptions` gives back the class it is called on
}

function withFetch(client: Client, fetch: Fetch): Client {
  try {
    return client.withOptions?.({ fetch }) ?? client;
  } catch (cause) {
    throw unsupported(client, cause);
  }
}

function isClient(client: object): client is Client {
  return typeof client === "object" && client !== null && "fetch" in client && typeof client.fetch === "function";
}

function unsupported(client: unknown, cause?: unknown): TraceLoggerError {
  const got =
    typeof client === "object" && client !== null ? `an object of class ${client.constructor?.name}` : typeof client;
  return new TraceLoggerError(
    `wrapOpenAI cannot wrap ${got}: expected a client like \`new OpenAI()\`, which makes its calls through a \`fetch\` of its own. ` +
      "If your client takes a custom `fetch`, give it `tracingFetch(logger)`; else call `logTrace` yourself.",
    { code: "unsupported_client", cause },
  );
}
