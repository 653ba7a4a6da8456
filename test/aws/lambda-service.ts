/** What AWS runs around a function: the Runtime API, AWS's own runtime client as processes, an HTTP gateway in front. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { join, resolve } from "node:path";
import { buffer } from "node:stream/consumers";
import { startServer } from "../../src/endpoint/node.ts";

const RIC = join(import.meta.dirname, "node_modules/aws-lambda-ric");
const NODE = resolve("node_modules/node/bin/node");

/** Is AWS's runtime client built? Without it the tests skip. */
export const hasRuntime = existsSync(join(RIC, "rapid-client.node"));

/** How one invocation ended. */
export interface Outcome {
  readonly result?: unknown;
  /** What the runtime reported: the function crashed. */
  readonly error?: unknown;
  readonly durationMs: number;
}

interface Invocation {
  readonly event: unknown;
  startedMs: number;
  readonly settle: (outcome: Outcome) => void;
}

export interface LambdaService {
  invoke(event: unknown): Promise<Outcome>;
  /** From the start of the process until it asks for its first event, for each one. */
  readonly initMs: readonly number[];
  readonly initErrors: readonly unknown[];
  readonly processes: readonly ChildProcess[];
  /** An HTTP server that turns requests into events of the payload format 2.0. */
  gateway(): Promise<{ url: string; [Symbol.asyncDispose](): Promise<void> }>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts `instances` processes of the function in `dist/lambda`. */
export async function startLambda(env: Record<string, string>, instances = 1): Promise<LambdaService> {
  const waiting: Invocation[] = [];
  const idle: ServerResponse[] = [];
  const running = new Map<string, Invocation>();
  const initMs: number[] = [];
  const initErrors: unknown[] = [];
  const processes: ChildProcess[] = [];
  let count = 0;

  function match(): void {
    while (idle.length > 0 && waiting.length > 0) {
      const [response, invocation] = [idle.shift(), waiting.shift()];
      if (!response || !invocation) return;
      const id = `00000000-0000-0000-0000-${String(++count).padStart(12, "0")}`;
      running.set(id, invocation);
      invocation.startedMs = performance.now();
      response.writeHead(200, {
        "content-type": "application/json",
        "lambda-runtime-aws-request-id": id,
        "lambda-runtime-deadline-ms": Date.now() + 60_000,
        "lambda-runtime-invoked-function-arn": "arn:aws:lambda:us-east-1:000000000000:function:S3LoggingFunction",
        "lambda-runtime-trace-id": "Root=1-00000000-000000000000000000000000",
      });
      response.end(JSON.stringify(invocation.event));
    }
  }

  async function onRequest(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const [, id = "", what = ""] = /runtime\/(?:invocation|init)\/(?:([^/]+)\/)?(\w+)$/.exec(incoming.url ?? "") ?? [];
    if (what === "next") {
      if (initMs.length < processes.length) initMs.push(performance.now() - startedMs);
      idle.push(outgoing);
      match();
      return;
    }
    const body: unknown = JSON.parse((await buffer(incoming)).toString() || "null");
    outgoing.writeHead(202, { "content-type": "application/json" }).end('{"status":"OK"}');
    const invocation = running.get(id);
    if (!invocation) initErrors.push(body);
    running.delete(id);
    const durationMs = performance.now() - (invocation?.startedMs ?? 0);
    invocation?.settle(what === "response" ? { result: body, durationMs } : { error: body, durationMs });
  }

  const server = createServer((incoming, outgoing) => void onRequest(incoming, outgoing));
  server.requestTimeout = 0;
  const port = await listen(server);
  const startedMs = performance.now();
  for (let i = 0; i < instances; i++) processes.push(startRuntime(port, env));
  const invoke = (event: unknown) =>
    new Promise<Outcome>((settle) => {
      waiting.push({ event, startedMs: 0, settle });
      match();
    });
  return {
    invoke,
    initMs,
    initErrors,
    processes,
    gateway: () => startServer({ handler: (request) => asHttp(request, invoke) }),
    async [Symbol.asyncDispose]() {
      for (const child of processes) child.kill("SIGKILL");
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

function startRuntime(port: number, env: Record<string, string>): ChildProcess {
  return spawn(NODE, [join(RIC, "index.mjs")], {
    stdio: ["ignore", "ignore", process.env.DEBUG ? "inherit" : "ignore"],
    env: {
      PATH: process.env.PATH,
      AWS_LAMBDA_RUNTIME_API: `127.0.0.1:${port}`,
      _HANDLER: "index.handler",
      LAMBDA_TASK_ROOT: resolve("dist/lambda"),
      AWS_LAMBDA_FUNCTION_NAME: "S3LoggingFunction",
      AWS_LAMBDA_FUNCTION_VERSION: "$LATEST",
      AWS_LAMBDA_FUNCTION_MEMORY_SIZE: "512",
      AWS_LAMBDA_LOG_GROUP_NAME: "group",
      AWS_LAMBDA_LOG_STREAM_NAME: "stream",
      AWS_REGION: "us-east-1",
      ...env,
    },
  });
}

function listen(server: Server): Promise<number> {
  return new Promise((done) => {
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      done(typeof address === "object" && address ? address.port : 0);
    });
  });
}

interface ProxyResult {
  readonly statusCode: number;
  readonly headers?: Record<string, string>;
  readonly body: string;
}

/** As an HTTP API does it: a crash is a 500 that says nothing; a body that is no text travels in base64. */
async function asHttp(request: Request, invoke: LambdaService["invoke"]): Promise<Response> {
  const { pathname, search, host } = new URL(request.url);
  const { result } = await invoke({
    version: "2.0",
    rawPath: pathname,
    rawQueryString: search.slice(1),
    headers: Object.fromEntries(request.headers),
    requestContext: { domainName: host, stage: "$default", http: { method: request.method, path: pathname } },
    body: Buffer.from(await request.arrayBuffer()).toString("base64"),
    isBase64Encoded: true,
  });
  if (result === undefined) return Response.json({ message: "Internal Server Error" }, { status: 500 });
  const { statusCode, headers = {}, body } = result as ProxyResult; // what our handler returned
  return new Response(body, { status: statusCode, headers });
}
