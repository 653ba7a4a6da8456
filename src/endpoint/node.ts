/** The endpoint as a server on `node:http`. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createEndpoint, type Endpoint, type EndpointOptions } from "./create-endpoint.ts";

/** Where the server listens. */
export interface ServerOptions {
  /** The interface. @default "127.0.0.1", which only this machine reaches */
  readonly host?: string;
  /** The port; 0 takes a free one. @default 0 */
  readonly port?: number;
  /** How long `close` waits for requests in flight before it cuts them, in milliseconds. @default 10000 */
  readonly closeTimeoutMs?: number;
}

/** A server that listens. */
export interface RunningServer {
  /** Where it listens, without a slash at the end. */
  readonly url: string;
  readonly port: number;
  /** Take no more connections, finish what is in flight, end idle keep-alive connections. Idempotent. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Serve an endpoint, made here from its options or handed over as `handler`. Resolves once it listens; rejects when
 * the port is taken or not allowed (`EADDRINUSE`, `EACCES`).
 */
export async function startServer(
  options: ServerOptions & (EndpointOptions | { readonly handler: Endpoint }),
): Promise<RunningServer> {
  const { host = "127.0.0.1", port = 0, closeTimeoutMs = 10_000 } = options;
  const handler = "handler" in options ? options.handler : createEndpoint(options);
  const server = createServer(listener(handler));
  // Longer than the idle time of usual clients and balancers, so that they close first: the other way round, a request
  // meets a closing socket.
  server.keepAliveTimeout = 75_000;
  await listening(server, host, port);
  const close = closer(server, closeTimeoutMs);
  return { ...addressOf(server, host), close, [Symbol.asyncDispose]: close };
}

function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject).listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function addressOf(server: Server, host: string): { url: string; port: number } {
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const reachable = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host;
  return { url: `http://${reachable.includes(":") ? `[${reachable}]` : reachable}:${port}`, port };
}

function closer(server: Server, closeTimeoutMs: number): () => Promise<void> {
  let closed: Promise<void> | undefined;
  const start = () =>
    new Promise<void>((resolve) => {
      const cut = setTimeout(() => server.closeAllConnections(), closeTimeoutMs);
      server.close(() => {
        clearTimeout(cut);
        resolve();
      });
      server.closeIdleConnections();
    });
  return () => (closed ??= start());
}

function listener(handler: Endpoint): (incoming: IncomingMessage, outgoing: ServerResponse) => void {
  return (incoming, outgoing) => {
    respond(handler, incoming, outgoing).catch(() => outgoing.destroy());
  };
}

async function respond(handler: Endpoint, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const response = await handler(toRequest(incoming, outgoing));
  outgoing.writeHead(response.status, [...response.headers].flat());
  outgoing.end(Buffer.from(await response.arrayBuffer()));
}

function toRequest(incoming: IncomingMessage, _outgoing: ServerResponse): Request {
  const chunks = incoming.iterator({ destroyOnReturn: false });
  return new Request(`http://${incoming.headers.host}${incoming.url}`, {
    method: incoming.method ?? "GET",
    headers: Object.entries(incoming.headersDistinct).flatMap(([n, v]) =>
      (v ?? []).map((x): [string, string] => [n, x]),
    ),
    ...(incoming.method === "POST" && {
      body: new ReadableStream({
        pull: async (controller) => {
          const next = await chunks.next();
          next.done ? controller.close() : controller.enqueue(next.value);
        },
      }),
      duplex: "half" as const,
    }),
  });
}
