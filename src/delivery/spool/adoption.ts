import { join } from "node:path";
import type { Processes } from "../../processes.ts";
import { readAcks } from "./acknowledgements.ts";
import { attempt, type SpoolFs } from "./file-system.ts";
import { ownerOf } from "./owner.ts";
import { countRecords, FileWindow } from "./scan.ts";
import type { Segment } from "./segment.ts";
import type { SegmentFiles } from "./segments.ts";

const segmentName = /^(\d{8})(?:-(\d+))?\.seg$/;

/** The name of a segment file; one that is sealed says how many records it holds, so that nobody needs to count. */
export function segmentFileName(number: number, records?: number): string {
  return `${ackFileStem(number)}${records === undefined ? "" : `-${records}`}.seg`;
}

export function ackFileName(number: number): string {
  return `${ackFileStem(number)}.ack`;
}

const ackFileStem = (number: number): string => String(number).padStart(8, "0");

/** Directories under the root whose owner is gone, the longest silent first. */
export function findAbandoned(io: SpoolFs, root: string, judge: (name: string, atMs: number) => boolean): string[] {
  return io
    .list(root)
    .filter((entry) => entry.isDirectory)
    .flatMap(({ name }) => {
      let atMs = 0;
      return attempt(() => {
        atMs = io.modifiedAtMs(join(root, name));
      }) && judge(name, atMs)
        ? [{ name, atMs }]
        : []; // gone meanwhile: another process was quicker
    })
    .sort((a, b) => a.atMs - b.atMs)
    .map(({ name }) => name);
}

/** Is the owner of this directory certainly dead, or silent for so long that it may be taken for dead? */
export function isAbandoned(name: string, heartbeat: { silentMs: number; limitMs: number }, processes: Processes) {
  const owner = ownerOf(name);
  if (owner === undefined) return false;
  if (owner === "nobody" || processes.isRunning(owner) === "no") return true;
  // A heartbeat from the future is as wrong as an old one: the clock was set back while its owner was dead.
  return Math.abs(heartbeat.silentMs) > heartbeat.limitMs;
}

/** Moves directories found inside an adopted one (adopted by the process which died) up beside it. */
export function flatten(io: SpoolFs, own: string, adopted: string): string[] {
  const inner = io.list(adopted).filter((entry) => entry.isDirectory);
  const moved = inner.flatMap(({ name }) => {
    io.rename(join(adopted, name), join(own, name));
    return flatten(io, own, join(own, name));
  });
  return [...moved, adopted];
}

export interface AdoptionDeps {
  readonly io: SpoolFs;
  readonly newSegment: (files: SegmentFiles) => Segment;
  /** A file that is neither segment nor acknowledgements. */
  readonly onStranger: (path: string) => void;
}

/** The segments in an adopted directory, oldest first, with what was acknowledged of them. */
export function readDirectory(directory: string, deps: AdoptionDeps): Segment[] {
  const names = deps.io.list(directory).map((entry) => entry.name);
  const numbers = new Set<number>();
  const segments: Segment[] = [];
  for (const name of names.sort()) {
    const [, digits, count] = segmentName.exec(name) ?? [];
    if (digits === undefined) continue;
    numbers.add(Number(digits));
    const segment = deps.newSegment({ directory, segmentFile: name, ackFile: ackFileName(Number(digits)) });
    const isLoaded = attempt(() => load(segment, count === undefined ? undefined : Number(count), deps.io));
    if (isLoaded) segments.push(segment); // else it stays where it is, for the next process to try
  }
  for (const name of names.filter((name) => !segmentName.test(name))) {
    const isAck = name.endsWith(".ack");
    if (!isAck) deps.onStranger(join(directory, name));
    // Its segment was deleted, and the process died before this was.
    else if (!numbers.has(Number(name.slice(0, -4)))) attempt(() => deps.io.remove(join(directory, name)));
  }
  return segments;
}

function load(segment: Segment, recordsByName: number | undefined, io: SpoolFs): void {
  segment.isSealed = true;
  segment.size = io.sizeOf(segment.path);
  // A name that says 0 is not believed: what is in the file was written whole before its writing failed.
  const count = recordsByName || orNothing(() => countIn(segment, io));
  // What cannot be read of the acknowledgements only means traces delivered once more.
  const acks = io.exists(segment.ackPath) ? (orNothing(() => readAcks(io, segment.ackPath)) ?? []) : [];
  const acked = acks.filter((granule) => segment.wasAcknowledged(granule)).length;
  segment.records = count ?? acked + 1; // unreadable just now: there may be some, and reading tries again
  segment.waiting = Math.max(0, segment.records - acked);
  if (segment.waiting === 0 && acked > 0) segment.readTo(segment.size);
  else segment.waitingBytes = Math.round((segment.size * segment.waiting) / Math.max(1, segment.records));
}

function orNothing<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

function countIn(segment: Segment, io: SpoolFs): number {
  const file = new FileWindow(io, segment.path);
  try {
    return countRecords(file, segment.size);
  } finally {
    file.close();
  }
}
