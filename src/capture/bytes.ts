export type Bytes = Uint8Array<ArrayBuffer>;

/** The pieces as one; a single one as it is. */
export function concat(pieces: readonly Bytes[]): Bytes {
  const [first, ...others] = pieces;
  if (first && others.length === 0) return first;
  const whole = new Uint8Array(sizeOf(pieces));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.byteLength;
  }
  return whole;
}

export function sizeOf(pieces: readonly Bytes[]): number {
  return pieces.reduce((bytes, { byteLength }) => bytes + byteLength, 0);
}
