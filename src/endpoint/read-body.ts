/** The body of a request as text, bounded while it is read: what is too long is never held. */
import { Failure } from "./failure.ts";

/** What a body may be. */
export interface BodyLimits {
  /** Longest body in bytes, after decompression. */
  readonly maxRequestBytes: number;
  /** Is `content-encoding: gzip` taken? */
  readonly gzip: boolean;
}

/** @throws {Failure} `too_large`, `unsupported_media` or `not_json` (when it is not UTF-8). */
export async function readBody(request: Request, limits: BodyLimits): Promise<string> {
  const encoding = request.headers.get("content-encoding")?.trim().toLowerCase() ?? "identity";
  const compressed = encoding === "gzip" && limits.gzip;
  if (encoding !== "identity" && !compressed) {
    throw new Failure(
      "unsupported_media",
      `UnsupportedMediaType: Send the body ${limits.gzip ? "as it is or in gzip" : "as it is"}`,
    );
  }
  if (Number(request.headers.get("content-length")) > limits.maxRequestBytes) throw tooLarge(limits);
  const bytes = await collect(plainBody(request, compressed), limits).catch(withoutStreamErrors(compressed));
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new Failure("not_json", "ValueError: The body is not UTF-8", { cause });
  }
}

function plainBody(request: Request, compressed: boolean): ReadableStream<Uint8Array> {
  const body = request.body ?? new Blob([]).stream();
  // The type parameters of the two streams differ in whether a chunk's buffer may be shared; none is.
  return compressed
    ? body.pipeThrough(new DecompressionStream("gzip") as ReadableWritablePair<Uint8Array, Uint8Array>)
    : body;
}

/** The count is of what comes out of the decompressor, a chunk at a time: a zip bomb ends at the limit, too. */
async function collect(stream: ReadableStream<Uint8Array>, limits: BodyLimits): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  // Leaving the loop early cancels the stream, and so the decompressor and the request behind it.
  for await (const chunk of stream) {
    length += chunk.byteLength;
    if (length > limits.maxRequestBytes) throw tooLarge(limits);
    chunks.push(chunk);
  }
  return concat(chunks, length);
}

function concat(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const [only] = chunks;
  if (only !== undefined && chunks.length === 1) return only;
  const whole = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    whole.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return whole;
}

/** What breaks a stream is the sender's doing: bytes that are not gzip, or a connection that went away. */
function withoutStreamErrors(compressed: boolean): (error: unknown) => never {
  return (cause) => {
    if (cause instanceof Failure) throw cause;
    const reason = compressed ? "The body is not whole gzip data" : "The body broke off";
    throw new Failure("not_json", `ValueError: ${reason}`, { cause });
  };
}

function tooLarge({ maxRequestBytes }: BodyLimits): Failure {
  return new Failure("too_large", `RequestTooLarge: The body is longer than ${maxRequestBytes} bytes`);
}
