/**
 * A line of a pack: the JSON of a trace exactly as a file of its own would hold it. The endpoint writes the id first, so
 * a line says by its beginning what its file would be called, and nothing has to be written beside it.
 */
import { plainSegment } from "../key.ts";

/** The file that holds the traces of a folder. It is nobody's key: those end in `.json`. */
export const PACK_NAME = "traces.ndjson";

/** So much of a line, in bytes, holds its id, `object` and `created`, unless they are absurd. */
export const HEAD_BYTES = 1024;

const ID_FIRST = /^\{"id":("(?:[^"\\]|\\.)*")/;

/** What the file of this trace would be called; `undefined` where the id is not first, or no name can be made of it alone. */
export function fileNameOf(head: string): string | undefined {
  const literal = ID_FIRST.exec(head)?.[1];
  // Half a surrogate pair is another character once it is written. (What `JSON.stringify` made has none.)
  if (literal === undefined || /\p{Surrogate}/u.test(literal)) return undefined;
  const segment = plainSegment(literal.includes("\\") ? unescaped(literal) : literal.slice(1, -1));
  return segment === undefined ? undefined : `${segment}.json`;
}

/** When the trace was made, in Unix milliseconds; 0 where the line does not say so at its beginning. */
export function createdMsOf(head: string): number {
  return Number(/"created":(\d+)/.exec(head)?.[1] ?? 0) * 1000;
}

function unescaped(literal: string): string {
  try {
    return JSON.parse(literal);
  } catch {
    return ""; // damaged; no trace has this id
  }
}
