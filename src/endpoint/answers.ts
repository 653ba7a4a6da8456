/** How an outcome is told: with real statuses, or the way the deployed function and its gateway do (README, "The contract"). */
import type { Failure, FailureKind } from "./failure.ts";

/** What API Gateway answers by itself, without asking the function. */
interface GatewayAnswer {
  readonly status: number;
  readonly message: string;
  readonly errorType: string;
}

const MISSING_TOKEN: GatewayAnswer = {
  status: 403,
  message: "Missing Authentication Token",
  errorType: "MissingAuthenticationTokenException",
};
const FORBIDDEN: GatewayAnswer = { status: 403, message: "Forbidden", errorType: "ForbiddenException" };
const INVALID_BODY: GatewayAnswer = { status: 400, message: "Invalid request body", errorType: "BadRequestException" };
const CRASH: GatewayAnswer = {
  status: 500,
  message: "Internal server error",
  errorType: "InternalServerErrorException",
};

interface FailureRule {
  /** The status in the proxy style. */
  readonly status: number;
  /** What a gateway in front says instead of the function, which never sees the request. */
  readonly gateway?: GatewayAnswer;
  /** In the proxy style, too, these are the gateway's words. */
  readonly alwaysGateway?: true;
}

const RULES: Record<FailureKind, FailureRule> = {
  forbidden: { status: 403, gateway: FORBIDDEN, alwaysGateway: true },
  wrong_path: { status: 404, gateway: MISSING_TOKEN },
  wrong_method: { status: 405, gateway: MISSING_TOKEN },
  unsupported_media: {
    status: 415,
    gateway: { status: 415, message: "Unsupported Media Type", errorType: "UnsupportedMediaTypeException" },
  },
  too_large: {
    status: 413,
    gateway: { status: 413, message: "Request Too Long", errorType: "RequestTooLargeException" },
  },
  not_json: {
    status: 400,
    gateway: { status: 400, message: "Could not parse request body into json", errorType: "BadRequestException" },
  },
  invalid_body: { status: 400, gateway: INVALID_BODY, alwaysGateway: true },
  invalid_trace: { status: 400 },
  conflict: { status: 409 },
  storage: { status: 503 },
  crash: { status: 500, gateway: CRASH, alwaysGateway: true },
};

/** The way to tell outcomes: `envelope` = the function's return value as an HTTP 200, `proxy` = real statuses. */
export type AnswerStyle = "envelope" | "proxy";

/** The trace is stored; `url` is its share page. */
export function tellSuccess(style: AnswerStyle, url: string | null): Response {
  const inner = { outcome: "success", error: null, url };
  return style === "envelope" ? envelope(200, inner) : json(200, inner);
}

/** A batch was read: what became of each trace stands in the list, in their order. The request itself is a success. */
export function tellBatch(results: readonly object[]): Response {
  return json(200, { results });
}

/** The status by which the proxy style tells a failure. */
export function statusOf(kind: FailureKind): number {
  return RULES[kind].status;
}

/** The trace is not stored, and why. */
export function tellFailure(style: AnswerStyle, failure: Failure): Response {
  const { status, gateway, alwaysGateway } = RULES[failure.kind];
  if (gateway !== undefined && (style === "envelope" || alwaysGateway)) return gatewayResponse(gateway);
  const error = (style === "envelope" ? failure.asDeployed : undefined) ?? failure.message;
  const inner = { outcome: "failure", error, url: null };
  return style === "envelope" ? envelope(500, inner) : json(status, inner);
}

/** HTTP 200 whatever happened: a non-proxy integration hands on the return value, and its status is a field in it. */
function envelope(statusCode: number, inner: object): Response {
  return json(200, { statusCode, body: JSON.stringify(inner) });
}

function gatewayResponse({ status, message, errorType }: GatewayAnswer): Response {
  return json(status, { message }, { "x-amzn-ErrorType": errorType });
}

function json(status: number, body: object, headers: Record<string, string> = {}): Response {
  const bytes = new TextEncoder().encode(JSON.stringify(body));
  const known = { "content-type": "application/json", "content-length": String(bytes.length) };
  return new Response(bytes, { status, headers: { ...known, ...headers } });
}
