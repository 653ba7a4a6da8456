import { basename, join } from "node:path";
import type { SetAsideReason, SpoolEvent } from "./events.ts";
import { attempt, type SpoolFs } from "./file-system.ts";
import { FileWindow, type Scanned, scanAt } from "./scan.ts";
import type { Segment } from "./segment.ts";

const copyBytes = 256 * 1024;

/** Reads segments record by record, and puts aside what is none, so that nothing ever stands in the way. */
export class ReadCursor {
  readonly #io: SpoolFs;
  readonly #badDirectory: string;
  readonly #onEvent: (event: SpoolEvent) => void;
  #open: { readonly segment: Segment; readonly file: FileWindow } | undefined;

  constructor(io: SpoolFs, badDirectory: string, onEvent: (event: SpoolEvent) => void) {
    this.#io = io;
    this.#badDirectory = badDirectory;
    this.#onEvent = onEvent;
  }

  /** The record at the segment's read offset; what is no record is dealt with and gives nothing. Throws if unreadable. */
  next(segment: Segment): (Scanned & { kind: "record" }) | undefined {
    const file = this.#fileOf(segment);
    const from = segment.readOffset;
    const found = scanAt(file, from, segment.size);
    if (found.kind === "record") return found;
    if (found.kind === "torn") this.#onEvent({ type: "torn", bytes: found.end - from });
    else this.#copyAside(segment, found);
    segment.skipTo(found.end);
    return undefined;
  }

  /** Moves a whole file to `bad/`, which needs no free space. */
  moveAside(path: string, reason: SetAsideReason): boolean {
    const target = join(this.#badDirectory, `${basename(join(path, ".."))}-${basename(path)}`);
    let bytes = 0;
    const isMoved = attempt(() => {
      bytes = this.#io.sizeOf(path);
      this.#io.makeDirectory(this.#badDirectory);
      this.#io.rename(path, target);
    });
    if (isMoved) this.#onEvent({ type: "set-aside", reason, bytes, path: target });
    return isMoved;
  }

  /** The segment is about to be deleted: while it is open here, the disk would not get its room back. */
  leave(segment: Segment): void {
    if (this.#open?.segment === segment) this.close();
  }

  close(): void {
    const open = this.#open;
    this.#open = undefined;
    if (open !== undefined) attempt(() => open.file.close());
  }

  #fileOf(segment: Segment): FileWindow {
    if (this.#open?.segment === segment) return this.#open.file;
    this.close();
    this.#open = { segment, file: new FileWindow(this.#io, segment.path) };
    return this.#open.file;
  }

  #copyAside(segment: Segment, { end, reason }: Scanned & { kind: "bad" }): void {
    const from = segment.readOffset;
    const path = join(this.#badDirectory, `${basename(segment.directory)}-${basename(segment.path)}-${from}`);
    // No room for a copy: then the whole file is moved there when it would be deleted.
    if (!attempt(() => this.#copy(segment, { path, from, end }))) segment.mustBeKept = true;
    this.#onEvent({ type: "set-aside", reason, bytes: end - from, path: segment.mustBeKept ? segment.path : path });
  }

  #copy(segment: Segment, { path, from, end }: { path: string; from: number; end: number }): void {
    const file = this.#fileOf(segment);
    this.#io.makeDirectory(this.#badDirectory);
    const fd = this.#io.open(path, "update");
    try {
      for (let at = from; at < end; ) {
        const bytes = file.view(at, copyBytes, end);
        const written = bytes.length === 0 ? 0 : this.#io.write(fd, bytes, at - from);
        if (written === 0) throw new Error("Could not copy.");
        at += written;
      }
    } finally {
      this.#io.close(fd);
    }
  }
}
