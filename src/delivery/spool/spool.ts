import { join } from "node:path";
import { AckWriter } from "./acknowledgements.ts";
import { ackFileName, findAbandoned, flatten, isAbandoned, readDirectory, segmentFileName } from "./adoption.ts";
import type { SpoolEvent } from "./events.ts";
import { attempt, isMissing, nodeFs, type SpoolFs } from "./file-system.ts";
import { directoryName, type Processes, releasedName, systemProcesses } from "./owner.ts";
import { ReadCursor } from "./read-cursor.ts";
import { encodeRecord, type SpoolRecord } from "./record.ts";
import { offsetOf, Segment, type SpoolRef, serialOf } from "./segment.ts";
import { SegmentWriter } from "./segment-writer.ts";

export type { SpoolEvent } from "./events.ts";
export type { SpoolFs } from "./file-system.ts";
export type { SpoolRecord } from "./record.ts";
export type { SpoolRef } from "./segment.ts";

export interface SpoolOptions {
  /** The root folder, shared by all processes that deliver to the same endpoint. Made when absent, for this user only. */
  readonly dir: string;
  /** Most bytes of traces this process keeps on disk, adopted ones included. @default 1 GiB */
  readonly maxBytes?: number | undefined;
  /** Traces older than this come back marked `isExpired`. @default 7 days */
  readonly maxAgeMs?: number | undefined;
  /**
   * When the disk itself must have the trace: `always` before `append` returns, `interval` within a second, off this
   * thread; `never` whenever the operating system likes. A killed process loses nothing with any of them: this is for
   * power loss. @default "interval"
   */
  readonly fsync?: "always" | "interval" | "never" | undefined;
  /** A segment file is closed at this size; it is deleted when all its traces are delivered. @default 8 MiB */
  readonly segmentBytes?: number | undefined;
  /** An owner silent for so long is taken for dead, where its process cannot be looked up. @default 2 minutes */
  readonly staleAfterMs?: number | undefined;
  /** After a failed write, the next is tried no sooner than this. @default 1 second */
  readonly retryAfterMs?: number | undefined;
}

/** The spool's outside world. */
export interface SpoolDeps {
  readonly io: SpoolFs;
  readonly processes: Processes;
  /** The wall clock, for ages and heartbeats. */
  readonly now: () => number;
  /** A clock that never jumps, for waiting. */
  readonly monotonicMs: () => number;
  /** Calls the function again and again without holding the process open; gives back how to stop. */
  readonly every: (intervalMs: number, call: () => void) => () => void;
  readonly onEvent: (event: SpoolEvent) => void;
}

/** A trace that stood only on disk. */
export interface SpooledRecord extends SpoolRecord {
  readonly ref: SpoolRef;
  /** Older than `maxAgeMs`: not to be delivered; report it lost and acknowledge it. */
  readonly isExpired: boolean;
  /** Left by a dead process, not appended by this one. */
  readonly isAdopted: boolean;
}

/** How much stands on disk that nobody holds in memory. */
export interface SpoolAmount {
  readonly records: number;
  readonly bytes: number;
}

/** What `adopt` found. */
export interface Adoption {
  readonly directories: number;
  readonly records: number;
  /** There was more than fits into one call: call again soon. */
  readonly hasMore: boolean;
}

/**
 * Traces on disk: written before `append` returns, gone after `acknowledge`, and brought back by the next process if
 * this one dies in between. Nothing here throws; what goes wrong is told through `onEvent`.
 */
export interface Spool {
  /**
   * Writes one trace. With `handOut` the caller keeps no copy and gets it back from `readBack`; without, it delivers
   * from memory and acknowledges by the reference. `null`: not on disk, keep it in memory (disk failed or full).
   */
  append(record: SpoolRecord, options?: { readonly handOut?: boolean }): SpoolRef | null;
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
  /** Leaves what is not acknowledged to whoever comes next, and nothing else. Fit for an `exit` handler. */
  close(): void;
}

const mostTickMs = 1000;
const mostBeatMs = 10_000;
const adoptionBudgetMs = 20;
const readBudgetBytes = 16 * 1024 * 1024;
const mostTries = 3;

const defaultDeps: SpoolDeps = {
  io: nodeFs,
  processes: systemProcesses,
  now: Date.now,
  monotonicMs: () => performance.now(),
  every(intervalMs, call) {
    const timer = setInterval(call, intervalMs);
    timer.unref();
    return () => clearInterval(timer);
  },
  onEvent: () => {},
};

/** Opens a spool. Never throws: where the folder cannot be used, it says so by an event and keeps trying. */
export function openSpool(options: SpoolOptions, deps: Partial<SpoolDeps> = {}): Spool {
  return new DiskSpool(options, { ...defaultDeps, ...deps });
}

class DiskSpool implements Spool {
  readonly #options: Required<{ [K in keyof SpoolOptions]: NonNullable<SpoolOptions[K]> }>;
  readonly #deps: SpoolDeps;
  readonly #acks: AckWriter;
  readonly #cursor: ReadCursor;
  readonly #stopTicking: () => void;
  readonly #tickMs: number;

  #home: string | undefined;
  #writer: SegmentWriter | undefined;
  #segments = new Map<number, Segment>();
  #adoptedUnread: Segment[] = [];
  #ownUnread: Segment[] = [];
  #lastSerial = 0;
  #bytes = 0;

  #isClosed = false;
  #isDegraded = false;
  #isFull = false;
  #retryAtMs = Number.NEGATIVE_INFINITY;
  #ackRetryAtMs = Number.NEGATIVE_INFINITY;
  #beatAtMs: number | undefined;
  #trustHeartbeatsAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: SpoolOptions, deps: SpoolDeps) {
    this.#options = {
      dir: options.dir,
      maxBytes: options.maxBytes ?? 1024 ** 3,
      maxAgeMs: options.maxAgeMs ?? 7 * 24 * 3600 * 1000,
      fsync: options.fsync ?? "interval",
      segmentBytes: Math.min(options.segmentBytes ?? 8 * 1024 ** 2, (options.maxBytes ?? 1024 ** 3) / 8),
      staleAfterMs: options.staleAfterMs ?? 120_000,
      retryAfterMs: options.retryAfterMs ?? 1000,
    };
    this.#deps = deps;
    this.#acks = new AckWriter(deps.io);
    this.#cursor = new ReadCursor(deps.io, join(options.dir, "bad"), (event) => this.#tell(event));
    this.#tickMs = Math.min(mostTickMs, this.#options.staleAfterMs / 8);
    this.#stopTicking = deps.every(this.#tickMs, () => this.#tick());
    this.#tryTo(() => void this.#openHome());
  }

  get bytesOnDisk(): number {
    return this.#bytes;
  }

  append(record: SpoolRecord, { handOut = false }: { readonly handOut?: boolean } = {}): SpoolRef | null {
    if (this.#isClosed || this.#deps.monotonicMs() < this.#retryAtMs) return null;
    const bytes = encodeRecord(record);
    if (bytes === undefined) {
      this.#tell({ type: "too-large", id: record.id, bytes: record.body.length });
      return null;
    }
    if (!this.#hasRoomFor(bytes.length)) return null;
    return this.#tryTo(() => this.#write(bytes, handOut)) ?? null;
  }

  acknowledge(ref: SpoolRef): void {
    const segment = this.#segments.get(serialOf(ref));
    // Unknown: the directory was lost, and whoever has it delivers again.
    if (segment === undefined || !segment.acknowledge(offsetOf(ref))) return;
    if (this.#removeIfDone(segment)) return;
    segment.unsavedAcks.push(offsetOf(ref) >>> 5);
    this.#saveAcks(segment);
  }

  readBack(limits: { readonly maxRecords: number; readonly maxBytes: number }): SpooledRecord[] {
    const records: SpooledRecord[] = [];
    let bytes = 0;
    let budget = readBudgetBytes;
    while (records.length < limits.maxRecords && budget > 0) {
      const segment = this.#nextUnread();
      if (segment === undefined) break;
      const from = segment.readOffset;
      const record = this.#readNext(segment, records.length === 0 ? Number.POSITIVE_INFINITY : limits.maxBytes - bytes);
      if (record === "full") break;
      budget -= segment.readOffset - from;
      if (record === undefined) continue;
      bytes += record.body.length;
      records.push(record);
    }
    return records;
  }

  waiting(): SpoolAmount {
    let records = 0;
    let bytes = 0;
    for (const segment of this.#segments.values()) {
      records += segment.waiting;
      bytes += segment.waitingBytes;
    }
    return { records, bytes: Math.round(bytes) };
  }

  adopt(): Adoption {
    const none = { directories: 0, records: 0, hasMore: false };
    if (this.#isClosed) return none;
    try {
      return this.#adopt();
    } catch {
      return none; // nothing is lost by looking again later
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#stopTicking();
    this.#sealWriter();
    this.#nextUnread(); // removes what is read to the end and acknowledged
    for (const segment of [...this.#segments.values()]) {
      if (!this.#removeIfDone(segment)) this.#saveAcks(segment, true);
    }
    this.#acks.close();
    this.#cursor.close();
    const home = this.#home;
    if (home === undefined) return;
    const { io } = this.#deps;
    if (!attempt(() => io.removeDirectory(home)))
      attempt(() => io.rename(home, join(this.#options.dir, releasedName())));
  }

  // --- writing ---

  #hasRoomFor(length: number): boolean {
    const { maxBytes } = this.#options;
    if (this.#bytes + length <= maxBytes) {
      if (this.#bytes < maxBytes * 0.9) this.#isFull = false; // not at every trace while it stands at the brim
      return true;
    }
    if (!this.#isFull) this.#tell({ type: "full", bytes: this.#bytes, maxBytes });
    this.#isFull = true;
    return false;
  }

  #write(bytes: Uint8Array, handOut: boolean): SpoolRef {
    for (let tries = 0; tries < mostTries; tries++) {
      const writer = this.#writerFor(bytes.length);
      if (writer === undefined) continue;
      writer.write(bytes, this.#options.fsync === "always");
      if (writer.isInPlace()) {
        this.#bytes += bytes.length;
        return writer.segment.grew(bytes.length, handOut);
      }
      this.#leaveHome();
    }
    throw new Error("The spool's directory disappears as fast as it is made.");
  }

  #writerFor(length: number): SegmentWriter | undefined {
    if (this.#writer !== undefined && this.#writer.segment.size + length <= this.#options.segmentBytes)
      return this.#writer;
    if (this.#writer !== undefined && this.#writer.segment.size > 0) this.#sealWriter();
    if (this.#writer !== undefined) return this.#writer; // one trace longer than a segment has one to itself
    const home = this.#openHome();
    try {
      const number = this.#lastSerial + 1;
      const segment = this.#newSegment(home, segmentFileName(number), ackFileName(number));
      this.#writer = new SegmentWriter(this.#deps.io, segment, number);
      this.#segments.set(segment.serial, segment);
      this.#ownUnread.push(segment);
      if (this.#options.fsync === "always") this.#syncDirectory(home);
      return this.#writer;
    } catch (error) {
      if (!isMissing(error)) throw error;
      this.#leaveHome();
      return undefined;
    }
  }

  #newSegment(directory: string, segmentFile: string, ackFile: string): Segment {
    return new Segment({
      serial: ++this.#lastSerial,
      directory,
      path: join(directory, segmentFile),
      ackPath: join(directory, ackFile),
      isAdopted: directory !== this.#home,
    });
  }

  #sealWriter(): void {
    const writer = this.#writer;
    this.#writer = undefined;
    if (writer === undefined) return;
    writer.seal(this.#options.fsync !== "never");
    this.#removeIfDone(writer.segment);
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

  // --- acknowledging ---

  #saveAcks(segment: Segment, now = false): void {
    if (segment.unsavedAcks.length === 0 || (!now && this.#deps.monotonicMs() < this.#ackRetryAtMs)) return;
    // What cannot be saved is delivered again if we die: no reason to stop writing traces.
    if (!attempt(() => this.#acks.save(segment)))
      this.#ackRetryAtMs = this.#deps.monotonicMs() + this.#options.retryAfterMs;
  }

  #removeIfDone(segment: Segment): boolean {
    if (!segment.isDone || !this.#segments.delete(segment.serial)) return false;
    const { io } = this.#deps;
    this.#bytes -= segment.size;
    if (segment.isAdopted) attempt(() => io.markTaken(segment.path)); // its owner may only have been stopped
    const isGone =
      segment.mustBeKept && this.#cursor.moveAside(segment.path, "corrupt")
        ? true
        : attempt(() => io.remove(segment.path));
    // The acknowledgements go last: without them, the traces of a segment that is still there would be delivered again.
    if (isGone) attempt(() => io.remove(segment.ackPath));
    if (segment.isAdopted) attempt(() => io.removeDirectory(segment.directory)); // works for the last one
    return true;
  }

  // --- reading back ---

  #nextUnread(): Segment | undefined {
    this.#adoptedUnread = this.#stillUnread(this.#adoptedUnread);
    this.#ownUnread = this.#stillUnread(this.#ownUnread);
    const now = this.#deps.monotonicMs();
    const isNext = (segment: Segment) => !segment.isReadToTheEnd && segment.readRetryAtMs <= now;
    return this.#adoptedUnread.find(isNext) ?? this.#ownUnread.find(isNext);
  }

  #stillUnread(queue: Segment[]): Segment[] {
    if (!queue[0]?.isReadToTheEnd || !queue[0].isSealed) return queue;
    return queue.filter((segment) => {
      const isOver = segment.isSealed && segment.isReadToTheEnd;
      if (isOver) this.#removeIfDone(segment);
      return !isOver;
    });
  }

  #readNext(segment: Segment, roomBytes: number): SpooledRecord | "full" | undefined {
    try {
      const found = this.#cursor.next(segment);
      if (found === undefined) return undefined;
      const { readOffset } = segment;
      if (!segment.isToBeHandedOut(readOffset)) {
        segment.readTo(found.end);
        return undefined;
      }
      if (found.record.body.length > roomBytes) return "full";
      segment.handedOut(found.end - readOffset);
      segment.readTo(found.end);
      const isExpired = this.#deps.now() - found.record.acceptedAtMs > this.#options.maxAgeMs;
      return {
        ...found.record,
        body: new Uint8Array(found.record.body), // a copy; 'slice' of what is a Buffer underneath would be none
        ref: segment.refOf(readOffset),
        isExpired,
        isAdopted: segment.isAdopted,
      };
    } catch (error) {
      this.#couldNotRead(segment, error);
      return undefined;
    }
  }

  #couldNotRead(segment: Segment, error: unknown): void {
    this.#cursor.close();
    if (isMissing(error) && this.#home !== undefined && !this.#deps.io.exists(this.#home)) {
      this.#leaveHome();
      return;
    }
    segment.readFailures++;
    segment.readRetryAtMs = this.#deps.monotonicMs() + this.#options.retryAfterMs;
    if (segment.readFailures < mostTries) return; // too many open files, a network disk's hiccup
    const bytes = segment.size - segment.readOffset;
    this.#tell({ type: "set-aside", reason: "unreadable", bytes, path: segment.path });
    segment.mustBeKept = true;
    segment.readTo(segment.size);
  }

  // --- adopting ---

  #adopt(): Adoption {
    const home = this.#openHome();
    if (!this.#deps.io.exists(home)) this.#leaveHome();
    this.#beat();
    const { io, processes, monotonicMs, now } = this.#deps;
    const limitMs = monotonicMs() < this.#trustHeartbeatsAtMs ? Number.POSITIVE_INFINITY : this.#options.staleAfterMs;
    const abandoned = findAbandoned(io, this.#options.dir, (name, atMs) =>
      join(this.#options.dir, name) === this.#home
        ? false
        : isAbandoned(name, { silentMs: now() - atMs, limitMs }, processes),
    );
    const until = monotonicMs() + adoptionBudgetMs;
    let directories = 0;
    let records = 0;
    for (const name of abandoned) {
      const found = this.#takeOver(name);
      if (found === undefined) continue;
      directories++;
      records += found;
      if (monotonicMs() > until) return { directories, records, hasMore: directories < abandoned.length };
    }
    return { directories, records, hasMore: false };
  }

  /** How many records; nothing when another process was quicker. */
  #takeOver(name: string): number | undefined {
    const { io } = this.#deps;
    const home = this.#openHome();
    const target = join(home, name);
    if (!attempt(() => io.rename(join(this.#options.dir, name), target))) return undefined;
    let records = 0;
    for (const directory of flatten(io, home, target)) records += this.#load(directory);
    this.#tell({ type: "adopted", directory: name, records });
    return records;
  }

  #load(directory: string): number {
    const { io } = this.#deps;
    const segments = readDirectory(directory, {
      io,
      newSegment: (...where) => this.#newSegment(...where),
      onStranger: (path) => void this.#cursor.moveAside(path, "unknown-file"),
    });
    let records = 0;
    for (const segment of segments) {
      this.#segments.set(segment.serial, segment);
      this.#bytes += segment.size;
      records += segment.waiting;
      // Only remains of records: nobody would ask for them.
      while (segment.waiting === 0 && !segment.isReadToTheEnd) this.#readNext(segment, 0);
      if (!this.#removeIfDone(segment)) this.#adoptedUnread.push(segment);
    }
    if (segments.length === 0) attempt(() => io.removeDirectory(directory));
    return records;
  }

  // --- our directory ---

  #openHome(): string {
    if (this.#home !== undefined) return this.#home;
    const home = join(this.#options.dir, directoryName(this.#deps.processes.self()));
    this.#deps.io.makeDirectory(home);
    this.#home = home;
    this.#beat();
    return home;
  }

  #leaveHome(): void {
    const { records, bytes } = this.waiting();
    const isDeleted = this.#writer?.isUnlinked() ?? true;
    this.#writer?.close();
    this.#acks.close();
    this.#cursor.close();
    const home = this.#home;
    // If only a file of it is gone, the rest is still there for the taking.
    if (home !== undefined) attempt(() => this.#deps.io.rename(home, join(this.#options.dir, releasedName())));
    this.#home = undefined;
    this.#writer = undefined;
    this.#segments.clear();
    this.#adoptedUnread = [];
    this.#ownUnread = [];
    this.#bytes = 0;
    this.#tell({ type: "directory-lost", isDeleted, records, bytes });
  }

  #beat(): void {
    const now = this.#deps.now();
    // We were stopped ourselves, or the clock has jumped: the others must have the time for a heartbeat first.
    if (this.#beatAtMs !== undefined && Math.abs(now - this.#beatAtMs) > this.#options.staleAfterMs / 2)
      this.#trustHeartbeatsAtMs = this.#deps.monotonicMs() + 5 * this.#tickMs;
    this.#beatAtMs = now;
    const home = this.#home;
    if (home !== undefined) attempt(() => this.#deps.io.touch(home, now));
  }

  #tick(): void {
    const beatMs = Math.min(mostBeatMs, this.#options.staleAfterMs / 4);
    if (Math.abs(this.#deps.now() - (this.#beatAtMs ?? 0)) >= beatMs) this.#beat();
    if (this.#options.fsync === "interval") this.#writer?.syncLater();
    for (const segment of this.#segments.values()) this.#saveAcks(segment);
  }

  // --- trouble ---

  #tryTo<T>(action: () => T): T | undefined {
    try {
      const result = action();
      if (this.#isDegraded) this.#tell({ type: "recovered" });
      this.#isDegraded = false;
      return result;
    } catch (cause) {
      this.#retryAtMs = this.#deps.monotonicMs() + this.#options.retryAfterMs;
      this.#sealWriter();
      if (!this.#isDegraded) this.#tell({ type: "degraded", cause });
      this.#isDegraded = true;
      return undefined;
    }
  }

  #tell(event: SpoolEvent): void {
    attempt(() => this.#deps.onEvent(event)); // the host's code may throw
  }
}
