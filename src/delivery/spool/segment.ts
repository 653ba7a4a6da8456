import { Bits } from "./bits.ts";

/**
 * Where a trace stands in the spool, for `acknowledge`. A plain number, so that a queue can keep a million of them;
 * it means something only to the spool which gave it.
 */
export type SpoolRef = number;

const offsetSpan = 2 ** 32; // leaves 21 of a safe integer's 53 bits for the segment: 16 TiB of traces

export const serialOf = (ref: SpoolRef): number => Math.floor(ref / offsetSpan);
export const offsetOf = (ref: SpoolRef): number => ref % offsetSpan;

/** No record is shorter than its header of 32 bytes, so no two begin in the same 32 bytes: one bit tells them apart. */
export const granuleOf = (offset: number): number => offset >>> 5;

/**
 * What is known of one segment file: a few bits a record, never an object a record.
 *
 * Its records are *waiting* (only on disk, to be handed out by `readBack`), *outstanding* (in someone's memory, not
 * acknowledged) or acknowledged; the file is done when all are acknowledged.
 */
export class Segment {
  readonly serial: number;
  /** Written by a process that is gone: only the reader knows for sure what is in it. */
  readonly isAdopted: boolean;
  path: string;
  readonly ackPath: string;
  readonly directory: string;
  /** Bytes that were written whole. */
  size = 0;
  /** Records, as far as is known. */
  records = 0;
  waiting = 0;
  waitingBytes = 0;
  outstanding = 0;
  /** Up to here `readBack` has come. */
  readOffset = 0;
  /** Nothing more is appended. */
  isSealed = false;
  /** Parts of it could not be set aside: move the whole file instead of deleting it. */
  mustBeKept = false;
  /** How often reading failed, and when to try again by the monotonic clock. */
  readFailures = 0;
  readRetryAtMs = Number.NEGATIVE_INFINITY;
  /** Acknowledged but, after a failure, not yet in the acknowledgement file. */
  readonly unsavedAcks: number[] = [];
  /** Granules of what was handed out at once. Few at a time, as memory beside a spool is small: bits would be more. */
  readonly #inMemory = new Set<number>();
  readonly #acked = new Bits();

  constructor(file: { serial: number; directory: string; path: string; ackPath: string; isAdopted: boolean }) {
    this.serial = file.serial;
    this.directory = file.directory;
    this.path = file.path;
    this.ackPath = file.ackPath;
    this.isAdopted = file.isAdopted;
  }

  refOf(offset: number): SpoolRef {
    return this.serial * offsetSpan + offset;
  }

  /** A record was written at `size`. */
  grew(length: number, handOut: boolean): SpoolRef {
    const offset = this.size;
    this.size += length;
    this.records++;
    if (handOut) {
      this.waiting++;
      this.waitingBytes += length;
    } else {
      this.outstanding++;
      this.#inMemory.add(granuleOf(offset));
    }
    return this.refOf(offset);
  }

  /** An acknowledgement found on disk. */
  wasAcknowledged(granule: number): boolean {
    return this.#acked.add(granule);
  }

  /** False when it was acknowledged before. */
  acknowledge(offset: number): boolean {
    const granule = granuleOf(offset);
    if (!this.#acked.add(granule)) return false;
    if (this.#inMemory.delete(granule) || offset < this.readOffset) this.outstanding--;
    else this.#noLongerWaiting(this.waitingBytes / this.waiting); // nobody remembers its length: the average will do
    return true;
  }

  isToBeHandedOut(offset: number): boolean {
    const granule = granuleOf(offset);
    return !this.#acked.has(granule) && !this.#inMemory.has(granule);
  }

  handedOut(length: number): void {
    this.outstanding++;
    this.#noLongerWaiting(length);
  }

  /** Nothing (more) is to be read from it, as it stands. */
  get isReadToTheEnd(): boolean {
    return this.readOffset >= this.size || (!this.isAdopted && this.waiting === 0);
  }

  readTo(offset: number): void {
    this.readOffset = offset;
    // What was damaged is not handed out: the count made at writing was too high, the one of an adopted file a guess.
    if (offset >= this.size) this.waiting = this.waitingBytes = 0;
  }

  /** What stands before `end` is damaged: whatever records those bytes were, they are out of the account. */
  skipTo(end: number): void {
    for (let granule = granuleOf(this.readOffset); granule < granuleOf(end); granule++) {
      if (this.#acked.add(granule) && this.#inMemory.delete(granule)) this.outstanding--;
    }
    this.readTo(end);
  }

  get isDone(): boolean {
    return this.isSealed && this.outstanding <= 0 && this.isReadToTheEnd;
  }

  #noLongerWaiting(length: number): void {
    this.waiting = Math.max(0, this.waiting - 1);
    this.waitingBytes = Math.max(0, this.waitingBytes - length);
  }
}
