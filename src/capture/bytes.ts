export type Bytes = Uint8Array<ArrayBuffer>;

const fresh = (bytes: number): Bytes => new Uint8Array(bytes);

/** The pieces as one; a single one as it is. */
export function concat(pieces: readonly Bytes[], memory = fresh): Bytes {
  const [first] = pieces;
  if (first && pieces.length === 1) return first;
  const whole = memory(sizeOf(pieces));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.byteLength;
  }
  return whole;
}

const SCRATCH_BYTES = 2 ** 20;
let scratch: Bytes | undefined;

/** The same in memory that is used again (see blocks.ts): to be read at once. */
export function joined(pieces: readonly Bytes[]): Bytes {
  return concat(pieces, (bytes) => {
    if (bytes > SCRATCH_BYTES) return fresh(bytes);
    scratch ??= fresh(SCRATCH_BYTES);
    return scratch.subarray(0, bytes);
  });
}

export function sizeOf(pieces: readonly Bytes[]): number {
  return pieces.reduce((bytes, { byteLength }) => bytes + byteLength, 0);
}

/** By its tag: in a realm of its own (Jest's) a class has its own name for itself. */
export function isBytes(value: unknown): value is Bytes {
  return ArrayBuffer.isView(value) && tagOf(value) === "[object Uint8Array]";
}

export function isBuffer(value: unknown): value is ArrayBuffer {
  return tagOf(value) === "[object ArrayBuffer]";
}

function tagOf(value: unknown): string {
  return Object.prototype.toString.call(value);
}

const decoder = new TextDecoder();

/** UTF-8, without the byte order mark. */
export function decode(pieces: readonly Bytes[]): string {
  // At once: decoding piece by piece is slower than putting the pieces together.
  return decoder.decode(joined(pieces));
}
