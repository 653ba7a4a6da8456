/** One exchange over `node:http`, told in Requests and Responses: streamed both ways, with back-pressure and aborts. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

/** How long a sender may keep sending after it was answered, before the connection is cut, in milliseconds. */
const DISCARD_TIMEOUT_MS = 5_000;
/** An answer up to this length, in bytes, that says its length leaves in one write. */
const ONE_WRITE_BYTES = 65_536;

type Handler = (request: Request) => Promise<Response>;

/** `fetch` demands it for streamed bodies; TypeScript's DOM types do not know it yet. */
interface StreamedRequestInit extends RequestInit {
  readonly duplex: "half";
}

/** Answer one request. Whatever goes wrong ends as a 500 that says nothing, or as a closed connection. */
export async function exchange(handler: Handler, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  try {
    const request = toRequest(incoming, abortedWith(outgoing));
    const response = request === undefined ? plain(400, "Bad Request") : await handler(request);
    await send(response, incoming, outgoing);
  } catch {
    // Half an answer must not look like a whole one.
    if (outgoing.headersSent) outgoing.destroy();
    else await send(plain(500, "Internal server error"), incoming, outgoing).catch(() => outgoing.destroy());
  }
}

function plain(status: number, message: string): Response {
  return Response.json({ message }, { status });
}

/** Fires when the caller has gone before the answer was whole. */
function abortedWith(outgoing: ServerResponse): AbortSignal {
  const controller = new AbortController();
  outgoing.once("close", () => {
    if (!outgoing.writableFinished) controller.abort();
  });
  return controller.signal;
}

/** `undefined` when the request line or the host is none that a URL can be made of, or no `Request` may have the method. */
function toRequest(incoming: IncomingMessage, signal: AbortSignal): Request | undefined {
  const { method = "GET", url = "/" } = incoming;
  // Joined as text: `new URL("//other/path", base)` would take the path for a host.
  const target = `http://${incoming.headers.host ?? "localhost"}${url}`;
  if (!url.startsWith("/") || !URL.canParse(target) || method === "TRACE") return undefined;
  const headers = new Headers();
  for (const [name, values = []] of Object.entries(incoming.headersDistinct)) {
    for (const value of values) headers.append(name, value);
  }
  if (method === "GET" || method === "HEAD") return new Request(target, { method, headers, signal });
  const init: StreamedRequestInit = { method, headers, signal, body: bodyOf(incoming), duplex: "half" };
  return new Request(target, init);
}

/** Pulled chunk by chunk. Cancelling leaves the socket alone: the answer still has to go through it. */
function bodyOf(incoming: IncomingMessage): ReadableStream<Uint8Array> {
  const chunks = incoming.iterator({ destroyOnReturn: false });
  return new ReadableStream(
    {
      pull: async (controller) => {
        const { done, value } = await chunks.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: async () => {
        await chunks.return?.();
      },
    },
    { highWaterMark: 0 },
  );
}

async function send(response: Response, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const { body } = response;
  const short = isShort(response) ? Buffer.from(await response.arrayBuffer()) : undefined;
  // An answer before the end of the request (413, 403): the connection cannot be used again.
  const isEarly = !incoming.complete && !incoming.destroyed;
  if (isEarly) outgoing.setHeader("connection", "close");
  for (const [name, value] of response.headers) outgoing.appendHeader(name, value);
  outgoing.statusCode = response.status;
  const end = isEarly ? () => endAfter(incoming, outgoing) : () => outgoing.end();
  if (body === null || incoming.method === "HEAD") end();
  else if (short === undefined) await pipeline(Readable.from(body), outgoing, { end: false }).then(end);
  // As text of one byte a letter, which is what Node joins with the head: one write, not two. It halves what an answer costs.
  else if (!isEarly) outgoing.end(short.toString("latin1"), "latin1");
  else {
    outgoing.write(short);
    end();
  }
}

function isShort({ headers, body }: Response): boolean {
  return body !== null && Number(headers.get("content-length") ?? Number.NaN) <= ONE_WRITE_BYTES;
}

/**
 * Node closes the connection when the answer ends, and so resets it under a sender that is still sending, which may then
 * never see the answer. So the answer ends when the request has: what the answer says its length is, is there before.
 */
function endAfter(incoming: IncomingMessage, outgoing: ServerResponse): void {
  const cut = setTimeout(() => incoming.destroy(), DISCARD_TIMEOUT_MS);
  incoming
    .once("close", () => {
      clearTimeout(cut);
      outgoing.end();
    })
    .resume();
}
