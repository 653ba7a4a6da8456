/** A provider on loopback that answers as it is told to, over real HTTP. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
  /** Settles when the connection of the reply is closed: true when that was before the reply was finished. */
  readonly cutOff: Promise<boolean>;
}

export type Reply = (response: ServerResponse, request: SeenRequest) => void | Promise<void>;

export interface ChatServer extends AsyncDisposable {
  /** With `/v1`, as clients want it. */
  readonly baseURL: string;
  readonly requests: SeenRequest[];
  /** Replies in order; the last one is repeated. Forgets the requests seen so far. */
  script(...replies: Reply[]): void;
}

export async function startChatServer(): Promise<ChatServer> {
  const requests: SeenRequest[] = [];
  let replies: Reply[] = [];
  const server = createServer(async (request, response) => {
    response.sendDate = false;
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const seen: SeenRequest = {
      method: request.method ?? "",
      path: request.url ?? "",
      headers: request.headers,
      body: Buffer.concat(chunks).toString(),
      cutOff: new Promise((resolve) => response.once("close", () => resolve(!response.writableFinished))),
    };
    requests.push(seen);
    await replies[Math.min(requests.length, replies.length) - 1]?.(response, seen);
  });
  server.keepAliveTimeout = 60_000; // a busy machine pauses for longer than the usual 5 s, and then calls meet a reset
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo; // a TCP server has no other kind of address
  return {
    baseURL: `http://127.0.0.1:${port}/v1`,
    requests,
    script(...next) {
      replies = next;
      requests.length = 0;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export function json(body: unknown, { status = 200, headers = {} } = {}): Reply {
  return (response) => {
    response.writeHead(status, { "content-type": "application/json", "x-request-id": "req_1", ...headers });
    response.end(typeof body === "string" ? body : JSON.stringify(body));
  };
}

export function sse(...chunks: unknown[]): Reply {
  return raw(`${chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join("")}data: [DONE]\n\n`);
}

/** Chunks, and then nothing: the reply stays open until its reader goes away. */
export function endless(...chunks: unknown[]): Reply {
  return (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join(""));
  };
}

/** Chunks, and then the connection breaks. */
export function broken(...chunks: unknown[]): Reply {
  return (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join(""), () => response.destroy());
  };
}

export function raw(body: string | Uint8Array, headers: { [name: string]: string } = {}): Reply {
  return (response) => {
    response.writeHead(200, { "content-type": "text/event-stream", "x-request-id": "req_1", ...headers });
    response.end(body);
  };
}

export function completion(...messages: object[]): object {
  return {
    id: "chatcmpl-1",
    object: "chat.completion",
    created: 1_700_000_000,
    model: "gpt-test-2026",
    choices: messages.map((message, index) => ({
      index,
      message: { role: "assistant", content: null, refusal: null, ...message },
      logprobs: null,
      finish_reason: "tool_calls" in message ? "tool_calls" : "stop",
    })),
    usage: { prompt_tokens: 9, completion_tokens: 3, total_tokens: 12 },
  };
}

export function chunk(delta: object, { index = 0, finish_reason = null as string | null, ...rest } = {}): object {
  const choices = [{ index, delta, logprobs: null, finish_reason }];
  return {
    id: "chatcmpl-1",
    object: "chat.completion.chunk",
    created: 1_700_000_000,
    model: "gpt-test-2026",
    choices,
    ...rest,
  };
}

export function toolCall(id: string, name: string, args: string) {
  return { id, type: "function" as const, function: { name, arguments: args } };
}
