import { Buffer } from "node:buffer";
import { crc32 } from "node:zlib";

/** One trace as the spool keeps it. */
export interface SpoolRecord {
  /** The trace's id. */
  readonly id: string;
  /** The encoded trace: text in UTF-8, so that the magic below cannot occur in it. */
  readonly body: Uint8Array;
  /** When `logTrace` took it, in ms since 1970 by the wall clock. */
  readonly acceptedAtMs: number;
}

/** One to be written: its body may still be a string, which is encoded where it is to stand. */
export type NewRecord = Omit<SpoolRecord, "body"> & { readonly body: Uint8Array | string };

/*
 * A record, little endian:
 *   0  4  magic
 *   4  1  version (1)
 *   5  1  0
 *   6  2  length of the id in bytes
 *   8  4  length of the body in bytes
 *  12  8  accepted at, ms since 1970 (float64)
 *  20  8  0
 *  28  4  CRC32 of bytes 0 to 27, the id and the body
 *  32     id (UTF-8), body
 */
export const headerBytes = 32;
export const recordVersion = 1;
/** Longer bodies are refused: a damaged length must not make a reader take gigabytes. */
export const maxBodyBytes = 64 * 1024 * 1024;
const maxIdBytes = 0xffff;

// Two UTF-8 continuation bytes where none may stand: no JSON text contains this, so a search for it finds headers only.
export const magic = Buffer.from([0x9e, 0x54, 0x4c, 0xb1]);

const scratch = Buffer.allocUnsafeSlow(64 * 1024);

/** The record's bytes, good until the next call (they share one buffer); nothing when it is too long to be kept. */
export function encodeRecord({ id, body, acceptedAtMs }: NewRecord): Buffer | undefined {
  const idBytes = Buffer.byteLength(id);
  const bodyBytes = Buffer.byteLength(body);
  if (idBytes > maxIdBytes || bodyBytes > maxBodyBytes) return undefined;
  const length = headerBytes + idBytes + bodyBytes;
  const record = length <= scratch.length ? scratch.subarray(0, length) : Buffer.allocUnsafeSlow(length);
  record.set(magic, 0);
  record.writeUInt16LE(recordVersion, 4); // the byte after the version is 0
  record.writeUInt16LE(idBytes, 6);
  record.writeUInt32LE(bodyBytes, 8);
  record.writeDoubleLE(acceptedAtMs, 12);
  record.fill(0, 20, 28);
  record.write(id, headerBytes);
  if (typeof body === "string") record.write(body, headerBytes + idBytes);
  else record.set(body, headerBytes + idBytes);
  record.writeUInt32LE(checksum(record), 28);
  return record;
}

/** What a header says, not yet proven by the checksum. */
export interface RecordHeader {
  readonly idBytes: number;
  readonly length: number;
}

/** What the header at the start of `bytes` says; nothing when it is not a header of this version. */
export function decodeHeader(bytes: Buffer): RecordHeader | undefined {
  if (!startsWithMagic(bytes) || bytes.length < headerBytes || bytes[4] !== recordVersion) return undefined;
  const idBytes = bytes.readUInt16LE(6);
  const bodyBytes = bytes.readUInt32LE(8);
  return bodyBytes > maxBodyBytes ? undefined : { idBytes, length: headerBytes + idBytes + bodyBytes };
}

export function startsWithMagic(bytes: Buffer): boolean {
  return bytes.length >= magic.length && magic.compare(bytes, 0, magic.length) === 0;
}

/** Is this whole record what was once written? */
export function isIntact(record: Buffer): boolean {
  return checksum(record) === record.readUInt32LE(28);
}

/** A record proven intact; `body` is a view of `record`. */
export function decodeRecord(record: Buffer, { idBytes }: RecordHeader): SpoolRecord {
  return {
    id: record.toString("utf8", headerBytes, headerBytes + idBytes),
    body: record.subarray(headerBytes + idBytes),
    acceptedAtMs: record.readDoubleLE(12),
  };
}

function checksum(record: Buffer): number {
  return crc32(record.subarray(headerBytes), crc32(record.subarray(0, 28)));
}
