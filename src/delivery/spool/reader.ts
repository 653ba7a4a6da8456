import { isMissing } from "./file-system.ts";
import type { ReadCursor } from "./read-cursor.ts";
import type { SpoolRecord } from "./record.ts";
import type { Segment, SpoolRef } from "./segment.ts";
import type { Segments } from "./segments.ts";
import type { SpoolDeps, SpoolSettings } from "./settings.ts";

/** A trace that stood only on disk. */
export interface SpooledRecord extends SpoolRecord {
  readonly ref: SpoolRef;
  /** Older than `maxAgeMs`: not to be delivered; report it lost and acknowledge it. */
  readonly isExpired: boolean;
  /** Left by a dead process, not appended by this one. */
  readonly isAdopted: boolean;
}

export interface ReaderParts {
  readonly deps: SpoolDeps;
  readonly settings: SpoolSettings;
  readonly segments: Segments;
  readonly cursor: ReadCursor;
  /** A file is missing: true if that is because our whole directory is, and has been seen to. */
  readonly leaveIfGone: () => boolean;
}

const readBudgetBytes = 16 * 1024 * 1024;
const mostFailures = 3;

/** Reads back what stands only on disk: adopted segments first, then our own, oldest first. */
export class Reader {
  readonly #parts: ReaderParts;
  #adopted: Segment[] = [];
  #own: Segment[] = [];

  constructor(parts: ReaderParts) {
    this.#parts = parts;
  }

  add(segment: Segment): void {
    (segment.isAdopted ? this.#adopted : this.#own).push(segment);
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

  /** Where a segment holds only remains of records, nobody would ask for them: they are stepped over now. */
  skipRemains(segment: Segment): void {
    while (segment.waiting === 0 && !segment.isReadToTheEnd) {
      if (this.#readNext(segment, 0) === "full") return; // a record after all
    }
  }

  /** The segments are no longer ours. */
  forget(): void {
    this.#parts.cursor.close();
    this.#adopted = [];
    this.#own = [];
  }

  #nextUnread(): Segment | undefined {
    this.#adopted = this.#stillUnread(this.#adopted);
    this.#own = this.#stillUnread(this.#own);
    const now = this.#parts.deps.monotonicMs();
    const isNext = (segment: Segment) => !segment.isReadToTheEnd && segment.readRetryAtMs <= now;
    return this.#adopted.find(isNext) ?? this.#own.find(isNext);
  }

  #stillUnread(queue: Segment[]): Segment[] {
    if (!queue[0]?.isReadToTheEnd || !queue[0].isSealed) return queue;
    return queue.filter((segment) => {
      const isOver = segment.isSealed && segment.isReadToTheEnd;
      if (isOver) this.#parts.segments.removeIfDone(segment);
      return !isOver;
    });
  }

  #readNext(segment: Segment, roomBytes: number): SpooledRecord | "full" | undefined {
    try {
      const found = this.#parts.cursor.next(segment);
      if (found === undefined) return undefined;
      const { readOffset } = segment;
      if (!segment.isToBeHandedOut(readOffset)) {
        segment.readTo(found.end);
        return undefined;
      }
      if (found.record.body.length > roomBytes) return "full";
      segment.handedOut(found.end - readOffset);
      segment.readTo(found.end);
      return this.#spooled(segment, found.record, segment.refOf(readOffset));
    } catch (error) {
      this.#couldNotRead(segment, error);
      return undefined;
    }
  }

  #spooled({ isAdopted }: Segment, record: SpoolRecord, ref: SpoolRef): SpooledRecord {
    const isExpired = this.#parts.deps.now() - record.acceptedAtMs > this.#parts.settings.maxAgeMs;
    // A copy of the body; 'slice' of what is a Buffer underneath would be none.
    return { ...record, body: new Uint8Array(record.body), ref, isExpired, isAdopted };
  }

  #couldNotRead(segment: Segment, error: unknown): void {
    const { cursor, deps, settings, leaveIfGone } = this.#parts;
    cursor.close();
    if (isMissing(error) && leaveIfGone()) return;
    segment.readFailures++;
    segment.readRetryAtMs = deps.monotonicMs() + settings.retryAfterMs;
    if (segment.readFailures < mostFailures) return; // too many open files, a network disk's hiccup
    const bytes = segment.size - segment.readOffset;
    deps.onEvent({ type: "set-aside", reason: "unreadable", bytes, path: segment.path });
    segment.mustBeKept = true;
    segment.readTo(segment.size);
  }
}
