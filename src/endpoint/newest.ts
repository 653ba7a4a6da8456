/** The newest traces of a store, found by walking its folders: no index that could disagree with the files. */
import { foldersOf } from "./key.ts";
import type { Store, StoreEntry } from "./store.ts";

/** Newest day first, and the newest first within a day, at most `limit`. */
export async function newestTraces(store: Store, limit: number): Promise<StoreEntry[]> {
  const found: StoreEntry[] = [];
  for (const [, folders] of await foldersByDay(store)) {
    const traces = (await Promise.all(folders.map((folder) => collect(store.list(folder))))).flat();
    found.push(...traces.filter(({ key }) => key.endsWith(".json")).sort(newerFirst));
    if (found.length >= limit) break;
  }
  return found.slice(0, limit);
}

/** A day has a folder for every fingerprint, in both layouts: `[day, folders]`, newest day first. */
async function foldersByDay(store: Store): Promise<[string, string[]][]> {
  const days = new Map<string, string[]>();
  for (const outer of await collect(store.list("logs/"))) {
    for (const { key } of await collect(store.list(outer.key))) {
      const { day } = foldersOf(key);
      days.set(day, [...(days.get(day) ?? []), key]);
    }
  }
  return [...days].sort(([left], [right]) => (left < right ? 1 : -1));
}

function newerFirst(left: StoreEntry, right: StoreEntry): number {
  return (right.modifiedMs ?? 0) - (left.modifiedMs ?? 0) || (left.key < right.key ? 1 : -1);
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}
