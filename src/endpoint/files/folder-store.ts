/** A folder with a file for each entry, or with packs, or with both: which of them holds an entry, nobody else knows. */
import type { FileStoreOptions } from "../file-store.ts";
import type { NewEntry, Store, StoreEntry } from "../store.ts";
import { fileNameOf, PACK_NAME } from "./line.ts";
import type { NewLine } from "./pack.ts";
import { Packs, type Place } from "./packs.ts";
import { createFile, listFolder, readFileIfThere } from "./single-file.ts";

/** A store that takes many entries at once. */
export type FolderStore = Store & Required<Pick<Store, "putMany">>;

/** The store behind `fileStore`. */
export function folderStore(dir: string, { fsync = false, packed = false }: FileStoreOptions): FolderStore {
  const packs = new Packs(dir, { fsync });

  async function putFile({ key, content }: NewEntry): Promise<"created" | "taken"> {
    const place = placeOf(dir, key);
    const outcome = await createFile({ path: `${place.folder}/${place.name}`, content, fsync });
    // Looked at afterwards: a pack that is begun later than this look sees the file.
    const isInPack = outcome === "created" && mayBePacked(key) && (await packs.withdrawIfPacked(place));
    return isInPack ? "taken" : outcome;
  }

  async function putMany(entries: readonly NewEntry[]): Promise<PromiseSettledResult<"created" | "taken">[]> {
    const puts = new Map<NewEntry, Promise<"created" | "taken">>();
    for (const [folder, lines] of packed ? packable(dir, entries) : []) {
      const putting = packs.put(folder, [...lines.values()]);
      for (const [entry, line] of lines) {
        puts.set(
          entry,
          putting.then((created) => (created.has(line) ? "created" : "taken")),
        );
      }
    }
    return Promise.allSettled(entries.map((entry) => puts.get(entry) ?? putFile(entry)));
  }

  return {
    async put(key, content, contentType) {
      const entry = { key, content, contentType };
      if (!packed) return putFile(entry);
      const [outcome] = await putMany([entry]);
      if (outcome?.status === "fulfilled") return outcome.value;
      throw outcome?.reason;
    },
    putMany,
    async read(key) {
      const place = placeOf(dir, key);
      const line = mayBePacked(key) ? await packs.read(place) : undefined;
      return line ?? readFileIfThere(`${place.folder}/${place.name}`);
    },
    list: (prefix) => list(dir, prefix, packs),
  };
}

async function* list(dir: string, prefix: string, packs: Packs): AsyncGenerator<StoreEntry> {
  const folder = `${dir}/${contained(prefix).replace(/\/$/, "")}`;
  const files = new Set<string>();
  for await (const { name, ...entry } of listFolder(folder)) {
    files.add(name);
    if (name !== PACK_NAME) yield { key: `${prefix}${name}`, ...entry };
  }
  if (!files.has(PACK_NAME)) return;
  for await (const { name, ...entry } of packs.list(folder)) {
    if (!files.has(name)) yield { key: `${prefix}${name}`, ...entry };
  }
}

/** By folder, those entries that can be lines of its pack. */
function packable(dir: string, entries: readonly NewEntry[]): Map<string, Map<NewEntry, NewLine>> {
  const folders = new Map<string, Map<NewEntry, NewLine>>();
  for (const entry of entries) {
    if (!mayBePacked(entry.key) || !isLegal(entry.key)) continue;
    const { folder, name } = placeAt(`${dir}/${entry.key}`);
    // A line says by its id what its name is. What does not, or is several lines, stays a file.
    if (fileNameOf(entry.content) !== name || entry.content.includes("\n")) continue;
    const lines = folders.get(folder) ?? new Map();
    folders.set(folder, lines.set(entry, { name, text: entry.content }));
  }
  return folders;
}

/** Share pages never are. */
function mayBePacked(key: string): boolean {
  return key.startsWith("logs/");
}

function placeOf(dir: string, key: string): Place {
  return placeAt(`${dir}/${contained(key)}`);
}

function placeAt(path: string): Place {
  const slash = path.lastIndexOf("/");
  return { folder: path.slice(0, slash), name: path.slice(slash + 1) };
}

function contained(key: string): string {
  if (!isLegal(key)) throw new RangeError("not a key of this store");
  return key;
}

/** Keys come from `key.ts` and are safe; this is the second lock on the same door. */
function isLegal(key: string): boolean {
  return /^(?:[\w!-][\w.!=-]*\/)*[\w!-][\w.!=-]*\/?$/.test(key) && !key.endsWith(`/${PACK_NAME}`);
}
