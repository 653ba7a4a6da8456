/** The endpoint as a server on `node:http`. */
import { createServer, type Server } from "node:http";
import { isIP } from "node:net";
import { invalidOption } from "../errors.ts";
import { createEndpoint, type Endpoint, type EndpointOptions } from "./create-endpoint.ts";
import { isHostName, isLoopback } from "./loopback.ts";
import { exchange } from "./node-exchange.ts";

/** Where the server listens. */
export interface ServerOptions {
  /** The interface. @default "127.0.0.1", which only this machine reaches */
  readonly host?: string;
  /** The port; 0 takes a free one. @default 0 */
  readonly port?: number;
  /**
   * Names by which others may ask for what listens on loopback, `host.docker.internal` for example; IP addresses and
   * `localhost` always may. On any other `host` all names may, unless some are given here.
   */
  readonly allowedHosts?: readonly string[];
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
 * Serve an endpoint, made here from its options or handed over as `handler`. Resolves once it listens; rejects with
 * Node's error when the port is taken (`EADDRINUSE`) or not allowed (`EACCES`).
 */
export async function startServer(
  options: ServerOptions & (EndpointOptions | { readonly handler: Endpoint }),
): Promise<RunningServer> {
  const { host = "127.0.0.1", port = 0, allowedHosts, closeTimeoutMs = 10_000, ...made } = options ?? {};
  checkNames(allowedHosts);
  // Node would take a text for the path of a socket.
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw invalidOption("startServer: the option port must be a whole number from 0 to 65535.");
  const endpoint = "handler" in made ? made.handler : createEndpoint(made);
  const handler = allowedHosts || isLoopback(host) ? knownNamesOnly(endpoint, allowedHosts) : endpoint;
  const server = createServer();
  // Longer than the idle time of usual clients and balancers, so that they close first: the other way round, a request
  // meets a socket that is just closing.
  server.keepAliveTimeout = 75_000;
  const close = closer(server, closeTimeoutMs);
  server.on("request", (incoming, outgoing) => {
    // What has become idle after `close` was called would else stay open for the whole idle time.
    outgoing.once("close", () => server.listening || server.closeIdleConnections());
    exchange(handler, incoming, outgoing);
  });
  await listening(server, host, port);
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
  const reachable = { "0.0.0.0": "127.0.0.1", "::": "::1" }[host] ?? host;
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
      }); // ends idle connections, too
    });
  return () => {
    closed ??= start();
    return closed;
  };
}

function checkNames(names: readonly string[] = []): void {
  if (Array.isArray(names) && names.every(isHostName)) return;
  throw invalidOption("startServer: the option allowedHosts must be a list of names without a port.");
}

/**
 * A web page of a stranger can make its own host name point to 127.0.0.1 and then read what a server there shows
 * ("DNS rebinding"). Its requests carry that name.
 */
function knownNamesOnly(endpoint: Endpoint, names: readonly string[] = []): Endpoint {
  const known = new Set(names.map((name) => name.toLowerCase()));
  return async (request) => {
    const name = new URL(request.url).hostname.replace(/^\[|\]$/g, "");
    if (isIP(name) !== 0 || /(?:^|\.)localhost$/.test(name) || known.has(name)) return endpoint(request);
    return Response.json({ message: MISDIRECTED }, { status: 421 });
  };
}

const MISDIRECTED =
  "Misdirected Request: this answers to localhost, to IP addresses, and to names that it was told of. " +
  "To let this one in: `tracelogger dev --allow-host NAME`, or the option `allowedHosts` of startServer.";
