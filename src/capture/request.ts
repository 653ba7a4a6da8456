/** What is sent: read without touching it. */
import { isObject } from "../json.ts";
import { isBuffer } from "./bytes.ts";

export interface OutgoingRequest {
  readonly url: string;
  readonly method: string;
  readonly signal: AbortSignal | undefined;
  readonly body: unknown;
}

export type Api = "chat/completions" | "responses" | "completions";

/** A call that is to be traced, as it is made. */
export interface MadeCall extends Pick<OutgoingRequest, "url" | "signal"> {
  readonly api: Api;
  readonly requestText: ReturnType<typeof snapshotBody>;
}

export type FetchArguments = Parameters<typeof fetch>;

export function describeRequest([input, init]: FetchArguments): OutgoingRequest {
  const request = typeof input === "object" && "url" in input ? input : undefined;
  return {
    url: request?.url ?? String(input),
    method: (init?.method ?? request?.method ?? "GET").toUpperCase(),
    signal: init?.signal ?? request?.signal,
    body: init?.body ?? request,
  };
}

/**
 * The body's text as it is now (the caller may change its bytes later), or undefined for what cannot be read without
 * touching it: streams and forms.
 */
export function snapshotBody(body: unknown): string | Promise<string | undefined> | undefined {
  if (typeof body === "string") return body;
  if (body instanceof URLSearchParams) return String(body);
  if (isBuffer(body) || ArrayBuffer.isView(body)) return new TextDecoder().decode(body);
  try {
    // By their shape: undici and node-fetch have classes of their own. A request is read through a copy; a Blob never changes.
    const copy = isRequest(body) ? body.clone() : isBlob(body) ? body : undefined;
    return copy?.text().catch(() => undefined);
  } catch {
    return undefined; // used already: fetch is about to say so
  }
}

export function isRequest(value: unknown): value is Request {
  return isObject(value) && typeof value["clone"] === "function" && typeof value["text"] === "function";
}

function isBlob(value: unknown): value is Blob {
  return isObject(value) && typeof value["slice"] === "function" && typeof value["text"] === "function";
}

interface Found {
  readonly value: unknown;
  readonly others: HeadersInit;
}

/** The value of a header, and the others in the same form; undefined when it is not there. */
export function takeHeader(headers: unknown, name: string): Found | undefined {
  if (!isObject(headers) && !Array.isArray(headers)) return undefined;
  // By its shape: node-fetch has a class of its own.
  if ("get" in headers && typeof headers["get"] === "function") {
    const given = headers as unknown as Headers;
    if (!given.has(name)) return undefined;
    const others = new (given.constructor as typeof Headers)(given);
    others.delete(name);
    return { value: given.get(name), others };
  }
  const isIt = ([one]: readonly [string, string]) => one.toLowerCase() === name;
  const pairs = (Array.isArray(headers) ? headers : Object.entries(headers)) as [string, string][]; // what fetch takes
  const ours = pairs.find(isIt);
  if (!ours) return undefined;
  const others = pairs.filter((pair) => !isIt(pair));
  return { value: ours[1], others: Array.isArray(headers) ? others : Object.fromEntries(others) };
}
