import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { complete, toChunks } from "./completion.ts";
import { MODELS, parseChatRequest, RequestError } from "./request.ts";

export interface ElizaOptions {
  /** @default 0: any free port */
  readonly port?: number;
  /** How long ELIZA thinks before each streamed token, so that a stream can be watched. @default 0 */
  readonly pauseMs?: number;
}

export interface ElizaServer extends AsyncDisposable {
  /** What to give to an OpenAI-style client as `baseURL`. */
  readonly baseURL: string;
  /** Streams whose reader went away before the end. */
  readonly abandonedStreams: number;
  close(): Promise<void>;
}

const MAX_BODY_BYTES = 1024 * 1024;

/** An OpenAI-compatible chat server that really answers, on loopback only. */
export async function startEliza({ port = 0, pauseMs = 0 }: ElizaOptions = {}): Promise<ElizaServer> {
  let abandonedStreams = 0;
  const server = createServer((request, response) => {
    handle(request, response, pauseMs)
      .catch((error: unknown) => sendError(response, error))
      .then(() => {
        if (!response.writableFinished && response.destroyed) abandonedStreams++;
      });
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const address = server.address() as AddressInfo; // a TCP server that listens has one
  const close = async () => {
    server.close();
    server.closeAllConnections();
    if (server.listening) await once(server, "close");
  };
  return {
    baseURL: `http://127.0.0.1:${address.port}/v1`,
    get abandonedStreams() {
      return abandonedStreams;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function handle(request: IncomingMessage, response: ServerResponse, pauseMs: number): Promise<void> {
  const { pathname } = new URL(request.url ?? "/", "http://127.0.0.1");
  const route = `${request.method} ${pathname}`;
  if (route === "GET /v1/models") return sendJson(response, 200, { object: "list", data: MODELS.map(describeModel) });
  if (route !== "POST /v1/chat/completions") {
    throw new RequestError(404, `Unknown request URL: ${route}.`, { code: "unknown_url" });
  }
  const chat = parseChatRequest(await readBody(request));
  const completion = complete(chat);
  if (!chat.stream) return sendJson(response, 200, completion);
  await stream(response, toChunks(completion, chat.stream_options?.include_usage ?? false), pauseMs);
}

function describeModel(id: string) {
  return { id, object: "model", created: Date.UTC(1966, 0) / 1000, owned_by: "eliza" };
}

async function stream(response: ServerResponse, chunks: Iterable<unknown>, pauseMs: number): Promise<void> {
  response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" });
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  const send = async (data: string) => {
    if (!response.write(`data: ${data}\n\n`)) await once(response, "drain", { signal: gone.signal });
    if (pauseMs > 0) await pause(pauseMs, undefined, { signal: gone.signal });
  };
  try {
    for (const chunk of chunks) await send(JSON.stringify(chunk));
    response.end("data: [DONE]\n\n");
  } catch (error) {
    if (!gone.signal.aborted) throw error; // otherwise the reader went away, which is their right
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    // no encoding is set, so these are bytes
    size += part.length;
    if (size > MAX_BODY_BYTES) throw new RequestError(413, `The body is larger than ${MAX_BODY_BYTES} bytes.`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

function sendError(response: ServerResponse, error: unknown): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const known = error instanceof RequestError ? error : new RequestError(500, "ELIZA is at a loss.");
  sendJson(response, known.status, known.body);
}
