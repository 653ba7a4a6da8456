/**
 * What an answer of the endpoint means. HTTP 200 proves nothing there: the deployed function tells its failures
 * inside a 200, and a captive portal answers 200 to everything. So the whole answer is judged, by this table.
 */
import { DeliveryError, type DeliveryErrorCode, TraceRejectedError } from "../errors.ts";

/** An answer as it came, read to its end. */
export interface Answer {
  readonly status: number;
  readonly headers: Pick<Headers, "get">;
  readonly body: string;
}

export type Verdict =
  /** Stored. `url` is the share page. */
  | { readonly kind: "delivered"; readonly url: string | null }
  /** This trace will never be taken (in this form); `tooLarge` when its size is why. */
  | { readonly kind: "rejected"; readonly error: TraceRejectedError; readonly tooLarge: boolean }
  | Trouble;

/** Nothing is wrong with the trace: it waits and is sent again. */
export interface Trouble {
  readonly kind: "retry" | "throttled" | "quota" | "held";
  readonly error: DeliveryError;
  /** The least time to wait, as the server asked (`Retry-After`). */
  readonly retryAfterMs: number;
}

/** Python exceptions by which the function says that it will never take this trace. Any other is the storage behind it. */
const PERMANENT = /^(AssertionError|TypeError|ValueError|KeyError|AttributeError)\b/;

const MAX_RETRY_AFTER_MS = 5 * 60_000;

/** Judge an answer. `nowMs` is only needed for a `Retry-After` that is a date. */
export function verdictOf(answer: Answer, nowMs: number): Verdict {
  return judge(new Case(answer, nowMs), answer.status, parseObject(answer.body));
}

/** No answer came: refused, reset, DNS, TLS, time-out. */
export function verdictOfFailure(cause: unknown, timedOut: boolean): Verdict {
  const [code, what]: [DeliveryErrorCode, string] = timedOut
    ? ["timeout", "The endpoint did not answer in time"]
    : ["network", "The endpoint could not be reached"];
  const error = new DeliveryError(`${what}.`, { code, cause });
  return { kind: "retry", error, retryAfterMs: 0 };
}

type Fields = Readonly<Record<string, unknown>>;

function judge(to: Case, status: number, body: Fields | null): Verdict {
  const inner = envelope(body);
  if (inner) return judge(to, inner.status, inner.body);
  if (body && "outcome" in body) return judgeOutcome(to, status, body);
  if (status >= 200 && status < 300) return judgeUnproven(to, body);
  return judgeStatus(to, status, typeof body?.["message"] === "string" ? body["message"] : "");
}

/** `{"statusCode": 200, "body": "<JSON>"}`: the function's return value, sent as it is by a non-proxy integration. */
function envelope(body: Fields | null): { status: number; body: Fields | null } | null {
  if (typeof body?.["statusCode"] !== "number" || !("body" in body)) return null;
  return { status: body["statusCode"], body: toObject(body["body"]) ?? parseObject(body["body"]) };
}

/** `{"outcome": …, "error": …, "url": …}`: what the function itself says. It outranks the status around it. */
function judgeOutcome(to: Case, status: number, body: Fields): Verdict {
  if (body["outcome"] === "success") {
    return { kind: "delivered", url: typeof body["url"] === "string" ? body["url"] : null };
  }
  const reason = typeof body["error"] === "string" ? body["error"] : "";
  if (status === 413) return to.rejected(`it is too large`, true);
  if (PERMANENT.test(reason)) return to.rejected(to.quote(reason), false);
  if (status >= 300 && status < 500) return judgeStatus(to, status, reason);
  return to.trouble("retry", "server", `The endpoint failed (${to.quote(reason)})`);
}

/** A success status without the function's word for it: crashed, timed out, or not the endpoint at all. */
function judgeUnproven(to: Case, body: Fields | null): Verdict {
  if (typeof body?.["errorMessage"] === "string" || typeof body?.["message"] === "string") {
    return to.trouble("retry", "server", "The endpoint's function crashed or timed out");
  }
  return to.trouble(
    "retry",
    "not_an_endpoint",
    "The answer is not a trace endpoint's (a captive portal, a proxy, or a wrong `endpoint` option?)",
  );
}

function judgeStatus(to: Case, status: number, message: string): Verdict {
  if (status === 429) {
    return /limit exceeded/i.test(message)
      ? to.trouble("quota", "quota", "The usage plan's quota is used up")
      : to.trouble("throttled", "throttled", "The endpoint asks to slow down");
  }
  if (status === 401 || status === 403) {
    return to.trouble(
      "held",
      "auth",
      "The endpoint refuses the API key: check the `apiKey` option or TRACELOGGER_API_KEY",
    );
  }
  if (status === 413) return to.rejected("it is too large", true);
  if (status === 408 || status === 425 || status >= 500)
    return to.trouble("retry", "server", "The endpoint has trouble");
  if (status === 421) {
    return to.trouble(
      "held",
      "config",
      "The endpoint does not answer to this host's name: check the `endpoint` option, or let the name in (`tracelogger dev --allow-host NAME`)",
    );
  }
  if (status < 400 || CONFIG_STATUSES.has(status)) {
    return to.trouble(
      "held",
      "config",
      "This is not the endpoint's URL: check the `endpoint` option or TRACELOGGER_ENDPOINT",
    );
  }
  return to.rejected(to.quote(message), false);
}

/** 3xx too: a redirect would turn the POST into a GET, so it is not followed. 0 is how browsers show one. */
const CONFIG_STATUSES: ReadonlySet<number> = new Set([404, 405, 406, 410, 415, 426]);

/** The answer being judged: knows its status, request id and `Retry-After`, and makes the verdicts. */
class Case {
  readonly #details: { readonly status: number; readonly requestId: string | undefined };
  readonly #retryAfterMs: number;

  constructor({ status, headers }: Answer, nowMs: number) {
    const requestId = headers.get("x-amzn-requestid") ?? headers.get("x-amz-apigw-id") ?? undefined;
    this.#details = { status, requestId };
    this.#retryAfterMs = parseRetryAfterMs(headers.get("retry-after"), nowMs);
  }

  rejected(why: string, tooLarge: boolean): Verdict {
    const message = `The endpoint will not take this trace: ${why} (${this.#origin()}).`;
    return { kind: "rejected", tooLarge, error: new TraceRejectedError(message, this.#details) };
  }

  trouble(kind: Trouble["kind"], code: DeliveryErrorCode, what: string): Verdict {
    const message = `${what} (${this.#origin()}).`;
    return { kind, retryAfterMs: this.#retryAfterMs, error: new DeliveryError(message, { code, ...this.#details }) };
  }

  /**
   * The function's own words, as far as they cannot hold what was said: the exception's name and a field's name. Python
   * quotes the offending value, which may be prompt text, so nothing in quotes but an identifier is kept.
   */
  quote(reason: string): string {
    const safe = /^(?:[^'"]|(['"])[A-Za-z_]\w{0,40}\1)*/.exec(reason)?.[0].slice(0, 160) ?? "";
    return safe.length < reason.length ? `${safe}…` : safe || "no reason given";
  }

  #origin(): string {
    const { status, requestId } = this.#details;
    return requestId ? `HTTP ${status}, request ${requestId}` : `HTTP ${status}`;
  }
}

function parseRetryAfterMs(value: string | null, nowMs: number): number {
  if (!value) return 0;
  const seconds = Number(value);
  const waitMs = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(value) - nowMs;
  return Number.isFinite(waitMs) ? Math.min(Math.max(waitMs, 0), MAX_RETRY_AFTER_MS) : 0;
}

function parseObject(text: unknown): Fields | null {
  if (typeof text !== "string") return null;
  try {
    return toObject(JSON.parse(text));
  } catch {
    return null;
  }
}

function toObject(value: unknown): Fields | null {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : null;
}
