/**
 * The traces of one folder in one file, a line each. The file is the truth; the index over it is made by reading it, and
 * brought up to date with what others appended. All of it happens under the folder's lock (`lock.ts`), so the end of the
 * file is either a whole line, or torn by a process that died while it wrote.
 */
import * as fs from "node:fs";
import { createdMsOf, fileNameOf, HEAD_BYTES } from "./line.ts";
import { type Line, LineIndex } from "./line-index.ts";

/** A trace to append. */
export interface NewLine {
  /** What its file would be called. */
  readonly name: string;
  readonly text: string;
}

/** How much of a pack is whole lines. */
export interface Extent {
  readonly lines: number;
  readonly end: number;
}

/** A trace in a listing. */
export interface ListedLine {
  readonly name: string;
  readonly modifiedMs: number;
  readonly bytes: number;
}

/** Of the file this much is looked at in one go, unless a line is longer. */
const WINDOW_BYTES = 1 << 20;
const NEWLINE = 0x0a;

export class Pack {
  #index = new LineIndex();
  #inode = 0;

  /** What is known of the file: so many lines, which end there. Of what lies before that end, nothing changes any more. */
  get extent(): Extent {
    return { lines: this.#index.lines, end: this.#index.end };
  }

  /** Learn what is in the file by now. */
  catchUp(descriptor: number): void {
    const { ino, size } = fs.fstatSync(descriptor);
    if (ino !== this.#inode || size < this.#index.end) this.#index = new LineIndex(); // another file, or one cut by hand
    this.#inode = ino;
    for (const { head, end } of linesIn(descriptor, this.#index.end, size)) this.#index.add(fileNameOf(head), end);
  }

  has(descriptor: number, name: string): boolean {
    return this.#find(descriptor, name) !== undefined;
  }

  read(descriptor: number, name: string): string | undefined {
    const line = this.#find(descriptor, name);
    if (line === undefined) return undefined;
    const bytes = Buffer.allocUnsafe(line.end - line.start - 1);
    return bytes.toString("utf8", 0, readFully(descriptor, bytes, line.start));
  }

  /** All of them, or none: what a full disk took of them is taken back. */
  append(descriptor: number, lines: readonly NewLine[], { fsync }: { readonly fsync: boolean }): void {
    const { end } = this.#index;
    if (fs.fstatSync(descriptor).size > end) fs.ftruncateSync(descriptor, end); // the torn line of one who died
    const bytes = Buffer.from(`${lines.map(({ text }) => text).join("\n")}\n`);
    try {
      for (let offset = 0; offset < bytes.length; ) offset += fs.writeSync(descriptor, bytes, offset);
      if (fsync) fs.fsyncSync(descriptor);
    } catch (error) {
      fs.ftruncateSync(descriptor, end);
      throw error;
    }
    let next = 0;
    for (const { name } of lines) {
      next = bytes.indexOf(NEWLINE, next) + 1;
      this.#index.add(name, end + next);
    }
  }

  /** The first one counts: a later one would have overwritten it. */
  #find(descriptor: number, name: string): Line | undefined {
    for (const line of this.#index.find(name)) {
      const head = Buffer.allocUnsafe(Math.min(HEAD_BYTES, line.end - line.start));
      if (fileNameOf(head.toString("utf8", 0, readFully(descriptor, head, line.start))) === name) return line;
    }
    return undefined;
  }
}

/** The traces of a pack in the order in which they came. `modifiedMs` is `created`: a line does not say when it was written. */
export function* tracesIn(descriptor: number, { lines, end }: Extent): Generator<ListedLine> {
  let number = 0;
  let start = 0;
  for (const { head, end: next } of linesIn(descriptor, 0, end)) {
    const name = fileNameOf(head);
    // `created` is whole seconds: within one, the place among the lines says which came later.
    const modifiedMs = createdMsOf(head) + (999 * number++) / lines;
    if (name !== undefined) yield { name, modifiedMs, bytes: next - start };
    start = next;
  }
}

/** The whole lines between two places, each with its beginning. What comes after the last of them is torn. */
function* linesIn(descriptor: number, from: number, to: number): Generator<{ head: string; end: number }> {
  let window = Buffer.allocUnsafe(Math.min(WINDOW_BYTES, to - from));
  for (let start = from; start < to; ) {
    const bytes = window.subarray(0, readFully(descriptor, window.subarray(0, to - start), start));
    let next = 0;
    for (let newline = bytes.indexOf(NEWLINE); newline !== -1; newline = bytes.indexOf(NEWLINE, next)) {
      const head = bytes.toString("utf8", next, Math.min(newline, next + HEAD_BYTES));
      next = newline + 1;
      yield { head, end: start + next };
    }
    if (next === 0 && bytes.length < window.length) return; // nothing more is there
    if (next === 0 && start + bytes.length >= to) return;
    if (next === 0) window = Buffer.allocUnsafe(2 * window.length);
    start += next;
  }
}

function readFully(descriptor: number, bytes: Uint8Array, position: number): number {
  let length = 0;
  while (length < bytes.length) {
    const read = fs.readSync(descriptor, bytes, length, bytes.length - length, position + length);
    if (read === 0) break;
    length += read;
  }
  return length;
}
