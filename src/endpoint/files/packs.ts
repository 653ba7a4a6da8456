/** The packs of a store, one a folder, each used under its folder's lock. */
import * as fs from "node:fs";
import { setImmediate } from "node:timers/promises";
import { errnoOf } from "../../errno.ts";
import { PACK_NAME } from "./line.ts";
import { FolderLocks } from "./locks.ts";
import { type ListedLine, type NewLine, Pack, tracesIn } from "./pack.ts";
import { isTaken, namesIfFew, unlessMissing } from "./single-file.ts";

/** Where a trace lies: its folder, and what its file is or would be called. */
export interface Place {
  readonly folder: string;
  readonly name: string;
}

/** Indexes that are kept, least recently used ones dropped beyond it: some 100 MB at most. A dropped one is made again. */
const MAX_PACKS = 256;
const MAX_LINES = 4_000_000;
const LOOKED_FOR_SINGLY = 20;
const LISTED_AT_ONCE = 1_000;

export class Packs {
  readonly #fsync: boolean;
  readonly #locks: FolderLocks;
  /** By folder, the least recently used first. */
  readonly #packs = new Map<string, Pack>();

  /** @param root the folder of the store, in which all others lie. */
  constructor(root: string, { fsync }: { readonly fsync: boolean }) {
    this.#fsync = fsync;
    this.#locks = new FolderLocks(root);
  }

  /** Those lines that were new, all appended in one write, which fails or succeeds as a whole. */
  async put(folder: string, lines: readonly NewLine[]): Promise<Set<NewLine>> {
    return madeWhenNeeded(folder, () =>
      // Opened, and so made, before single files are looked for: see `withdrawIfPacked`.
      this.#with(folder, "a+", (pack, descriptor) => {
        // A folder of packs has hardly any files: seeing that once costs less than looking for each of many.
        const files = lines.length < LOOKED_FOR_SINGLY ? undefined : namesIfFew(folder, LOOKED_FOR_SINGLY);
        const isFile = (name: string) => files?.has(name) !== false && isTaken(`${folder}/${name}`);
        const fresh = new Map<string, NewLine>();
        for (const line of lines) {
          const { name } = line;
          if (!fresh.has(name) && !pack.has(descriptor, name) && !isFile(name)) fresh.set(name, line);
        }
        const created = new Set(fresh.values());
        if (created.size > 0) pack.append(descriptor, [...created], { fsync: this.#fsync });
        return created;
      }),
    );
  }

  /**
   * For one who has just made a single file: when the pack has its name, which is how it turns out where both kinds are
   * written at once, the file goes away again.
   */
  async withdrawIfPacked({ folder, name }: Place): Promise<boolean> {
    if (!hasPack(folder)) return false;
    const withdrawn = await this.#with(folder, "r", (pack, descriptor) => {
      const isPacked = pack.has(descriptor, name);
      if (isPacked) fs.unlinkSync(`${folder}/${name}`);
      return isPacked;
    }).catch(unlessMissing); // a pack that was made for nothing went away again
    return withdrawn ?? false;
  }

  async read({ folder, name }: Place): Promise<string | undefined> {
    return this.#reading(folder, (pack, descriptor) => pack.read(descriptor, name));
  }

  async *list(folder: string): AsyncGenerator<ListedLine> {
    const extent = await this.#reading(folder, (pack) => pack.extent);
    if (extent === undefined) return;
    // Without the lock, and in portions: a large pack takes seconds, in which others want to write.
    const descriptor = fs.openSync(`${folder}/${PACK_NAME}`, "r");
    try {
      let count = 0;
      for (const line of tracesIn(descriptor, extent)) {
        yield line;
        if (++count % LISTED_AT_ONCE === 0) await setImmediate();
      }
    } finally {
      fs.closeSync(descriptor);
    }
  }

  /**
   * `undefined` where there is no pack. Where no lock can be made, as on a disk that is full or read-only, it is read
   * without one, and nothing is learnt from that.
   */
  async #reading<T>(folder: string, work: (pack: Pack, descriptor: number) => T): Promise<T | undefined> {
    if (!hasPack(folder)) return undefined;
    return this.#with(folder, "r", work)
      .catch((error: unknown) => {
        if (!["EROFS", "EACCES", "EPERM", "ENOSPC", "EDQUOT"].includes(errnoOf(error) ?? "")) throw error;
        return opened(folder, "r", (descriptor) => upToDate(new Pack(), descriptor, work));
      })
      .catch(unlessMissing); // see above
  }

  async #with<T>(folder: string, flags: "a+" | "r", work: (pack: Pack, descriptor: number) => T): Promise<T> {
    try {
      return await this.#locks.locked(folder, () =>
        opened(folder, flags, (descriptor) => upToDate(this.#packOf(folder), descriptor, work)),
      );
    } finally {
      this.#dropLeastUsed();
    }
  }

  #packOf(folder: string): Pack {
    const pack = this.#packs.get(folder) ?? new Pack();
    this.#packs.delete(folder);
    this.#packs.set(folder, pack);
    return pack;
  }

  #dropLeastUsed(): void {
    let lines = 0;
    for (const pack of this.#packs.values()) lines += pack.extent.lines;
    for (const [folder, pack] of this.#packs) {
      if (this.#packs.size === 1 || (this.#packs.size <= MAX_PACKS && lines <= MAX_LINES)) return;
      lines -= pack.extent.lines;
      this.#packs.delete(folder);
    }
  }
}

function opened<T>(folder: string, flags: "a+" | "r", work: (descriptor: number) => T): T {
  const path = `${folder}/${PACK_NAME}`;
  const descriptor = fs.openSync(path, flags);
  try {
    return work(descriptor);
  } finally {
    // Made for nothing: all traces were single files, or the disk is full.
    if (flags === "a+" && fs.fstatSync(descriptor).size === 0) fs.unlinkSync(path);
    fs.closeSync(descriptor);
  }
}

function upToDate<T>(pack: Pack, descriptor: number, work: (pack: Pack, descriptor: number) => T): T {
  pack.catchUp(descriptor);
  return work(pack, descriptor);
}

function hasPack(folder: string): boolean {
  return fs.existsSync(`${folder}/${PACK_NAME}`);
}

/** Hardly ever is the folder not there, so it is made when that turns out, not looked for every time. */
async function madeWhenNeeded<T>(folder: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
    fs.mkdirSync(folder, { recursive: true });
    return work();
  }
}
