/**
 * Every literal `code` an error of ours can carry, by what went wrong. Stable: code may switch on it.
 */
export type TraceLoggerErrorCode =
  /** An option of `TraceLogger`, `wrapOpenAI`, … has the wrong type or range. Thrown at construction. */
  | "invalid_option"
  /** `wrapOpenAI` was given something it cannot wrap. Thrown at once. */
  | "unsupported_client"
  /** The trace does not satisfy the contract. Carried by {@link TraceValidationError}. */
  | "invalid_trace"
  /** The endpoint will never take this trace. Carried by {@link TraceRejectedError}. */
  | "rejected"
  | DeliveryErrorCode;

/** Why a trace could not be delivered (yet, or ever), though nothing is wrong with the trace itself. */
export type DeliveryErrorCode =
  /** Connection refused or reset, DNS, TLS: no answer arrived. */
  | "network"
  /** No complete answer within `timeoutMs`. */
  | "timeout"
  /** The endpoint or the storage behind it failed (5xx, or a failure told inside an HTTP 200). */
  | "server"
  /** HTTP 200 or another success status whose body is not the endpoint's (a captive portal, a proxy's page). */
  | "not_an_endpoint"
  /** 429: too many requests; everything slows down. */
  | "throttled"
  /** 429 Limit Exceeded: the usage plan's quota is used up. */
  | "quota"
  /** 401 or 403: missing or wrong API key. */
  | "auth"
  /** 3xx, 404, 405, 415: the URL or the method is not the endpoint's. */
  | "config"
  /** More waiting traces than `queue` allows. */
  | "queue_full"
  /** Not delivered within `maxAgeMs`. */
  | "expired"
  /** This one trace kept failing while others passed. */
  | "poison"
  /** `logTrace` after `close`, or not delivered when `close` ran out of time. */
  | "closed"
  /** The process ended at once while the trace waited in memory. */
  | "exit"
  /** The trace stood only on disk and was destroyed there. */
  | "spool_lost"
  /** The `redact` option threw, rejected or gave back something that is not a trace. Nothing was sent. */
  | "redact_failed";

/** What every error constructor here takes besides its message. */
export interface TraceLoggerErrorOptions {
  readonly code: TraceLoggerErrorCode;
  readonly cause?: unknown;
}

// Shared by all copies of the package in a process (ESM and CJS, two versions), where `instanceof` fails.
const brand: unique symbol = Symbol.for("tracelogger.error");

/**
 * Base of every error this package makes. The message says what happened and what to do about it, and never
 * holds an API key or the text of a trace; `cause` keeps the underlying error.
 */
export class TraceLoggerError extends Error {
  override readonly name: string = "TraceLoggerError";
  readonly code: TraceLoggerErrorCode;
  readonly [brand] = true;

  constructor(message: string, options: TraceLoggerErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = options.code;
  }
}

/** What to throw for an option that cannot be used. */
export function invalidOption(message: string): TraceLoggerError {
  return new TraceLoggerError(message, { code: "invalid_option" });
}

/** The same for a value: which option, what was expected, and what came. */
export function invalidValue(name: string, expected: string, value: unknown): TraceLoggerError {
  return invalidOption(`Option \`${name}\`: expected ${expected}, got ${describeGot(value)}.`);
}

/** What came: of text and objects the type alone, since they may hold a key. */
export function describeGot(value: unknown): string {
  return typeof value === "string" || Object(value) === value ? typeof value : String(value);
}

/** One thing that is wrong with a trace. */
export interface TraceIssue {
  /** Where, as you would write it in code: `messages[2].content`; `""` for the trace as a whole. */
  readonly path: string;
  /** What the contract wants there. */
  readonly expected: string;
  /** What came instead: its type and size, never its text. */
  readonly got: string;
  /** What to write instead. */
  readonly hint: string;
}

/** A trace that does not satisfy the contract. `issues` lists everything that is wrong with it, not just the first. */
export class TraceValidationError extends TraceLoggerError {
  override readonly name = "TraceValidationError";
  declare readonly code: "invalid_trace";
  readonly issues: readonly TraceIssue[];

  constructor(issues: readonly TraceIssue[], cause?: unknown) {
    super(describeIssues(issues), { code: "invalid_trace", cause });
    this.issues = issues;
  }
}

function describeIssues(issues: readonly TraceIssue[]): string {
  const lines = issues.map(
    ({ path, expected, got, hint }) => `${path || "the trace"}: expected ${expected}, got ${got}. ${hint}`,
  );
  return lines.length === 1
    ? `Invalid trace: ${lines[0]}`
    : `Invalid trace (${lines.length} problems):\n  ${lines.join("\n  ")}`;
}

/** What is known of the answer behind an error: for support requests to whoever runs the endpoint. */
export interface AnswerDetails {
  /** HTTP status, absent when no answer came. */
  readonly status?: number | undefined;
  /** `x-amzn-RequestId` or `x-amz-apigw-id` of the answer. */
  readonly requestId?: string | undefined;
}

/** The endpoint refused this trace for good: sending it again cannot help. */
export class TraceRejectedError extends TraceLoggerError {
  override readonly name = "TraceRejectedError";
  declare readonly code: "rejected";
  readonly status: number | undefined;
  readonly requestId: string | undefined;

  constructor(message: string, details: AnswerDetails = {}) {
    super(message, { code: "rejected" });
    this.status = details.status;
    this.requestId = details.requestId;
  }
}

/** A trace could not be delivered though nothing is wrong with it; `code` says why. */
export class DeliveryError extends TraceLoggerError {
  override readonly name = "DeliveryError";
  declare readonly code: DeliveryErrorCode;
  readonly status: number | undefined;
  readonly requestId: string | undefined;

  constructor(
    message: string,
    options: { readonly code: DeliveryErrorCode; readonly cause?: unknown } & AnswerDetails,
  ) {
    super(message, options);
    this.status = options.status;
    this.requestId = options.requestId;
  }
}

/** Is this an error of this package? Works across copies of it (ESM beside CJS), where `instanceof` does not. */
export function isTraceLoggerError(error: unknown): error is TraceLoggerError {
  return typeof error === "object" && error !== null && brand in error;
}
