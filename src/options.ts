import * as z from "zod/mini";
import type { SpoolSetting } from "./delivery/open-spool.ts";
import { invalidOption, invalidValue, type TraceLoggerError } from "./errors.ts";
import { isObject, type JsonObject, valueAt } from "./json.ts";
import type { TraceLoggerEvent, TraceLoss } from "./receipts.ts";
import type { Trace } from "./trace.ts";

/** The existing endpoint (CONTRACT 1). */
export const PUBLISHED_ENDPOINT = "https://ziv3vcg14i.execute-api.us-east-1.amazonaws.com/prod";

/** What `new TraceLogger(options)` takes. Everything has a default; a bad value is refused at construction. */
export interface TraceLoggerOptions {
  /**
   * URL that traces are POSTed to.
   * @default the environment variable `TRACELOGGER_ENDPOINT`, else the published endpoint
   */
  readonly endpoint?: string | URL | undefined;
  /**
   * Usage-plan key, sent as `x-api-key`.
   * @default the environment variable `TRACELOGGER_API_KEY`, else none
   */
  readonly apiKey?: string | undefined;
  /** Used for traces that name no `system_fingerprint`. @default each trace's model */
  readonly systemFingerprint?: string | undefined;
  /** Further request headers. `authorization` is refused for API Gateway, which would take it for a signature and answer 403. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Sends the requests instead of the global `fetch`: a proxy, an agent, a test. */
  readonly fetch?: typeof fetch | undefined;
  /**
   * Milliseconds for one request, the whole answer included. Keep it above 29,000: API Gateway answers by then, and a
   * request that is given up earlier may have been stored, and is sent again.
   * @default 32_000
   */
  readonly timeoutMs?: number | undefined;
  /** When waiting traces leave: at this many, at this many bytes of JSON, or this long after the first one. */
  readonly batch?:
    | {
        /** @default 100 */
        readonly maxTraces?: number | undefined;
        /** @default 1_048_576 (1 MiB) */
        readonly maxBytes?: number | undefined;
        /** Milliseconds. @default 200 */
        readonly maxWaitMs?: number | undefined;
      }
    | undefined;
  /**
   * `single`: one POST a trace, as the published endpoint wants it. `batch`: what leaves together travels as one JSON array,
   * for endpoints that take those (`tracelogger/endpoint` does). One that refuses arrays gets single traces from then on.
   * @default "single"
   */
  readonly wire?: "single" | "batch" | undefined;
  /** Compress request bodies of 1 KiB and more; as they are from then on when the endpoint does not take it. @default "none" */
  readonly compress?: "none" | "gzip" | undefined;
  /** Most requests in flight at once. The logger starts with two and adapts to what the endpoint bears. @default 10 */
  readonly maxConcurrency?: number | undefined;
  /**
   * How much may wait in memory, traces in flight included, and what happens when it is full. With a spool that works, memory
   * takes 1,000 traces and 8 MiB of it at most: the rest waits on disk.
   */
  readonly queue?:
    | {
        /** @default 10_000 */
        readonly maxTraces?: number | undefined;
        /** Bytes of JSON. @default 67_108_864 (64 MiB) */
        readonly maxBytes?: number | undefined;
        /**
         * `reject-newest` loses the new trace, `drop-oldest` the one that waits longest, `wait` keeps the new one outside the
         * queue until there is room: for callers who await `logTrace` or `ready()`, since that is not bounded. With a spool
         * the disk comes first, and this holds only when it cannot take the trace.
         * @default "reject-newest"
         */
        readonly overflow?: "reject-newest" | "drop-oldest" | "wait" | undefined;
      }
    | undefined;
  /**
   * Largest trace, in bytes of JSON. Lambda takes 6,291,456 with its own wrapping. Larger traces of captured calls are
   * cut, and say so; those handed to `logTrace` are refused, unless it is told to `truncate`.
   * @default 6_000_000
   */
  readonly maxTraceBytes?: number | undefined;
  /**
   * Milliseconds after which an undelivered trace in memory is given up and reported lost. For traces on disk the spool's
   * own `maxAgeMs` holds (7 days).
   * @default 86_400_000 (24 h)
   */
  readonly maxAgeMs?: number | undefined;
  /**
   * A folder on a local disk (or an object with its `dir` and limits): every trace is written there before `logTrace`
   * returns, and what this process does not deliver, the next one does. Node only. All processes that deliver to the
   * same endpoint may share one folder.
   * @default none: traces wait in memory only
   */
  readonly spool?: SpoolSetting | undefined;
  /** Share of traces that are logged, 0 to 1; of conversations, where `logTrace` is given a `sampleKey`. @default 1 */
  readonly sampleRate?: number | undefined;
  /**
   * Last gate before a trace is encoded: gives back the trace to send. It fails closed: when it throws, rejects or gives
   * back something that is no trace, the trace is lost with the reason `redact_failed`, and nothing is sent.
   */
  readonly redact?: ((trace: Trace) => Trace | Promise<Trace>) | undefined;
  /** `false` switches the logger off: every call is skipped, the spool left alone. @default true, unless `TRACELOGGER_DISABLED` is set to anything but 0 or false */
  readonly enabled?: boolean | undefined;
  /**
   * On SIGTERM and SIGINT: `close` the logger, then let the signal end the process as it would have. Off by default, since
   * a listener changes what signals do.
   * @default false
   */
  readonly handleSignals?: boolean | undefined;
  /**
   * For platforms that freeze a process between requests: called with a promise whenever there is something to deliver,
   * which resolves when nothing is pending any more. Vercel: `waitUntil` of `@vercel/functions`; Cloudflare Workers:
   * `waitUntil` of `cloudflare:workers`.
   */
  readonly waitUntil?: ((promise: Promise<unknown>) => void) | undefined;
  /** Told of every lost trace, once, with the trace. When absent, the first loss is printed to stderr in one line. */
  readonly onLoss?: ((loss: TraceLoss) => void) | undefined;
  /** Told what the delivery goes through: backing off, held, recovered, …. When absent, a `held` endpoint is printed to stderr once. */
  readonly onEvent?: ((event: TraceLoggerEvent) => void) | undefined;
}

const atLeastOne = z.int().check(z.minimum(1));
const atLeastZero = z.int().check(z.minimum(0));
const text = z.string().check(z.minLength(1));
const callback = z.custom((value) => typeof value === "function");
// Not `z.boolean`, `z.number`, `z.record` and `z.url`: each weighs more than what it would do here.
const isShare = (value: unknown) => typeof value === "number" && value >= 0 && value <= 1;
const flag = z.custom<boolean>((value) => typeof value === "boolean");

function isHeaders(value: unknown): boolean {
  try {
    return isObject(value) && isStrings(value) && Boolean(new Headers(value));
  } catch {
    return false; // `fetch` would refuse it with every single request, and put the value into its message
  }
}

const isStrings = (value: JsonObject): value is Record<string, string> =>
  Object.values(value).every((one) => typeof one === "string");

const isKey = (value: unknown) => String(value).trim() !== "" && isHeaders({ "x-api-key": value });

function isEndpoint(value: unknown): boolean {
  try {
    const { protocol, username, password } = new URL(String(value));
    return /^https?:$/.test(protocol) && username + password === ""; // `fetch` takes no URL with these
  } catch {
    return false;
  }
}

const schema = z.strictObject({
  endpoint: z._default(z.custom<string>(isEndpoint), PUBLISHED_ENDPOINT),
  apiKey: z.optional(z.custom<string>(isKey)),
  systemFingerprint: z.optional(text),
  headers: z._default(z.custom<Readonly<Record<string, string>>>(isHeaders), {}),
  fetch: z.optional(callback),
  timeoutMs: z._default(atLeastOne, 32_000),
  batch: z.strictObject({
    maxTraces: z._default(atLeastOne, 100),
    maxBytes: z._default(atLeastOne, 1024 * 1024),
    maxWaitMs: z._default(atLeastZero, 200),
  }),
  wire: z._default(z.enum(["single", "batch"]), "single"),
  compress: z._default(z.enum(["none", "gzip"]), "none"),
  maxConcurrency: z._default(atLeastOne, 10),
  queue: z.strictObject({
    maxTraces: z._default(atLeastOne, 10_000),
    maxBytes: z._default(atLeastOne, 64 * 1024 * 1024),
    overflow: z._default(z.enum(["reject-newest", "drop-oldest", "wait"]), "reject-newest"),
  }),
  maxTraceBytes: z._default(atLeastOne, 6_000_000),
  maxAgeMs: z._default(atLeastOne, 24 * 60 * 60_000),
  sampleRate: z._default(z.custom<number>(isShare), 1),
  spool: z.optional(z.union([text, z.looseObject({ dir: text })])),
  redact: z.optional(callback),
  enabled: z._default(flag, true),
  handleSignals: z._default(flag, false),
  waitUntil: z.optional(callback),
  onLoss: z.optional(callback),
  onEvent: z.optional(callback),
});

type Callbacks = Pick<TraceLoggerOptions, "fetch" | "spool" | "redact" | "waitUntil" | "onLoss" | "onEvent">;

/** The options with every default filled in. */
export type ResolvedOptions = Readonly<Omit<z.output<typeof schema>, keyof Callbacks>> & Callbacks;

/** What each option must be, for the message when it is not. Options that are not named here are callbacks or strings. */
const EXPECTED: Readonly<Record<string, string>> = {
  endpoint: "an http(s) URL without a user name, here or in TRACELOGGER_ENDPOINT",
  headers: "an object of strings that can be headers",
  batch: "an object",
  queue: "an object",
  overflow: '"reject-newest", "drop-oldest" or "wait"',
  wire: '"single" or "batch"',
  compress: '"none" or "gzip"',
  spool: "a folder, or an object with `dir`",
  sampleRate: "a number from 0 to 1",
  enabled: "true or false",
  handleSignals: "true or false",
  maxWaitMs: "a whole number of milliseconds from 0",
  timeoutMs: "a whole number of milliseconds from 1",
  maxAgeMs: "a whole number of milliseconds from 1",
  maxTraces: "a whole number from 1",
  maxConcurrency: "a whole number from 1",
  maxBytes: "a whole number of bytes from 1",
  maxTraceBytes: "a whole number of bytes from 1",
  apiKey: "a string that is not empty and can be a header",
  systemFingerprint: "a string that is not empty",
};

/**
 * Fill in defaults and what the environment says.
 * @throws {TraceLoggerError} `invalid_option`, naming the option, what was expected and what came.
 */
export function resolveOptions(options: TraceLoggerOptions = {}): ResolvedOptions {
  if (!isObject(options)) throw invalidOption("The options must be an object.");
  const env = globalThis.process?.env ?? {};
  const { batch = {}, queue = {} } = options;
  const given = {
    ...options,
    batch,
    queue,
    endpoint: (options.endpoint ?? (env["TRACELOGGER_ENDPOINT"] || undefined))?.toString(),
    apiKey: options.apiKey ?? (env["TRACELOGGER_API_KEY"] || undefined),
    enabled: options.enabled ?? !isOn(env["TRACELOGGER_DISABLED"]),
  };
  const result = z.safeParse(schema, given);
  if (!result.success) throw badOption(result.error.issues[0], given);
  refuseAuthorization(result.data.endpoint, result.data.headers);
  // The callbacks were checked to be functions; zod/mini cannot carry their types.
  return result.data as ResolvedOptions;
}

function isOn(value = ""): boolean {
  return !/^(?:0|false|no|off)?$/i.test(value);
}

function badOption(issue: z.core.$ZodIssue | undefined, given: unknown): TraceLoggerError {
  if (issue?.code === "unrecognized_keys") {
    const names = [...issue.path, issue.keys.join(", ")].join(".");
    return invalidOption(`There is no option \`${names}\`: see TraceLoggerOptions.`);
  }
  const path = issue?.path ?? [];
  const name = String(path.at(-1) ?? "");
  return invalidValue(path.join("."), EXPECTED[name] ?? "a function", valueAt(given, path));
}

function refuseAuthorization(endpoint: string, headers: Readonly<Record<string, string>>): void {
  const isGateway = /\.execute-api\.[^/]+\.amazonaws\.com/i.test(endpoint);
  if (!isGateway || !Object.keys(headers).some((name) => name.toLowerCase() === "authorization")) return;
  throw invalidOption(
    "Option `headers.authorization`: API Gateway takes it for a signature and answers 403. Use `apiKey`.",
  );
}
