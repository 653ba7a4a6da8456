import { join } from "node:path";
import { AckWriter } from "./acknowledgements.ts";
import { attempt } from "./file-system.ts";
import type { ReadCursor } from "./read-cursor.ts";
import { offsetOf, Segment, type SpoolRef, serialOf } from "./segment.ts";
import type { SpoolDeps, SpoolSettings } from "./settings.ts";

/** How much stands on disk that nobody holds in memory. */
export interface SpoolAmount {
  readonly records: number;
  readonly bytes: number;
}

export interface SegmentFiles {
  readonly directory: string;
  readonly segmentFile: string;
  readonly ackFile: string;
}

/** The segment files that this process answers for: which are there, what of them is done with, and their deletion. */
export class Segments {
  readonly #settings: SpoolSettings;
  readonly #deps: SpoolDeps;
  readonly #cursor: ReadCursor;
  readonly #acks: AckWriter;
  readonly #all = new Map<number, Segment>();
  #lastSerial = 0;
  #bytes = 0;
  #ackRetryAtMs = Number.NEGATIVE_INFINITY;

  constructor(settings: SpoolSettings, deps: SpoolDeps, cursor: ReadCursor) {
    this.#settings = settings;
    this.#deps = deps;
    this.#cursor = cursor;
    this.#acks = new AckWriter(deps.io);
  }

  /** Bytes of all of them on disk. */
  get bytes(): number {
    return this.#bytes;
  }

  get nextSerial(): number {
    return this.#lastSerial + 1;
  }

  /** A segment that we do not answer for before it is added. */
  make({ directory, segmentFile, ackFile }: SegmentFiles, isAdopted: boolean): Segment {
    return new Segment({
      serial: ++this.#lastSerial,
      directory,
      path: join(directory, segmentFile),
      ackPath: join(directory, ackFile),
      isAdopted,
    });
  }

  add(segment: Segment): void {
    this.#all.set(segment.serial, segment);
    this.#bytes += segment.size;
  }

  /** A record was written to it. */
  grew(segment: Segment, length: number, handOut: boolean): SpoolRef {
    this.#bytes += length;
    return segment.grew(length, handOut);
  }

  waiting(): SpoolAmount {
    let records = 0;
    let bytes = 0;
    for (const segment of this.#all.values()) {
      records += segment.waiting;
      bytes += segment.waitingBytes;
    }
    return { records, bytes: Math.round(bytes) };
  }

  acknowledge(ref: SpoolRef): void {
    const segment = this.#all.get(serialOf(ref));
    // Unknown: the directory was lost, and whoever has it delivers again.
    if (segment === undefined || !segment.acknowledge(offsetOf(ref))) return;
    if (this.removeIfDone(segment)) return;
    segment.unsavedAcks.push(offsetOf(ref) >>> 5);
    this.#saveAcks(segment);
  }

  /** Acknowledgements that could not be saved before. */
  saveAcks(): void {
    for (const segment of this.#all.values()) this.#saveAcks(segment);
  }

  removeIfDone(segment: Segment): boolean {
    if (!segment.isDone || !this.#all.delete(segment.serial)) return false;
    const { io } = this.#deps;
    this.#bytes -= segment.size;
    this.#cursor.leave(segment);
    this.#acks.leave(segment);
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

  /** They are no longer ours. */
  forget(): void {
    this.#acks.close();
    this.#all.clear();
    this.#bytes = 0;
  }

  /** Removes what is done with, and saves what is known of the rest. */
  close(): void {
    for (const segment of [...this.#all.values()]) {
      if (!this.removeIfDone(segment)) this.#saveAcks(segment, true);
    }
    this.#acks.close();
  }

  #saveAcks(segment: Segment, now = false): void {
    if (segment.unsavedAcks.length === 0 || (!now && this.#deps.monotonicMs() < this.#ackRetryAtMs)) return;
    // What cannot be saved is delivered again if we die: no reason to stop writing traces.
    if (!attempt(() => this.#acks.save(segment)))
      this.#ackRetryAtMs = this.#deps.monotonicMs() + this.#settings.retryAfterMs;
  }
}
