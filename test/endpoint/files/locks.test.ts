import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setImmediate } from "node:timers/promises";
import { afterEach, expect, test, vi } from "vitest";
import { FolderLocks } from "../../../src/endpoint/files/locks.ts";
import { systemProcesses } from "../../../src/processes.ts";
import { temporaryFolder } from "../support.ts";

const LOCK = ".pack.lock";

afterEach(() => void vi.useRealTimers());

/** A process that has ended. */
function deadOwner() {
  const pid = Number(execFileSync(resolve("node_modules/.bin/node"), ["-p", "process.pid"], { encoding: "utf8" }));
  return { ...systemProcesses.self(), pid, startedAt: "1" };
}

async function lockedFolder(text: string) {
  const folder = await temporaryFolder();
  writeFileSync(join(folder, LOCK), text);
  return { folder, lock: join(folder, LOCK), locks: new FolderLocks(folder) };
}

/** Let so much time pass for those who ask what time it is. */
function later(ms: number): void {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + ms });
}

test("the lock is there while the work is done, and is gone afterwards, whatever comes of the work", async () => {
  const folder = await temporaryFolder();
  const locks = new FolderLocks(folder);
  expect(await locks.locked(folder, () => existsSync(join(folder, LOCK)))).toBe(true);
  const failing = locks.locked(folder, () => {
    throw new Error("the work failed");
  });
  await expect(failing).rejects.toThrow("the work failed");
  expect(existsSync(join(folder, LOCK))).toBe(false);
});

test("the lock of a process that is dead is broken at once", async () => {
  const { folder, locks, lock } = await lockedFolder(JSON.stringify({ ...deadOwner(), token: "x" }));
  expect(await locks.locked(folder, () => "done")).toBe("done");
  expect(existsSync(lock)).toBe(false);
});

test("one who dies while it breaks a dead process's lock holds up nobody", async () => {
  const { folder, locks, lock } = await lockedFolder(JSON.stringify({ ...deadOwner(), token: "x" }));
  writeFileSync(`${lock}.break`, JSON.stringify({ ...deadOwner(), token: "y" }));
  expect(await locks.locked(folder, () => "done")).toBe("done");
  expect([existsSync(lock), existsSync(`${lock}.break`)]).toEqual([false, false]);
});

test("one who lives and is breaking a lock is waited for", async () => {
  const { folder, locks, lock } = await lockedFolder(JSON.stringify({ ...deadOwner(), token: "x" }));
  writeFileSync(`${lock}.break`, JSON.stringify({ ...systemProcesses.self(), token: "another" }));
  const work = vi.fn(() => "done");
  const waiting = locks.locked(folder, work);
  for (let turn = 0; turn < 20; turn++) await setImmediate();
  expect(work).not.toHaveBeenCalled();
  rmSync(`${lock}.break`);
  expect(await waiting).toBe("done");
});

test("the lock of a process that lives is waited for", async () => {
  const { folder, locks, lock } = await lockedFolder(JSON.stringify({ ...systemProcesses.self(), token: "another" }));
  const work = vi.fn(() => "done");
  const waiting = locks.locked(folder, work);
  for (let turn = 0; turn < 20; turn++) await setImmediate();
  expect(work).not.toHaveBeenCalled();
  rmSync(lock);
  expect(await waiting).toBe("done");
});

test.each([
  ["of another machine", JSON.stringify({ place: "elsewhere", pid: 1, startedAt: "1" }), 61_000],
  ["of a process that stands still", JSON.stringify({ ...systemProcesses.self(), token: "another" }), 61_000],
  ["that nobody has put a name into", "", 6_000],
])("a lock %s is broken when it is too old to be true, and not before", async (_, text, tooOldMs) => {
  const { folder, locks } = await lockedFolder(text);
  const work = vi.fn(() => "done");
  const waiting = locks.locked(folder, work);
  for (let turn = 0; turn < 20; turn++) await setImmediate();
  expect(work).not.toHaveBeenCalled();
  later(tooOldMs);
  expect(await waiting).toBe("done");
});

test("one who was taken over while it stood still hears so, and leaves the other's lock alone", async () => {
  const folder = await temporaryFolder();
  const working = new FolderLocks(folder).locked(folder, () => {
    rmSync(join(folder, LOCK));
    writeFileSync(join(folder, LOCK), "another's");
  });
  await expect(working).rejects.toThrow("taken over by another process");
  expect(readFileSync(join(folder, LOCK), "utf8")).toBe("another's");
});

test("what dead processes left is removed by the next one", async () => {
  const folder = await temporaryFolder();
  const left = join(folder, ".pack-owner-left");
  const living = join(folder, ".pack-owner-living");
  writeFileSync(left, JSON.stringify(deadOwner()));
  writeFileSync(living, JSON.stringify(systemProcesses.self()));
  await new FolderLocks(folder).locked(folder, () => undefined);
  expect([existsSync(left), existsSync(living)]).toEqual([false, true]);
});
