import { join } from "node:path";
import { segmentFileName } from "./adoption.ts";
import { attempt, type SpoolFs, writeWhole } from "./file-system.ts";
import type { Segment } from "./segment.ts";

/** Appends to one segment of our own, whose serial is the number in its name. */
export class SegmentWriter {
  readonly segment: Segment;
  readonly #io: SpoolFs;
  readonly #fd: number;
  #isDirty = false;

  /** Makes the file. */
  constructor(io: SpoolFs, segment: Segment) {
    this.segment = segment;
    this.#io = io;
    this.#fd = io.open(segment.path, "create");
  }

  /** The bytes are the operating system's when this returns (with `sync`: the disk's). */
  write(bytes: Uint8Array, sync: boolean): void {
    const at = this.segment.size;
    writeWhole(this.#io, this.#fd, { bytes, at });
    this.#isDirty = !sync;
    if (sync) this.#io.sync(this.#fd);
  }

  /**
   * Asked after each write: a directory which is still in its place now was there when we wrote, so that whoever takes
   * it over later finds what we wrote. One that is gone was perhaps read before.
   */
  isInPlace(): boolean {
    return this.#io.exists(this.segment.path);
  }

  isUnlinked(): boolean {
    let unlinked = true;
    attempt(() => {
      unlinked = this.#io.isUnlinked(this.#fd);
    });
    return unlinked;
  }

  syncLater(): void {
    if (this.#isDirty) this.#io.syncLater(this.#fd);
    this.#isDirty = false;
  }

  /** Nothing more will be appended; the count goes into the file's name. */
  seal(sync: boolean): void {
    const { segment } = this;
    if (sync && this.#isDirty) attempt(() => this.#io.sync(this.#fd));
    this.close();
    segment.isSealed = true;
    const path = join(segment.directory, segmentFileName(segment.serial, segment.records));
    if (attempt(() => this.#io.rename(segment.path, path))) segment.path = path; // else an adopter counts them
  }

  close(): void {
    attempt(() => this.#io.close(this.#fd));
  }
}
