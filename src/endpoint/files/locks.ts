/**
 * One process at a time in a folder: a lock file, which names its owner. What is done under it is synchronous, so within
 * a process nobody ever waits, and a lock that is a minute old is a stopped process's, or a dead one's of another machine.
 *
 * The lock is a hard link to a file that each process makes once: it has its content from the start, and taking it
 * thousands of times a second neither makes nor frees an inode, which ext4 would soon be slow at.
 */
import * as fs from "node:fs";
import { setTimeout } from "node:timers/promises";
import { errnoOf } from "../../errno.ts";
import { type Owner, systemProcesses } from "../../processes.ts";
import { StoreError } from "../store.ts";
import { linkOrCopy } from "./single-file.ts";

// Names that begin with a dot are no keys.
const LOCK_NAME = ".pack.lock";
const OWNER_PREFIX = ".pack-owner-";
const MAX_AGE_MS = 60_000;
/** Where links do not exist the lock is a copy, and without a name until it is whole. */
const MAX_NAMELESS_AGE_MS = 5_000;
/** Shorter than a sender waits for an answer. */
const MAX_WAIT_MS = 15_000;

export class FolderLocks {
  readonly #root: string;
  readonly #ownFile: string;
  readonly #ownName: string;

  /** @param root the folder in which all folders lie that will be locked. */
  constructor(root: string) {
    const token = crypto.randomUUID();
    this.#root = root;
    this.#ownFile = `${root}/${OWNER_PREFIX}${token}`;
    this.#ownName = JSON.stringify({ ...systemProcesses.self(), token });
  }

  /**
   * Do something while no other process does such a thing in this folder, which must be there.
   *
   * @throws {StoreError} when others held the lock all the time, or took it over because this process stood still in the
   *   middle of the work: what it did may be there, but is not to be relied on.
   */
  async locked<T>(folder: string, work: () => T): Promise<T> {
    const path = `${folder}/${LOCK_NAME}`;
    const giveUpAt = performance.now() + MAX_WAIT_MS;
    while (!this.#take(path)) {
      if (this.#breakIfStale(path)) continue;
      if (performance.now() > giveUpAt) throw new StoreError("StorageError: The folder is in use; try again");
      await setTimeout(1 + 4 * Math.random());
    }
    try {
      return work();
    } finally {
      this.#release(path);
    }
  }

  #take(path: string): boolean {
    try {
      linkOrCopy(this.#ownFile, path);
      return true;
    } catch (error) {
      if (errnoOf(error) === "EEXIST") return false;
      if (errnoOf(error) !== "ENOENT" || fs.existsSync(this.#ownFile)) throw error;
    }
    this.#introduce();
    return this.#take(path);
  }

  /** Did anything change, so that it is worth trying again at once? */
  #breakIfStale(path: string): boolean {
    if (!isStale(path)) return false;
    // One breaks at a time, and looks again: a lock that someone has broken and taken in between must not be broken. It
    // is named as a lock is, so that one who dies while breaking holds up nobody.
    const breaker = `${path}.break`;
    if (!this.#take(breaker)) {
      if (isStale(breaker)) fs.rmSync(breaker, { force: true });
      return false;
    }
    try {
      if (isStale(path)) fs.rmSync(path, { force: true });
    } finally {
      fs.rmSync(breaker, { force: true });
    }
    return true;
  }

  #release(path: string): void {
    if (nameIn(path) !== this.#ownName)
      throw new StoreError("StorageError: The folder was taken over by another process; try again");
    fs.unlinkSync(path);
  }

  /** Make the own file, and remove those of processes that are gone. */
  #introduce(): void {
    fs.mkdirSync(this.#root, { recursive: true });
    for (const name of fs.readdirSync(this.#root)) {
      const path = `${this.#root}/${name}`;
      if (name.startsWith(OWNER_PREFIX) && isDead(ownerIn(nameIn(path)))) fs.rmSync(path, { force: true });
    }
    fs.writeFileSync(this.#ownFile, this.#ownName);
  }
}

function isStale(path: string): boolean {
  const name = nameIn(path);
  if (name === undefined) return false;
  const owner = ownerIn(name);
  return isDead(owner) || ageMs(path) > (owner === undefined ? MAX_NAMELESS_AGE_MS : MAX_AGE_MS);
}

function isDead(owner: Owner | undefined): boolean {
  return owner !== undefined && systemProcesses.isRunning(owner) === "no";
}

function nameIn(path: string): string | undefined {
  try {
    return fs.readFileSync(path, "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

function ownerIn(name = ""): Owner | undefined {
  try {
    const { place, pid, startedAt } = JSON.parse(name);
    return { place, pid, startedAt };
  } catch {
    return undefined; // not written yet
  }
}

/** Since its last link came or went: a process that works makes its own file younger all the time. */
function ageMs(path: string): number {
  const stats = fs.statSync(path, { throwIfNoEntry: false });
  return stats === undefined ? 0 : Date.now() - stats.ctimeMs;
}
