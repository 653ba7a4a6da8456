/** A store in a folder, in the layout of `key.ts`. */
import type { Store, StoreEntry } from "./store.ts";

/** How a `fileStore` writes. */
export interface FileStoreOptions {
  /**
   * Wait until the disk itself has every trace. Without it, a trace that was answered with success survives the end
   * of the process in whatever manner, but not a power cut. @default false
   */
  readonly fsync?: boolean;
}

type Fs = typeof import("node:fs");

// Loaded on demand, so that the endpoint with another store runs where there is no `node:fs`.
let loaded: Fs | undefined;
async function loadFs(): Promise<Fs> {
  loaded ??= await import("node:fs");
  return loaded;
}

/**
 * Keep traces as files under `dir`, which is created when needed. Each file appears whole or not at all, and an
 * existing one is never overwritten, whichever of several processes with this folder comes first.
 */
export function fileStore(dir: string, { fsync = false }: FileStoreOptions = {}): Store {
  const pathOf = (key: string) => `${dir}/${contained(key)}`;
  return {
    put: async (key, content) => createFile(await loadFs(), { path: pathOf(key), content, fsync }),
    read: (key) => readFileIfThere(pathOf(key)),
    list: (prefix) => listFolder(dir, contained(prefix)),
  };
}

/** Keys come from `key.ts` and are safe; this is the second lock on the same door. */
function contained(key: string): string {
  const legal = key
    .replace(/\/$/, "")
    .split("/")
    .every((segment) => /^[\w!-][\w.!=-]*$/.test(segment));
  if (!legal) throw new RangeError("not a key of this store");
  return key;
}

interface NewFile {
  readonly path: string;
  readonly content: string;
  readonly fsync: boolean;
}

/** Of this process, and no other's: the drafts of two processes never meet. */
const ownDrafts = `.draft-${crypto.randomUUID()}`;
let draftCount = 0;

/**
 * Synchronous but for the disk's own confirmation: five calls into the page cache take some 40 µs of one thread; through
 * the thread pool a trace of a batch cost twice the CPU time in all (bench/endpoint.ts).
 */
async function createFile(fs: Fs, { path, content, fsync }: NewFile): Promise<"created" | "taken"> {
  const folder = path.slice(0, path.lastIndexOf("/"));
  // A name that begins with a dot is no key, so it is never listed or read, even when a crash leaves it behind.
  const draft = `${folder}/${ownDrafts}-${draftCount++}`;
  const descriptor = openNew(fs, folder, draft);
  try {
    try {
      writeWhole(fs, descriptor, content);
      if (fsync) await confirmed(fs, descriptor);
    } finally {
      fs.closeSync(descriptor);
    }
    return publish(fs, draft, path);
  } finally {
    removeDraft(fs, draft);
  }
}

/** Hardly ever is the folder not there, so it is made when that turns out, not looked for every time. */
function openNew(fs: Fs, folder: string, draft: string): number {
  try {
    return fs.openSync(draft, "wx");
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
    fs.mkdirSync(folder, { recursive: true });
    return fs.openSync(draft, "wx");
  }
}

/** A disk that is nearly full takes a part, and says so only to those who ask again. */
function writeWhole(fs: Fs, descriptor: number, content: string): void {
  const bytes = new TextEncoder().encode(content);
  for (let offset = 0; offset < bytes.length; ) offset += fs.writeSync(descriptor, bytes, offset);
}

function confirmed(fs: Fs, descriptor: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fs.fsync(descriptor, (error) => (error ? reject(error) : resolve()));
  });
}

/** `link` is the one call that makes a whole file appear and refuses a taken name; `rename` would overwrite. */
function publish(fs: Fs, draft: string, path: string): "created" | "taken" {
  try {
    linkOrCopy(fs, draft, path);
    return "created";
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw error;
    return removeIfEmpty(fs, path) ? publish(fs, draft, path) : "taken";
  }
}

function linkOrCopy(fs: Fs, draft: string, path: string): void {
  try {
    fs.linkSync(draft, path);
  } catch (error) {
    if (!["EPERM", "ENOSYS", "ENOTSUP", "EOPNOTSUPP"].includes(errnoOf(error) ?? "")) throw error;
    fs.copyFileSync(draft, path, fs.constants.COPYFILE_EXCL); // file systems without links, such as exFAT
  }
}

/** An empty file that is younger may be a copy that another process is about to fill. */
const MIN_EMPTY_AGE_MS = 60_000;

/**
 * A power cut can leave a name whose content never reached the disk. It must not hold the name for ever: nothing that
 * we publish is empty. Renamed before it is deleted, and looked at once more: another process may have done the same
 * and published its trace just now.
 */
function removeIfEmpty(fs: Fs, path: string): boolean {
  const stats = fs.statSync(path, { throwIfNoEntry: false });
  if (stats?.size !== 0 || Date.now() - stats.mtimeMs < MIN_EMPTY_AGE_MS) return false;
  const aside = path.replace(/[^/]*$/, `${ownDrafts}-${draftCount++}`);
  fs.renameSync(path, aside);
  if (fs.statSync(aside).size > 0) fs.linkSync(aside, path);
  fs.unlinkSync(aside);
  return true;
}

function removeDraft(fs: Fs, draft: string): void {
  try {
    fs.unlinkSync(draft);
  } catch {
    // The trace's fate is already known.
  }
}

async function readFileIfThere(path: string): Promise<string | undefined> {
  const { promises: fs } = await loadFs();
  return fs.readFile(path, "utf8").catch(unlessMissing);
}

async function* listFolder(dir: string, prefix: string): AsyncGenerator<StoreEntry> {
  const { promises: fs } = await loadFs();
  const entries = await fs.readdir(`${dir}/${prefix}`, { withFileTypes: true }).catch(unlessMissing);
  for (const entry of entries ?? []) {
    if (entry.name.startsWith(".")) continue;
    if (entry.isDirectory()) yield { key: `${prefix}${entry.name}/` };
    else if (entry.isFile()) {
      const stats = await fs.stat(`${dir}/${prefix}${entry.name}`).catch(unlessMissing);
      if (stats !== undefined) yield { key: `${prefix}${entry.name}`, modifiedMs: stats.mtimeMs };
    }
  }
}

function unlessMissing(error: unknown): undefined {
  if (errnoOf(error) === "ENOENT") return undefined;
  throw error;
}

function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
