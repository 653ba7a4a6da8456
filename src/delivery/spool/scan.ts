import { Buffer } from "node:buffer";
import type { SpoolFs } from "./file-system.ts";
import {
  decodeHeader,
  decodeRecord,
  headerBytes,
  isIntact,
  magic,
  recordVersion,
  type SpoolRecord,
  startsWithMagic,
} from "./record.ts";

/** What stands at an offset of a segment, up to `end`. */
export type Scanned =
  | { readonly kind: "record"; readonly end: number; readonly record: SpoolRecord }
  /** Bytes which are no record: damaged, or written by a version that we do not know. */
  | { readonly kind: "bad"; readonly end: number; readonly reason: "corrupt" | "version" }
  /** The beginning of a record whose writing was never finished. */
  | { readonly kind: "torn"; readonly end: number };

const windowBytes = 256 * 1024;

/** Reads a file through one window, so that memory stays small however large the file is. */
export class FileWindow {
  readonly #io: SpoolFs;
  readonly #fd: number;
  #buffer = Buffer.allocUnsafeSlow(windowBytes);
  #start = 0;
  #filled = 0;

  constructor(io: SpoolFs, path: string) {
    this.#io = io;
    this.#fd = io.open(path, "read");
  }

  /** The bytes from `offset`, at most `length` and not beyond `end`; good until the next call. */
  view(offset: number, length: number, end: number): Buffer {
    const wanted = Math.max(0, Math.min(length, end - offset));
    if (offset < this.#start || offset + wanted > this.#start + this.#filled) this.#fill(offset, wanted, end);
    const from = offset - this.#start;
    return this.#buffer.subarray(from, Math.min(from + wanted, this.#filled));
  }

  /** Where `needle` next stands at or after `from`; nothing when it does not before `end`. */
  find(needle: Buffer, from: number, end: number): number | undefined {
    for (let at = from; at + needle.length <= end; ) {
      const buffered = this.#start + this.#filled - at; // first what is here already: a search may stop every few bytes
      const length = at >= this.#start && buffered >= needle.length ? buffered : windowBytes;
      const bytes = this.view(at, length, end);
      const found = bytes.indexOf(needle);
      if (found >= 0) return at + found;
      if (bytes.length < needle.length) return undefined;
      at += bytes.length - needle.length + 1; // it may straddle two windows
    }
    return undefined;
  }

  close(): void {
    this.#io.close(this.#fd);
  }

  #fill(offset: number, wanted: number, end: number): void {
    if (wanted > this.#buffer.length) this.#buffer = Buffer.allocUnsafeSlow(wanted);
    const room = this.#buffer.subarray(0, Math.min(this.#buffer.length, end - offset));
    this.#start = offset;
    this.#filled = 0;
    while (this.#filled < room.length) {
      const count = this.#io.read(this.#fd, room.subarray(this.#filled), offset + this.#filled);
      if (count === 0) break;
      this.#filled += count;
    }
  }
}

/** What stands at `offset` of a file whose good bytes end at `end`. A record's body is good until the next call. */
export function scanAt(file: FileWindow, offset: number, end: number): Scanned {
  const record = recordAt(file, offset, end);
  if (record !== undefined) return { kind: "record", ...record };
  const next = nextRecordAfter(file, offset, end);
  const head = file.view(offset, headerBytes, end);
  if (next === undefined && isTorn(head, end - offset)) return { kind: "torn", end };
  const isOtherVersion = startsWithMagic(head) && head[4] !== recordVersion;
  return { kind: "bad", end: next ?? end, reason: isOtherVersion ? "version" : "corrupt" };
}

/** How many intact records the file holds. */
export function countRecords(file: FileWindow, end: number): number {
  let count = 0;
  for (let offset = 0; offset < end; ) {
    const found = scanAt(file, offset, end);
    if (found.kind === "record") count++;
    offset = found.end;
  }
  return count;
}

function recordAt(file: FileWindow, offset: number, end: number): { record: SpoolRecord; end: number } | undefined {
  const header = decodeHeader(file.view(offset, headerBytes, end));
  if (header === undefined || header.length > end - offset) return undefined;
  const bytes = file.view(offset, header.length, end);
  if (bytes.length < header.length || !isIntact(bytes)) return undefined;
  return { record: decodeRecord(bytes, header), end: offset + header.length };
}

function nextRecordAfter(file: FileWindow, offset: number, end: number): number | undefined {
  let at = file.find(magic, offset + 1, end);
  while (at !== undefined && recordAt(file, at, end) === undefined) at = file.find(magic, at + 1, end);
  return at;
}

function isTorn(head: Buffer, remaining: number): boolean {
  const known = Math.min(head.length, magic.length);
  if (magic.compare(head, 0, known, 0, known) !== 0) return false;
  if (head.length < headerBytes) return head.length <= 4 || head[4] === recordVersion;
  const header = decodeHeader(head);
  return header !== undefined && header.length > remaining;
}
