import { Buffer } from "node:buffer";
import { join } from "node:path";
import { Adopter, type Adoption } from "./adopter.ts";
import { ackFileName, segmentFileName } from "./adoption.ts";
import { attempt, isMissing } from "./file-system.ts";
import { Home } from "./home.ts";
import { ReadCursor } from "./read-cursor.ts";
import { Reader, type SpooledRecord } from "./reader.ts";
import { encodeRecord, type NewRecord } from "./record.ts";
import type { SpoolRef } from "./segment.ts";
import { SegmentWriter } from "./segment-writer.ts";
import { Segments, type SpoolAmount } from "./segments.ts";
import { defaultDeps, type SpoolDeps, type SpoolOptions, type SpoolSettings, settingsOf } from "./settings.ts";

export type { Adoption } from "./adopter.ts";
export type { SpoolEvent } from "./events.ts";
export type { SpoolFs } from "./file-system.ts";
export type { SpooledRecord } from "./reader.ts";
export type { SpoolRecord } from "./record.ts";
export type { SpoolRef } from "./segment.ts";
export type { SpoolAmount } from "./segments.ts";
export type { SpoolDeps, SpoolOptions } from "./settings.ts";

/**
 * Traces on disk: written before `append` returns, gone after `acknowledge`, and brought back by the next process if
 * this one dies in between. Nothing here throws; what goes wrong is told through `onEvent`.
 */
export interface Spool {
  /**
   * Writes one trace. With `handOut` the caller keeps no copy and gets it back from `readBack`; without, it delivers
   * from memory and acknowledges by the reference. `null`: not on disk, keep it in memory (disk failed or full).
   */
  append(record: NewRecord, options?: { readonly handOut?: boolean }): SpoolRef | null;
  /** Delivered, or lost for good: never to be handed out again. On disk when this returns. */
  acknowledge(ref: SpoolRef): void;
  /**
   * Traces which stand only on disk, each once: adopted ones first, then our own, oldest first. May give fewer than asked
   * for, even none, while some are waiting (it reads a bounded amount a call): ask again.
   */
  readBack(limits: { readonly maxRecords: number; readonly maxBytes: number }): SpooledRecord[];
  /** For adopted directories an estimate until they are read: damage is found then. */
  waiting(): SpoolAmount;
  /** Bytes of segment files on disk. */
  readonly bytesOnDisk: number;
  /** Takes over what dead processes left under the root. Cheap when there is nothing; call it now and then. */
  adopt(): Adoption;
  /** Notices when our directory is gone (event `directory-lost`): ask before calling safe what stands in it. */
  verify(): void;
  /** Leaves what is not acknowledged to whoever comes next, and nothing else. Fit for an `exit` handler. */
  close(): void;
}

const mostTries = 3;

/**
 * Opens a spool. Where the folder cannot be used, it says so by an event and keeps trying.
 *
 * @throws {TraceLoggerError} `invalid_option`, and nothing else
 */
export function openSpool(options: SpoolOptions, deps: Partial<SpoolDeps> = {}): Spool {
  const { onEvent, ...rest } = { ...defaultDeps, ...deps };
  // Guarded: the host's code may throw.
  return new DiskSpool(settingsOf(options), { ...rest, onEvent: (event) => void attempt(() => onEvent(event)) });
}

class DiskSpool implements Spool {
  readonly #settings: SpoolSettings;
  readonly #deps: SpoolDeps;
  readonly #home: Home;
  readonly #cursor: ReadCursor;
  readonly #segments: Segments;
  readonly #reader: Reader;
  readonly #adopter: Adopter;
  readonly #stopTicking: () => void;
  #writer: SegmentWriter | undefined;

  #isClosed = false;
  #isDegraded = false;
  #isFull = false;
  #retryAtMs = Number.NEGATIVE_INFINITY;

  constructor(settings: SpoolSettings, deps: SpoolDeps) {
    const home = new Home(settings, deps);
    const cursor = new ReadCursor(deps.io, join(settings.dir, "bad"), deps.onEvent);
    const segments = new Segments(settings, deps, cursor);
    const reader = new Reader({ deps, settings, segments, cursor, leaveIfGone: () => this.#leaveIfGone() });
    this.#settings = settings;
    this.#deps = deps;
    this.#home = home;
    this.#cursor = cursor;
    this.#segments = segments;
    this.#reader = reader;
    this.#adopter = new Adopter({ deps, home, segments, reader, cursor });
    this.#stopTicking = deps.every(home.tickMs, () => this.#tick());
    this.#tryTo(() => void home.open());
  }

  get bytesOnDisk(): number {
    return this.#segments.bytes;
  }

  append(record: NewRecord, { handOut = false }: { readonly handOut?: boolean } = {}): SpoolRef | null {
    if (this.#isClosed || this.#deps.monotonicMs() < this.#retryAtMs) return null;
    const bytes = encodeRecord(record);
    if (bytes === undefined) {
      this.#deps.onEvent({ type: "too-large", id: record.id, bytes: Buffer.byteLength(record.body) });
      return null;
    }
    if (!this.#hasRoomFor(bytes.length)) return null;
    return this.#tryTo(() => this.#write(bytes, handOut)) ?? null;
  }

  acknowledge(ref: SpoolRef): void {
    this.#segments.acknowledge(ref);
  }

  readBack(limits: { readonly maxRecords: number; readonly maxBytes: number }): SpooledRecord[] {
    return this.#reader.readBack(limits);
  }

  waiting(): SpoolAmount {
    return this.#segments.waiting();
  }

  adopt(): Adoption {
    const none = { directories: 0, records: 0, hasMore: false };
    if (this.#isClosed) return none;
    try {
      this.#home.open();
      this.#leaveIfGone();
      this.#home.beat();
      return this.#adopter.adopt();
    } catch {
      return none; // nothing is lost by looking again later
    }
  }

  verify(): void {
    if (!this.#isClosed) this.#leaveIfGone();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#stopTicking();
    this.#sealWriter();
    this.#segments.close();
    this.#cursor.close();
    this.#home.release();
  }

  #hasRoomFor(length: number): boolean {
    const { maxBytes } = this.#settings;
    const { bytes } = this.#segments;
    if (bytes + length <= maxBytes) {
      if (bytes < maxBytes * 0.9) this.#isFull = false; // not at every trace while it stands at the brim
      return true;
    }
    if (!this.#isFull) this.#deps.onEvent({ type: "full", bytes, maxBytes });
    this.#isFull = true;
    return false;
  }

  #write(bytes: Uint8Array, handOut: boolean): SpoolRef {
    for (let tries = 0; tries < mostTries; tries++) {
      const writer = this.#writerFor(bytes.length);
      if (writer === undefined) continue;
      writer.write(bytes, this.#settings.fsync === "always");
      if (writer.isInPlace()) return this.#segments.grew(writer.segment, bytes.length, handOut);
      this.#leaveHome();
    }
    throw new Error("The spool's directory disappears as fast as it is made.");
  }

  #writerFor(length: number): SegmentWriter | undefined {
    if (this.#writer !== undefined && this.#writer.segment.size + length <= this.#settings.segmentBytes)
      return this.#writer;
    if (this.#writer !== undefined && this.#writer.segment.size > 0) this.#sealWriter();
    if (this.#writer !== undefined) return this.#writer; // one trace longer than a segment has one to itself
    const directory = this.#home.open();
    try {
      this.#writer = this.#newWriter(directory);
      if (this.#settings.fsync === "always") this.#syncDirectory(directory);
      return this.#writer;
    } catch (error) {
      if (!isMissing(error)) throw error;
      this.#leaveHome();
      return undefined;
    }
  }

  #newWriter(directory: string): SegmentWriter {
    const number = this.#segments.nextSerial;
    const files = { directory, segmentFile: segmentFileName(number), ackFile: ackFileName(number) };
    const segment = this.#segments.make(files, false);
    const writer = new SegmentWriter(this.#deps.io, segment);
    this.#segments.add(segment);
    this.#reader.add(segment);
    return writer;
  }

  #sealWriter(): void {
    const writer = this.#writer;
    this.#writer = undefined;
    if (writer === undefined) return;
    writer.seal(this.#settings.fsync !== "never");
    this.#segments.removeIfDone(writer.segment);
  }

  #syncDirectory(path: string): void {
    const { io } = this.#deps;
    // Not every system can do this to a directory.
    attempt(() => {
      const fd = io.open(path, "read");
      try {
        io.sync(fd);
      } finally {
        io.close(fd);
      }
    });
  }

  #leaveIfGone(): boolean {
    const { isGone } = this.#home;
    if (isGone) this.#leaveHome();
    return isGone;
  }

  #leaveHome(): void {
    const amount = this.#segments.waiting();
    const isDeleted = this.#writer?.isUnlinked() ?? true;
    this.#writer?.close();
    this.#writer = undefined;
    this.#reader.forget();
    this.#segments.forget();
    this.#home.release(); // if only a file of it is gone, the rest is still there for the taking
    this.#deps.onEvent({ type: "directory-lost", isDeleted, ...amount });
  }

  #tick(): void {
    this.#home.tick();
    if (this.#settings.fsync === "interval") this.#writer?.syncLater();
    this.#segments.saveAcks();
  }

  #tryTo<T>(action: () => T): T | undefined {
    try {
      const result = action();
      if (this.#isDegraded) this.#deps.onEvent({ type: "recovered" });
      this.#isDegraded = false;
      return result;
    } catch (cause) {
      this.#retryAtMs = this.#deps.monotonicMs() + this.#settings.retryAfterMs;
      this.#sealWriter();
      if (!this.#isDegraded) this.#deps.onEvent({ type: "degraded", cause });
      this.#isDegraded = true;
      return undefined;
    }
  }
}
