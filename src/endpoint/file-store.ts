/** A store in a folder, in the layout of `key.ts`. */
import type { Store } from "./store.ts";

/** How a `fileStore` writes. */
export interface FileStoreOptions {
  /**
   * Wait until the disk itself has every trace. Without it, a trace that was answered with success survives the end
   * of the process in whatever manner, but not a power cut. @default false
   */
  readonly fsync?: boolean;
  /**
   * Append traces to one file in each folder, `traces.ndjson`, a line a trace, instead of making a file for each: a
   * batch is then one write, and the disk holds thousands of files where it held millions. Everything else stays as it
   * is, and whoever opens the folder with or without this option sees the traces of both kinds. For local disks: several
   * processes take turns by a lock file. @default false
   */
  readonly packed?: boolean;
}

/**
 * Keep traces as files under `dir`, which is created when needed. Each trace appears whole or not at all, and an
 * existing one is never overwritten, whichever of several processes with this folder comes first.
 */
export function fileStore(dir: string, options: FileStoreOptions = {}): Store {
  // Loaded on demand, so that the endpoint with another store runs where there is no `node:fs`.
  const load = async () => (await import("./files/folder-store.ts")).folderStore(dir, options);
  let loading: ReturnType<typeof load> | undefined;
  const store = () => {
    loading ??= load();
    return loading;
  };
  return {
    put: async (key, content, contentType) => (await store()).put(key, content, contentType),
    ...(options.packed === true && { putMany: async (entries) => (await store()).putMany(entries) }),
    read: async (key) => (await store()).read(key),
    async *list(prefix) {
      yield* (await store()).list(prefix);
    },
  };
}
