/** The events by which API Gateway and Function URLs invoke a function, as Requests, and Responses in their forms. */
import { isObject, type JsonObject } from "../json.ts";

/** An invocation, whatever invoked it. */
export interface Invocation {
  readonly request: Request;
  /** What the URLs of this deployment begin with; `undefined` when the event does not tell. */
  readonly publicUrl: string | undefined;
  /**
   * `plain`: the event is the body itself (REST, non-proxy), and the caller has passed whatever stands in front.
   * `proxied`: the event is an HTTP request.
   */
  readonly kind: "plain" | "proxied";
  toResult(response: Response): Promise<LambdaResult>;
}

/** What the function returns: for `plain` this is the HTTP body as it is, else what the gateway makes its answer of. */
export interface LambdaResult {
  readonly statusCode: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string;
  readonly isBase64Encoded?: false;
}

/** Tell the four kinds of event apart and read them. @throws {TypeError} when a proxied event holds no valid URL. */
export function readEvent(event: unknown): Invocation {
  const context = isObject(event) && isObject(event.requestContext) ? event.requestContext : undefined;
  if (!isObject(event) || context === undefined) return plain(event);
  if (event.version === "2.0" && isObject(context.http)) return httpApi(event, context, context.http);
  if (typeof event.httpMethod === "string") return restProxy(event, context, event.httpMethod);
  return plain(event);
}

const JSON_HEADERS = { "content-type": "application/json" };

/** REST API, non-proxy integration: the gateway hands over the parsed body and nothing else. */
function plain(event: unknown): Invocation {
  const body = JSON.stringify(event) ?? "null";
  return {
    request: new Request("https://lambda.invalid/", { method: "POST", body, headers: JSON_HEADERS }),
    publicUrl: undefined,
    kind: "plain",
    toResult: async (response) => ({ statusCode: response.status, body: await response.text() }),
  };
}

/** REST API, proxy integration (payload format 1.0). */
function restProxy(event: JsonObject, context: JsonObject, method: string): Invocation {
  const query = new URLSearchParams(pairs(event.multiValueQueryStringParameters, event.queryStringParameters));
  const path = text(event.path, "/");
  const url = `${originOf(context)}${slashed(path)}${query.size > 0 ? `?${query}` : ""}`;
  const headers = new Headers(pairs(event.multiValueHeaders, event.headers));
  return proxied(event, context, { url, method, headers });
}

/** HTTP API and Function URL (payload format 2.0). Its path begins with the stage, unless that is the default one. */
function httpApi(event: JsonObject, context: JsonObject, http: JsonObject): Invocation {
  const stage = `/${text(context.stage, "$default")}`;
  const path = text(event.rawPath, "/");
  const below = path === stage || path.startsWith(`${stage}/`) ? path.slice(stage.length) || "/" : path;
  const query = text(event.rawQueryString, "");
  const url = `${originOf(context)}${slashed(below)}${query === "" ? "" : `?${query}`}`;
  const headers = new Headers(pairs(undefined, event.headers));
  return proxied(event, context, { url, method: text(http.method, "GET"), headers });
}

interface Head {
  readonly url: string;
  readonly method: string;
  readonly headers: Headers;
}

function proxied(event: JsonObject, context: JsonObject, { url, method, headers }: Head): Invocation {
  const mayHaveBody = method !== "GET" && method !== "HEAD";
  const body = mayHaveBody && typeof event.body === "string" ? bodyOf(event.body, event.isBase64Encoded) : null;
  const stage = text(context.stage, "$default");
  return {
    request: new Request(url, { method, headers, body }),
    publicUrl: stage === "$default" ? originOf(context) : `${originOf(context)}/${stage}`,
    kind: "proxied",
    toResult: async (response) => ({
      statusCode: response.status,
      headers: Object.fromEntries([...response.headers].filter(([name]) => name !== "content-length")), // the gateway's to say
      body: await response.text(),
      isBase64Encoded: false,
    }),
  };
}

function bodyOf(body: string, isBase64: unknown): string | Uint8Array<ArrayBuffer> {
  return isBase64 === true ? Uint8Array.from(Buffer.from(body, "base64")) : body;
}

/** From the gateway's own knowledge, not from the Host header, which the caller writes. */
function originOf(context: JsonObject): string {
  return `https://${text(context.domainName, "lambda.invalid")}`;
}

/** Without it, a path could go on where the host ends. */
function slashed(path: string): string {
  return path.startsWith("/") ? path : `/${path}`;
}

function text(value: unknown, fallback: string): string {
  return typeof value === "string" && value !== "" ? value : fallback;
}

/** Name and value, from the form that keeps repeated ones where there is one. */
function pairs(many: unknown, single: unknown): [string, string][] {
  const source = isObject(many) ? many : isObject(single) ? single : {};
  return Object.entries(source).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value])
      .filter((one) => typeof one === "string")
      .map((one): [string, string] => [name, one]),
  );
}
