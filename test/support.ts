/** A scripted endpoint on loopback: real HTTP, answers named by what they mean. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, vi } from "vitest";
import type { TraceLoggerStats } from "../src/receipts.ts";
import type { Trace } from "../src/trace.ts";

/** How the scripted endpoint answers one request. */
export type Reply =
  | { readonly status: number; readonly body?: string; readonly headers?: Record<string, string> }
  /** The socket is destroyed before any answer. */
  | "reset"
  /** The request is taken and never answered. */
  | "hang";

type Answer = Exclude<Reply, string>;

const envelope = (statusCode: number, inner: object): Answer => ({
  status: 200,
  body: JSON.stringify({ statusCode, body: JSON.stringify(inner) }),
});

/** The answers that exist in the wild (CONTRACT 3 and 4). */
export const replies = {
  stored: (id: string) => envelope(200, { outcome: "success", error: null, url: `https://share.test/${id}.html` }),
  failed: (error: string) => envelope(500, { outcome: "failure", error, url: null }),
  wrongKey: { status: 403, body: '{"message":"Forbidden"}', headers: { "x-amzn-ErrorType": "ForbiddenException" } },
  tooMany: { status: 429, body: '{"message":"Too Many Requests"}' },
  quota: { status: 429, body: '{"message":"Limit Exceeded"}' },
  unavailable: { status: 503, body: "" },
  invalidBody: { status: 400, body: '{"message":"Invalid request body"}' },
  tooLarge: { status: 413, body: "HTTP content length exceeded 10485760 bytes." },
  crashed: { status: 200, body: '{"errorMessage":"Task timed out after 60.00 seconds"}' },
  captivePortal: { status: 200, body: "<html>Welcome to the hotel</html>" },
  redirect: { status: 302, headers: { location: "https://elsewhere.test/" } },
} satisfies Record<string, Answer | ((text: string) => Answer)>;

export interface ScriptedEndpoint {
  readonly url: string;
  /** Every trace that was answered with success, in order of arrival. */
  readonly stored: Trace[];
  /** Every request. */
  readonly requests: {
    readonly trace: Trace;
    readonly headers: IncomingMessage["headers"];
    readonly url: string | undefined;
  }[];
  /** From now on answers like this; `undefined` stores. */
  reply: (trace: Trace, count: number) => Reply | undefined;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts one on a free port. It stores everything until its `reply` is set. */
export async function scriptedEndpoint(reply: ScriptedEndpoint["reply"] = () => undefined): Promise<ScriptedEndpoint> {
  const server = createServer((incoming, outgoing) => {
    void readBody(incoming).then((body) => respond(incoming, outgoing, JSON.parse(body)));
  });
  const respond = (incoming: IncomingMessage, outgoing: ServerResponse, trace: Trace): void => {
    endpoint.requests.push({ trace, headers: incoming.headers, url: incoming.url });
    const answer = endpoint.reply(trace, endpoint.requests.length);
    if (answer === "reset") incoming.socket.destroy();
    else if (answer === undefined) {
      endpoint.stored.push(trace);
      send(outgoing, replies.stored(trace.id));
    } else if (answer !== "hang") send(outgoing, answer);
  };
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo; // it listens on TCP
  const endpoint: ScriptedEndpoint = {
    url: `http://127.0.0.1:${port}/prod`,
    stored: [],
    requests: [],
    reply,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return endpoint;
}

function send(outgoing: ServerResponse, reply: Answer): void {
  outgoing.writeHead(reply.status, { "content-type": "application/json", ...reply.headers }).end(reply.body ?? "");
}

async function readBody(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}

/** The invariant: every accepted trace is delivered, pending or lost for a reason. */
export function expectBalance(stats: TraceLoggerStats): void {
  const lost = Object.values(stats.lost).reduce((sum, count) => sum + count, 0);
  expect(stats.delivered + stats.pending + lost).toBe(stats.accepted);
}

/** Polls until `check` no longer throws; fails with its error after the deadline. */
export function eventually<T>(check: () => T | Promise<T>, timeoutMs = 10_000): Promise<T> {
  return vi.waitFor(check, { timeout: timeoutMs, interval: 10 });
}

/** Minimal input, told apart by its text. */
export function said(content: string, more: object = {}) {
  return { model: "olmo-2", messages: [{ role: "user" as const, content }], ...more };
}
