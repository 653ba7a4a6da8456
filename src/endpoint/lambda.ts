/** The endpoint as a Lambda function, behind a REST API (proxy or not), an HTTP API or a Function URL. */
import { S3Client } from "@aws-sdk/client-s3";
import { invalidOption, type TraceLoggerError } from "../errors.ts";
import { createEndpoint, type Endpoint, type EndpointOptions } from "./create-endpoint.ts";
import type { KeyLayout } from "./key.ts";
import { type LambdaResult, readEvent } from "./lambda-events.ts";
import { s3Store } from "./s3-store.ts";
import { DEFAULT_TTL_SECONDS, MIN_SECRET_LENGTH } from "./share-links.ts";

export type { LambdaResult } from "./lambda-events.ts";

/** A Lambda handler. Never rejects: a function that fails is retried and charged for nothing. */
export type LambdaHandler = (event: unknown) => Promise<LambdaResult>;

/**
 * What the function is made of. It answers with real statuses; behind a non-proxy integration, where the result is the
 * HTTP body, they stand in its `statusCode`.
 */
export type LambdaOptions = Omit<EndpointOptions, "mode">;

/**
 * Make a handler.
 *
 * - `publicUrl` is by default what the event says: the API's domain and stage.
 * - `apiKeys` are asked of HTTP requests. A non-proxy integration hands over no headers: there, the gateway checks.
 * - `browse` is by default off without `apiKeys`.
 *
 * @throws {TraceLoggerError} `invalid_option`, as `createEndpoint` does.
 */
export function createHandler(options: LambdaOptions): LambdaHandler {
  const browse = options.browse ?? (options.apiKeys ?? []).length > 0;
  const plain = createEndpoint({ ...options, apiKeys: [], browse: false });
  const proxied = perPublicUrl((publicUrl) => createEndpoint({ ...options, publicUrl, browse }));
  return async (event) => {
    try {
      const invocation = readEvent(event);
      const { request, kind, publicUrl = "https://lambda.invalid" } = invocation;
      const endpoint = kind === "plain" ? plain : proxied(options.publicUrl ?? publicUrl);
      return await invocation.toResult(await endpoint(request));
    } catch {
      // An event that no gateway makes: a path or a header that HTTP does not know.
      return { statusCode: 400, headers: { "content-type": "application/json" }, body: '{"message":"Bad Request"}' };
    }
  };
}

/** One deployment has one, hardly ever two: the last one is kept, not a list that could grow. */
function perPublicUrl(make: (publicUrl: string) => Endpoint): (publicUrl: string) => Endpoint {
  let last: { publicUrl: string; endpoint: Endpoint } | undefined;
  return (publicUrl) => {
    if (last?.publicUrl !== publicUrl) last = { publicUrl, endpoint: make(publicUrl) };
    return last.endpoint;
  };
}

/**
 * The deployable handler, configured by the environment: `TRACELOGGER_BUCKET` and what examples/aws/README.md lists beside it. What is
 * wrong with that is found at the first call; `dist/lambda/index.cjs` finds it when the function starts.
 */
export const handler: LambdaHandler = (event) => {
  configured ??= handlerFromEnvironment(process.env);
  return configured(event);
};
let configured: LambdaHandler | undefined;

type Environment = Readonly<Record<string, string | undefined>>;

/** @throws {TraceLoggerError} `invalid_option`, naming the variable. */
export function handlerFromEnvironment(env: Environment): LambdaHandler {
  const bucket = env.TRACELOGGER_BUCKET;
  if (!bucket) throw invalid("TRACELOGGER_BUCKET", "the name of the bucket");
  const prefixes = { logs: env.TRACELOGGER_LOG_PREFIX || undefined, share: env.TRACELOGGER_SHARE_PREFIX || undefined };
  return createHandler({
    store: s3Store({ client: s3Client(env), bucket, prefixes }),
    ...sharing(env),
    layout: layout(env),
    apiKeys: (env.TRACELOGGER_API_KEYS ?? "").split(",").filter((key) => key !== ""),
    ...(env.TRACELOGGER_PUBLIC_URL ? { publicUrl: env.TRACELOGGER_PUBLIC_URL.replace(/\/$/, "") } : {}),
    onError: logError,
  });
}

/** Its time limits end well before the gateway's 29 s, so that the sender hears which part failed. */
function s3Client(env: Environment): S3Client {
  return new S3Client({
    maxAttempts: 3,
    requestHandler: { connectionTimeout: 2_000, requestTimeout: 7_000, throwOnRequestTimeout: true },
    forcePathStyle: env.TRACELOGGER_S3_PATH_STYLE === "true",
  });
}

function sharing(env: Environment): Pick<EndpointOptions, "sharePages" | "shareLinks"> {
  const secret = env.TRACELOGGER_SHARE_SECRET;
  switch (env.TRACELOGGER_SHARE || "off") {
    case "off":
      return { sharePages: false };
    case "public":
      return { sharePages: true };
    case "signed": {
      if (!secret || secret.length < MIN_SECRET_LENGTH)
        throw invalid(
          "TRACELOGGER_SHARE_SECRET",
          `at least ${MIN_SECRET_LENGTH} characters when TRACELOGGER_SHARE is signed`,
        );
      const ttlSeconds = Number(env.TRACELOGGER_SHARE_TTL_SECONDS || DEFAULT_TTL_SECONDS);
      if (!Number.isInteger(ttlSeconds) || ttlSeconds < 1)
        throw invalid("TRACELOGGER_SHARE_TTL_SECONDS", "a whole number of seconds from 1");
      return { sharePages: true, shareLinks: { secret, ttlSeconds } };
    }
    default:
      throw invalid("TRACELOGGER_SHARE", "off, signed or public");
  }
}

function layout({ TRACELOGGER_LAYOUT: name }: Environment): KeyLayout {
  if (name === "partitioned") return name;
  if (!name || name === "contract") return "contract";
  throw invalid("TRACELOGGER_LAYOUT", "contract or partitioned");
}

/** One line of JSON for CloudWatch: the storage's or our own error, which holds nothing of a trace. */
function logError(error: unknown): void {
  const cause = error instanceof Error ? error.cause : undefined;
  const { name, message } = cause instanceof Error ? cause : error instanceof Error ? error : new Error(String(error));
  process.stderr.write(`${JSON.stringify({ level: "ERROR", name, message })}\n`);
}

function invalid(name: string, expected: string): TraceLoggerError {
  return invalidOption(`The environment variable ${name} must be ${expected}.`);
}
