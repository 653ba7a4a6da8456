import * as fs from "node:fs";
import { dirname } from "node:path";
import { errnoOf } from "../../errno.ts";

/** What a directory holds. */
export interface DirectoryEntry {
  readonly name: string;
  readonly isDirectory: boolean;
}

/**
 * The few file operations the spool needs: a seam, so that a test can tear, shorten, fail and reorder writes.
 * Synchronous, because a trace must be on disk before the call that logged it returns. Every method may throw what
 * `node:fs` throws; `write` may write less than it was given.
 */
export interface SpoolFs {
  /** Makes the directory and its parents, readable by this user only. */
  makeDirectory(path: string): void;
  list(path: string): DirectoryEntry[];
  exists(path: string): boolean;
  sizeOf(path: string): number;
  modifiedAtMs(path: string): number;
  /** `create` refuses an existing file; `update` makes it when absent. New files are readable by this user only. */
  open(path: string, mode: "create" | "update" | "read"): number;
  /** Bytes read into `into`, 0 at the end. */
  read(fd: number, into: Uint8Array, position: number): number;
  /** Bytes written, which may be fewer than given. */
  write(fd: number, bytes: Uint8Array, position: number): number;
  truncate(fd: number, size: number): void;
  sync(fd: number): void;
  /** Like `sync`, but off this thread; errors are of no use to anyone and go nowhere. */
  syncLater(fd: number): void;
  /** Tells whoever has the file open, and finds it deleted, that its content has been taken care of. */
  markTaken(path: string): void;
  /** Is the open file deleted, by somebody who did not take it over (and not merely moved)? */
  isUnlinked(fd: number): boolean;
  close(fd: number): void;
  rename(from: string, to: string): void;
  remove(path: string): void;
  /** Removes an empty directory. */
  removeDirectory(path: string): void;
  /** Sets the modification time. */
  touch(path: string, atMs: number): void;
}

// Prompts are private: nobody but the owner of the process may read them.
const fileMode = 0o600;
/** The one mark that survives both what its owner still writes there, and the deletion. */
const takenMode = 0o400;
const directoryMode = 0o700;

const openFlags = {
  create: fs.constants.O_CREAT | fs.constants.O_EXCL | fs.constants.O_RDWR,
  update: fs.constants.O_CREAT | fs.constants.O_RDWR,
  read: fs.constants.O_RDONLY,
} as const;

/** The real thing. */
export const nodeFs: SpoolFs = {
  makeDirectory: makeWithParents,
  list: (path) =>
    fs.readdirSync(path, { withFileTypes: true }).map((e) => ({ name: e.name, isDirectory: e.isDirectory() })),
  exists: (path) => fs.existsSync(path),
  sizeOf: (path) => fs.statSync(path).size,
  modifiedAtMs: (path) => fs.statSync(path).mtimeMs,
  open: (path, mode) => fs.openSync(path, openFlags[mode], fileMode),
  read: (fd, into, position) => fs.readSync(fd, into, 0, into.length, position),
  write: (fd, bytes, position) => fs.writeSync(fd, bytes, 0, bytes.length, position),
  truncate: (fd, size) => fs.ftruncateSync(fd, size),
  sync: (fd) => fs.fdatasyncSync(fd),
  syncLater: (fd) => fs.fdatasync(fd, () => {}),
  markTaken: (path) => fs.chmodSync(path, takenMode),
  isUnlinked(fd) {
    const { nlink, mode } = fs.fstatSync(fd);
    return nlink === 0 && (mode & fileMode) !== takenMode;
  },
  close: (fd) => fs.closeSync(fd),
  rename: (from, to) => fs.renameSync(from, to),
  remove: (path) => fs.unlinkSync(path),
  removeDirectory: (path) => fs.rmdirSync(path),
  touch: (path, atMs) => fs.utimesSync(path, atMs / 1000, atMs / 1000),
};

/**
 * Not `mkdirSync`'s own `recursive`: it tries for ever where a directory that exists answers ENOENT to a child, as
 * `/proc` does.
 */
function makeWithParents(path: string): void {
  try {
    makeOne(path);
  } catch (error) {
    if (!isMissing(error)) throw error;
    if (dirname(path) !== path) makeWithParents(dirname(path));
    makeOne(path);
  }
}

function makeOne(path: string): void {
  try {
    fs.mkdirSync(path, { mode: directoryMode });
  } catch (error) {
    if (!fs.statSync(path, { throwIfNoEntry: false })?.isDirectory()) throw error;
  }
}

/** Writes everything, going on after short writes, or puts the file back to the size it had and throws. */
export function writeWhole(io: SpoolFs, fd: number, { bytes, at }: { bytes: Uint8Array; at: number }): void {
  let written = 0;
  try {
    while (written < bytes.length) {
      const count = io.write(fd, bytes.subarray(written), at + written);
      if (count <= 0) throw new Error("The file system took no bytes and named no error.");
      written += count;
    }
  } catch (error) {
    attempt(() => io.truncate(fd, at)); // where this fails too, the next write covers the rest or the reader skips it
    throw error;
  }
}

/** For clean-up that may fail without harm: gives back whether it worked. */
export function attempt(action: () => void): boolean {
  try {
    action();
    return true;
  } catch {
    return false;
  }
}

/** Was the file or directory not there? */
export function isMissing(error: unknown): boolean {
  return errnoOf(error) === "ENOENT";
}
