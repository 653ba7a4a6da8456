/**
 * Asking for the usage of a streamed call, which is told only to those who ask, and hiding the answer from a caller who
 * did not. Loaded when the option `includeUsage` is on.
 */
import { isObject } from "../json.ts";
import { type Bytes, concat } from "./bytes.ts";
import { parseObject } from "./call.ts";
import { isNodeStream, type NodeStream } from "./node-stream.ts";
import { type FetchArguments, type MadeCall, takeHeader } from "./request.ts";
import { withBody } from "./response.ts";

export interface UsageCall extends Pick<MadeCall, "api" | "url" | "requestText"> {
  readonly args: FetchArguments;
  readonly send: typeof fetch;
  /** What becomes of the response before its caller sees it. */
  readonly respond: (response: Response) => Response | Promise<Response>;
  /** Addresses that have refused to be asked; more are added. */
  readonly refusing: Set<string>;
}

/** Makes the call, asking for usage where that can be done. */
export async function callWithUsage(call: UsageCall): Promise<Response> {
  const { args, send, respond, refusing } = call;
  const address = call.url.replace(/[?#].*$/s, "");
  const asking = refusing.has(address) ? undefined : askForUsage(call);
  if (!asking) return respond(await send(...args));
  const response = await send(...asking);
  if (response.status !== 400 && response.status !== 422) return hideUsage(await respond(response));
  // It may be the question that is not understood, or the request itself: then it is refused again.
  discard(response.body);
  const again = await send(...args);
  if (again.ok) refusing.add(address);
  return respond(again);
}

function askForUsage({ args: [input, init], api, requestText: text }: UsageCall): FetchArguments | undefined {
  if (typeof text !== "string" || init?.body === undefined || api === "responses") return undefined;
  const request = parseObject(text);
  const { stream, stream_options: options = {} } = request ?? {};
  // Whoever has said yes or no gets what was said.
  if (stream !== true || (isObject(options) && options["include_usage"] !== undefined)) return undefined;
  const asked = { ...(isObject(options) ? options : {}), include_usage: true };
  const body = Object.hasOwn(request ?? {}, "stream_options")
    ? JSON.stringify({ ...request, stream_options: asked })
    : // Put into the text: numbers may be longer than JavaScript reads them.
      text.replace("{", `{"stream_options":${JSON.stringify(asked)},`);
  // Of the old body; fetch counts anew.
  const sized = takeHeader(init.headers, "content-length");
  return [input, { ...init, ...(sized && { headers: sized.others }), body }];
}

/** A connection whose answer nobody reads stays busy. */
function discard(body: unknown): void {
  if (body instanceof ReadableStream) body.cancel().catch(() => {});
  else if (isObject(body) && typeof body["resume"] === "function") body["resume"]();
}

function hideUsage(response: Response): Response {
  const body: unknown = response.body;
  if (body instanceof ReadableStream) {
    let reader: ReadableStreamDefaultReader<Bytes> | undefined;
    const read = () => {
      reader ??= (body as ReadableStream<Bytes>).getReader(); // what the body of a response is
      return reader.read();
    };
    return withBody(
      response,
      withoutUsage(read, (reason) => (reader ?? body).cancel(reason)),
    );
  }
  if (isNodeStream(body)) {
    Object.defineProperty(response, "body", { value: hideFromNode(body), configurable: true });
  }
  return response;
}

/** Of node-fetch, which tells its body of an abort by `emit`, and whose users pipe it: that takes another of Node's. */
function hideFromNode(body: NodeStream): NodeStream {
  const chunks = body[Symbol.asyncIterator]();
  const read = () => chunks.next() as Promise<ReadableStreamReadResult<Bytes>>; // what byte streams give
  const hidden = withoutUsage(read, async (reason) => void body.destroy(reason));
  // Not an import: capture runs where there is no node:stream.
  const { Readable } = process.getBuiltinModule("node:stream");
  type WebStream = Parameters<typeof Readable.fromWeb>[0]; // the same class, by another name in the types
  return Readable.fromWeb(hidden as WebStream).on("error", (error) => body.destroy(error));
}

/** The same bytes, but for events that tell of usage alone. Reads when it is read; holds back what is half an event. */
function withoutUsage(
  read: () => Promise<ReadableStreamReadResult<Bytes>>,
  cancel: (reason: unknown) => Promise<void>,
): ReadableStream<Bytes> {
  let rest: Bytes = new Uint8Array();
  return new ReadableStream<Bytes>(
    {
      async pull(controller) {
        for (;;) {
          const { done, value } = await read();
          const events = cutEvents(value ? concat([rest, value]) : rest);
          const isOver = done || events.rest.length > MAX_HELD_BYTES;
          rest = isOver ? new Uint8Array() : events.rest;
          const passing = isOver ? [...events.whole, events.rest] : events.whole;
          const kept = concat(passing.filter((event) => !isUsageAlone(event)));
          if (kept.length > 0) controller.enqueue(kept);
          if (done) controller.close();
          if (done || kept.length > 0) return;
        }
      },
      cancel,
    },
    { highWaterMark: 0 },
  );
}

/** Far more than any usage takes: whatever is longer passes in pieces. */
const MAX_HELD_BYTES = 65_536;
const [LF, CR] = [10, 13];

/** An event ends with an empty line, whichever way its lines end. */
function cutEvents(bytes: Bytes): { readonly whole: readonly Bytes[]; readonly rest: Bytes } {
  const whole: Bytes[] = [];
  let start = 0;
  let isLineEmpty = false;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte !== LF && byte !== CR) {
      isLineEmpty = false;
      continue;
    }
    // A CR that stands last may be half of a line end.
    if (byte === CR && at + 1 === bytes.length) break;
    if (byte === CR && bytes[at + 1] === LF) at++;
    if (isLineEmpty) {
      whole.push(bytes.subarray(start, at + 1));
      start = at + 1;
    }
    isLineEmpty = true;
  }
  return { whole, rest: bytes.subarray(start) };
}

function isUsageAlone(event: Bytes): boolean {
  const text = new TextDecoder().decode(event);
  if (!text.includes('"usage"')) return false;
  const data = [...text.matchAll(/^data: ?(.*)$/gm)].map(([, line]) => line).join("\n");
  const chunk = parseObject(data);
  const { choices, usage } = chunk ?? {};
  return Array.isArray(choices) && choices.length === 0 && isObject(usage);
}
