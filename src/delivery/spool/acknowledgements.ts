import { Buffer } from "node:buffer";
import { crc32 } from "node:zlib";
import { attempt, type SpoolFs, writeWhole } from "./file-system.ts";
import type { Segment } from "./segment.ts";

/*
 * Beside each segment stands a file of its own for acknowledgements, deleted with it, so that nothing ever needs to be
 * compacted. An entry is 8 bytes, little endian: the record's offset divided by 32, and the CRC32 of those 4 bytes.
 * An entry that is torn or damaged only means that its trace is delivered once more.
 */
const entryBytes = 8;

function encodeEntry(granule: number, into: Buffer, at: number): void {
  into.writeUInt32LE(granule, at);
  into.writeUInt32LE(crc32(into.subarray(at, at + 4)), at + 4);
}

/** Appends acknowledgements, keeping the file of the last segment open: neighbours are acknowledged together. */
export class AckWriter {
  readonly #io: SpoolFs;
  #open: { readonly segment: Segment; readonly fd: number; size: number } | undefined;

  constructor(io: SpoolFs) {
    this.#io = io;
  }

  /** Writes what the segment has not saved; throws, keeping it, when that fails. */
  save(segment: Segment): void {
    const entries = Buffer.allocUnsafe(segment.unsavedAcks.length * entryBytes);
    segment.unsavedAcks.forEach((granule, index) => {
      encodeEntry(granule, entries, index * entryBytes);
    });
    const file = this.#fileOf(segment);
    writeWhole(this.#io, file.fd, { bytes: entries, at: file.size });
    file.size += entries.length;
    segment.unsavedAcks.length = 0;
  }

  /** The segment is about to be deleted: while its file is open here, the disk would not get its room back. */
  leave(segment: Segment): void {
    if (this.#open?.segment === segment) this.close();
  }

  close(): void {
    const file = this.#open;
    this.#open = undefined;
    if (file !== undefined) attempt(() => this.#io.close(file.fd));
  }

  #fileOf(segment: Segment): { readonly fd: number; size: number } {
    if (this.#open?.segment === segment) return this.#open;
    this.close();
    const fd = this.#io.open(segment.ackPath, "update");
    const size = this.#io.sizeOf(segment.ackPath);
    // A torn entry at the end is written over, so that all that follow stay aligned.
    this.#open = { segment, fd, size: size - (size % entryBytes) };
    return this.#open;
  }
}

/** The granules of all intact entries of an acknowledgement file. */
export function readAcks(io: SpoolFs, path: string): number[] {
  const bytes = Buffer.allocUnsafe(io.sizeOf(path));
  const fd = io.open(path, "read");
  let filled = 0;
  try {
    for (let count = 1; count > 0 && filled < bytes.length; filled += count)
      count = io.read(fd, bytes.subarray(filled), filled);
  } finally {
    io.close(fd);
  }
  const granules: number[] = [];
  for (let at = 0; at + entryBytes <= filled; at += entryBytes) {
    if (crc32(bytes.subarray(at, at + 4)) === bytes.readUInt32LE(at + 4)) granules.push(bytes.readUInt32LE(at));
  }
  return granules;
}
