/** A file for each entry, which appears whole or not at all and is never overwritten. */
import * as fs from "node:fs";
import { errnoOf } from "../../errno.ts";
import type { StoreEntry } from "../store.ts";

/** What a file is made of. */
export interface NewFile {
  readonly path: string;
  readonly content: string;
  /** Wait until the disk itself has it? */
  readonly fsync: boolean;
}

/** Of this process, and no other's: the drafts of two processes never meet. */
const ownDrafts = `.draft-${crypto.randomUUID()}`;
let draftCount = 0;

/**
 * Synchronous but for the disk's own confirmation: five calls into the page cache take some 40 µs of one thread; through
 * the thread pool a trace of a batch cost twice the CPU time in all (bench/endpoint.ts).
 */
export async function createFile({ path, content, fsync }: NewFile): Promise<"created" | "taken"> {
  const folder = path.slice(0, path.lastIndexOf("/"));
  // A name that begins with a dot is no key, so it is never listed or read, even when a crash leaves it behind.
  const draft = `${folder}/${ownDrafts}-${draftCount++}`;
  const descriptor = openNew(folder, draft);
  try {
    try {
      writeWhole(descriptor, content);
      if (fsync) await confirmed(descriptor);
    } finally {
      fs.closeSync(descriptor);
    }
    return publish(draft, path);
  } finally {
    removeDraft(draft);
  }
}

/** Hardly ever is the folder not there, so it is made when that turns out, not looked for every time. */
function openNew(folder: string, draft: string): number {
  try {
    return fs.openSync(draft, "wx");
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
    fs.mkdirSync(folder, { recursive: true });
    return fs.openSync(draft, "wx");
  }
}

/** A disk that is nearly full takes a part, and says so only to those who ask again. */
function writeWhole(descriptor: number, content: string): void {
  const bytes = Buffer.from(content);
  for (let offset = 0; offset < bytes.length; ) offset += fs.writeSync(descriptor, bytes, offset);
}

function confirmed(descriptor: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fs.fsync(descriptor, (error) => (error ? reject(error) : resolve()));
  });
}

/** `link` is the one call that makes a whole file appear and refuses a taken name; `rename` would overwrite. */
function publish(draft: string, path: string): "created" | "taken" {
  try {
    linkOrCopy(draft, path);
    return "created";
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw error;
    return removeIfEmpty(path) ? publish(draft, path) : "taken";
  }
}

/** @throws Node's error, `EEXIST` when the path is taken. */
export function linkOrCopy(draft: string, path: string): void {
  try {
    fs.linkSync(draft, path);
  } catch (error) {
    if (!["EPERM", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "EXDEV"].includes(errnoOf(error) ?? "")) throw error;
    fs.copyFileSync(draft, path, fs.constants.COPYFILE_EXCL); // file systems without links, such as exFAT
  }
}

/** An empty file that is younger may be a copy that another process is about to fill. */
const MIN_EMPTY_AGE_MS = 60_000;

/** Is the name of this file taken? */
export function isTaken(path: string): boolean {
  return fs.existsSync(path) && !removeIfEmpty(path);
}

/** All names in a folder; `undefined` when there are more than these, which is found out at the price of a few. */
export function namesIfFew(folder: string, limit: number): Set<string> | undefined {
  const names = new Set<string>();
  const listing = fs.opendirSync(folder);
  try {
    for (let entry = listing.readSync(); entry !== null; entry = listing.readSync()) {
      if (names.size === limit) return undefined;
      names.add(entry.name);
    }
    return names;
  } finally {
    listing.closeSync();
  }
}

/**
 * A power cut can leave a name whose content never reached the disk. It must not hold the name for ever: nothing that
 * we publish is empty. Renamed before it is deleted, and looked at once more: another process may have done the same
 * and published its trace just now.
 */
function removeIfEmpty(path: string): boolean {
  const stats = fs.statSync(path, { throwIfNoEntry: false });
  if (stats?.size !== 0 || Date.now() - stats.mtimeMs < MIN_EMPTY_AGE_MS) return false;
  const aside = path.replace(/[^/]*$/, `${ownDrafts}-${draftCount++}`);
  fs.renameSync(path, aside);
  if (fs.statSync(aside).size > 0) fs.linkSync(aside, path);
  fs.unlinkSync(aside);
  return true;
}

function removeDraft(draft: string): void {
  try {
    fs.unlinkSync(draft);
  } catch {
    // The trace's fate is already known.
  }
}

/** The content of a file; `undefined` when there is none. */
export async function readFileIfThere(path: string): Promise<string | undefined> {
  return fs.promises.readFile(path, "utf8").catch(unlessMissing);
}

/** What lies in a folder, if it is there: names of folders end in `/`; drafts and locks, which begin with a dot, are left out. */
export async function* listFolder(folder: string): AsyncGenerator<Omit<StoreEntry, "key"> & { readonly name: string }> {
  const entries = await fs.promises.readdir(folder, { withFileTypes: true }).catch(unlessMissing);
  for (const entry of entries ?? []) {
    if (entry.name.startsWith(".")) continue;
    if (entry.isDirectory()) yield { name: `${entry.name}/` };
    else if (entry.isFile()) {
      const stats = await fs.promises.stat(`${folder}/${entry.name}`).catch(unlessMissing);
      if (stats !== undefined) yield { name: entry.name, modifiedMs: stats.mtimeMs, bytes: stats.size };
    }
  }
}

/** For `catch`: what is not there is `undefined`. */
export function unlessMissing(error: unknown): undefined {
  if (errnoOf(error) === "ENOENT") return undefined;
  throw error;
}
