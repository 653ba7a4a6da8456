/** Where traces are kept: anything that can create an entry once, read it and list a folder can be a store. */
export interface Store {
  /**
   * Create an entry, whole or not at all. Never overwrites: when the key is taken, what is there stays as it is and
   * `"taken"` comes back, also when two calls race. Rejects when the storage fails.
   */
  put(key: string, content: string, contentType: string): Promise<"created" | "taken">;
  /**
   * The same for many entries at once, one outcome an entry, in their order; a failed one fails no other. Optional: a
   * batch uses it where writing together costs less than writing one by one, and calls `put` where it is missing.
   */
  putMany?(entries: readonly NewEntry[]): Promise<PromiseSettledResult<"created" | "taken">[]>;
  /** The content of an entry; `undefined` when there is none. */
  read(key: string): Promise<string | undefined>;
  /** What lies directly under a prefix that ends in `/`, in no order; nothing when there is no such folder. */
  list(prefix: string): AsyncIterable<StoreEntry>;
}

/** What `put` is given, as one value. */
export interface NewEntry {
  readonly key: string;
  readonly content: string;
  readonly contentType: string;
}

/** One line of a listing. */
export interface StoreEntry {
  /** The whole key; ends in `/` for a folder. */
  readonly key: string;
  /** When the entry was written, in Unix milliseconds; of a trace in a pack, when it was created. Absent for folders. */
  readonly modifiedMs?: number;
  /** How long its content is, where the listing tells. */
  readonly bytes?: number;
}

/**
 * A store's failure whose message, `"<ExceptionName>: <text>"`, is fit for strangers: no places, keys or buckets. Any other error of a store is told as a `StorageError`.
 */
export class StoreError extends Error {
  override readonly name = "StoreError";
}
