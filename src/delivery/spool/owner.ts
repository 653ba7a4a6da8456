/** Who owns a directory of the spool stands in the directory's name, so that the lease is made in one `mkdir`. */
import { randomBytes } from "node:crypto";
import type { Owner } from "../../processes.ts";

// A directory of a later version stays untouched: its owner's kind can read it, we cannot.
const named = /^v1-([0-9a-f]{12})-(\d+)-(\d+)-[0-9a-f]{12}$/;
const released = /^v1-free-[0-9a-f]{12}$/;

const fresh = (): string => randomBytes(6).toString("hex");

/** A new name for a directory of this owner; never used twice, so that a path once gone stays gone. */
export function directoryName({ place, pid, startedAt }: Owner): string {
  return `v1-${place}-${pid}-${startedAt}-${fresh()}`;
}

/** A name that says: whoever comes first may take it. */
export function releasedName(): string {
  return `v1-free-${fresh()}`;
}

/** Whose directory is it? Nothing when the name is not one of ours. */
export function ownerOf(name: string): Owner | "nobody" | undefined {
  if (released.test(name)) return "nobody";
  const [, place, pid, startedAt] = named.exec(name) ?? [];
  return place === undefined || pid === undefined || startedAt === undefined
    ? undefined
    : { place, pid: Number(pid), startedAt };
}
