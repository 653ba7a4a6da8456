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

// Loaded on demand, so that the endpoint with another store runs where there is no `node:fs`.
const loadFs = () => import("node:fs/promises");

/**
 * Keep traces as files under `dir`, which is created when needed. Each file appears whole or not at all, and an
 * existing one is never overwritten.
 */
export function fileStore(dir: string, options: FileStoreOptions = {}): Store {
  const pathOf = (key: string) => `${dir}/${contained(key)}`;
  return {
    put: (key, content) => createFile(pathOf(key), content, options.fsync ?? false),
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

async function createFile(path: string, content: string, fsync: boolean): Promise<"created" | "taken"> {
  const fs = await loadFs();
  const folder = path.slice(0, path.lastIndexOf("/"));
  // A name that begins with a dot is no key, so it is never listed or read, even when a crash leaves it behind.
  const draft = `${folder}/.draft-${crypto.randomUUID()}`;
  const write = () => fs.writeFile(draft, content, { flag: "wx", flush: fsync });
  try {
    // Hardly ever is the folder not there, so it is made when that turns out, not looked for every time.
    await write().catch(async (error: unknown) => {
      if (errnoOf(error) !== "ENOENT") throw error;
      await fs.mkdir(folder, { recursive: true });
      await write();
    });
    return await publish(draft, path);
  } finally {
    await fs.rm(draft, { force: true }).catch(() => {}); // the trace's fate is already known
  }
}

/** `link` is the one call that makes a whole file appear and refuses a taken name; `rename` would overwrite. */
async function publish(draft: string, path: string): Promise<"created" | "taken"> {
  const fs = await loadFs();
  try {
    await fs.link(draft, path).catch((error: unknown) => {
      if (!["EPERM", "ENOSYS", "ENOTSUP", "EOPNOTSUPP"].includes(errnoOf(error) ?? "")) throw error;
      return fs.copyFile(draft, path, fs.constants.COPYFILE_EXCL); // file systems without links, such as exFAT
    });
    return "created";
  } catch (error) {
    if (errnoOf(error) === "EEXIST") return "taken";
    throw error;
  }
}

async function readFileIfThere(path: string): Promise<string | undefined> {
  const fs = await loadFs();
  return fs.readFile(path, "utf8").catch(unlessMissing);
}

async function* listFolder(dir: string, prefix: string): AsyncGenerator<StoreEntry> {
  const fs = await loadFs();
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
