import { readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { nodeFs, type SpoolFs } from "../../../src/delivery/spool/file-system.ts";
import { mountSmallDisk } from "../../faults/support.ts";
import { decode, PretendProcesses, readAll, recordOf, startSpool, temporaryFolder } from "./support.ts";

class FsError extends Error {
  readonly code: string;
  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

/** A monotonic clock set by hand. */
function handClock() {
  const clock = { ms: 0, monotonicMs: () => clock.ms };
  return clock;
}

const home = (dir: string) => join(dir, readdirSync(dir).find((name) => name.startsWith("v1-")) ?? "");

test("a full disk: refuses without an exception, says so once, cuts off what was half written, and recovers", () => {
  const [world, dir, clock] = [new PretendProcesses(), temporaryFolder(), handClock()];
  let room = 200;
  const io: SpoolFs = {
    ...nodeFs,
    write(fd, bytes, position) {
      if (room === 0) throw new FsError("ENOSPC");
      const count = nodeFs.write(fd, bytes.subarray(0, room), position);
      room -= count;
      return count;
    },
  };
  const first = startSpool(world, { dir, retryAfterMs: 1000 }, { io, ...clock });
  const taken = Array.from({ length: 9 }, (_, i) => first.spool.append(recordOf(`id-${i}`, "x".repeat(50))) !== null);
  expect(taken.filter(Boolean).length).toBe(2);
  expect(first.events).toEqual([{ type: "degraded", cause: expect.objectContaining({ code: "ENOSPC" }) }]);
  room = 10_000;
  expect(first.spool.append(recordOf("too soon"))).toBeNull();
  clock.ms += 1000;
  expect(first.spool.append(recordOf("later"))).not.toBeNull();
  expect(first.events.map(({ type }) => type)).toEqual(["degraded", "recovered"]);
  first.kill();
  const second = startSpool(world, { dir });
  expect(readAll(second.spool).map(({ id }) => id)).toEqual(["id-0", "id-1", "later"]);
  expect(second.events.map(({ type }) => type)).toEqual(["adopted"]);
});

test("where what was half written cannot be cut off either, the reader steps over it", () => {
  const [world, dir, clock] = [new PretendProcesses(), temporaryFolder(), handClock()];
  let failing = false;
  const io: SpoolFs = {
    ...nodeFs,
    write(fd, bytes, position) {
      if (!failing) return nodeFs.write(fd, bytes, position);
      nodeFs.write(fd, bytes.subarray(0, 40), position);
      throw new FsError("EIO");
    },
    truncate(fd, size) {
      if (failing) throw new FsError("EIO");
      nodeFs.truncate(fd, size);
    },
  };
  const first = startSpool(world, { dir }, { io, ...clock });
  first.spool.append(recordOf("a"));
  failing = true;
  expect(first.spool.append(recordOf("b"))).toBeNull();
  failing = false;
  clock.ms += 1000;
  expect(first.spool.append(recordOf("c"))).not.toBeNull();
  first.kill();
  const second = startSpool(world, { dir });
  expect(readAll(second.spool).map(({ id }) => id)).toEqual(["a", "c"]);
  expect(second.events).toContainEqual({ type: "torn", bytes: 40 });
});

test("short writes, in whatever pieces, make whole records", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 20 }), (pieces) => {
      const [world, dir] = [new PretendProcesses(), temporaryFolder()];
      let turn = 0;
      const write: SpoolFs["write"] = (fd, bytes, position) =>
        nodeFs.write(fd, bytes.subarray(0, pieces[turn++ % pieces.length]), position);
      const first = startSpool(world, { dir }, { io: { ...nodeFs, write } });
      for (const id of ["a", "b", "c"]) first.spool.append(recordOf(id, id.repeat(100)));
      first.kill();
      expect(readAll(startSpool(world, { dir }).spool).map(({ id, body }) => [id, decode(body)])).toEqual(
        ["a", "b", "c"].map((id) => [id, id.repeat(100)]),
      );
    }),
    { numRuns: 30 },
  );
});

test("whichever operation fails at whatever moment, nothing is thrown and what was accepted comes back", () => {
  const operations = Object.keys(nodeFs).filter((name): name is keyof SpoolFs => name in nodeFs && name !== "exists");
  fc.assert(
    fc.property(
      fc.array(fc.record({ name: fc.constantFrom(...operations), at: fc.nat(12) }), { maxLength: 4 }),
      fc.boolean(),
      (faults, closes) => {
        const [world, dir, clock] = [new PretendProcesses(), temporaryFolder(), handClock()];
        const calls = new Map<string, number>();
        const fail = (name: string) => {
          const count = calls.get(name) ?? 0;
          calls.set(name, count + 1);
          if (faults.some((fault) => fault.name === name && fault.at === count)) throw new FsError("EIO");
        };
        const io = new Proxy(nodeFs, {
          get: (target, name: keyof SpoolFs) =>
            function failing(...args: never[]) {
              if (name !== "exists") fail(name);
              return Reflect.apply(target[name], target, args);
            },
        });
        const left = startSpool(world, { dir });
        left.spool.append(recordOf("left"));
        left.kill();
        const { spool, kill } = startSpool(world, { dir, segmentBytes: 150, fsync: "always" }, { io, ...clock });
        const open = new Set(["left"]);
        for (let i = 0; i < 12; i++) {
          clock.ms += 2000;
          const handOut = i % 2 === 0;
          const ref = spool.append(recordOf(`id-${i}`), { handOut });
          if (ref !== null) open.add(`id-${i}`);
          if (ref !== null && i % 4 === 1) {
            spool.acknowledge(ref);
            open.delete(`id-${i}`);
          }
          if (i === 6) spool.adopt();
          if (i === 8) spool.readBack({ maxRecords: 3, maxBytes: 1000 });
        }
        if (closes) spool.close();
        kill(); // also after a close, whose last step may be the one that failed: then the directory is still its owner's
        const found = readAll(startSpool(world, { dir }).spool).map(({ id }) => id);
        // More may come back: an acknowledgement that could not be written is one trace delivered again.
        expect(found).toEqual(expect.arrayContaining([...open]));
      },
    ),
    { numRuns: 200 },
  );
});

test("a file sealed as empty that holds a record all the same holds nobody up, and its record comes back", () => {
  const [world, dir] = [new PretendProcesses(), temporaryFolder()];
  const fail = () => {
    throw new FsError("EIO");
  };
  const { spool, kill } = startSpool(world, { dir, fsync: "always" }, { io: { ...nodeFs, sync: fail, remove: fail } });
  expect(spool.append(recordOf("written"))).toBeNull();
  kill();
  expect(readAll(startSpool(world, { dir }).spool).map(({ id }) => id)).toEqual(["written"]);
});

test("a directory deleted under us: goes on in a new one, and tells what was waiting there", () => {
  const [world, dir] = [new PretendProcesses(), temporaryFolder()];
  const { spool, events, kill } = startSpool(world, { dir });
  const lost = spool.append(recordOf("lost"), { handOut: true });
  rmSync(dir, { recursive: true });
  const kept = spool.append(recordOf("kept"), { handOut: true });
  expect(events).toEqual([{ type: "directory-lost", isDeleted: true, records: 1, bytes: 32 + 4 + 12 }]);
  if (lost !== null) spool.acknowledge(lost);
  expect(kept).not.toBeNull();
  expect(readAll(spool).map(({ id }) => id)).toEqual(["kept"]);
  kill();
  expect(readAll(startSpool(world, { dir }).spool).map(({ id }) => id)).toEqual(["kept"]);
});

test("a directory deleted under us is noticed by reading and by adopting too", () => {
  const [world, dir] = [new PretendProcesses(), temporaryFolder()];
  const { spool, events } = startSpool(world, { dir });
  spool.append(recordOf("lost"), { handOut: true });
  rmSync(dir, { recursive: true });
  expect(spool.readBack({ maxRecords: 10, maxBytes: 1000 })).toEqual([]);
  expect(spool.waiting().records).toBe(0);
  spool.append(recordOf("lost too"), { handOut: true });
  rmSync(dir, { recursive: true });
  expect(spool.adopt().directories).toBe(0);
  expect(events.map(({ type }) => type)).toEqual(["directory-lost", "directory-lost"]);
  expect(spool.append(recordOf("kept"))).not.toBeNull();
});

test("a folder that cannot be made: degraded from the start, and works once it can", () => {
  const [world, root, clock] = [new PretendProcesses(), temporaryFolder(), handClock()];
  const dir = join(root, "file");
  writeFileSync(dir, "in the way");
  const { spool, events } = startSpool(world, { dir }, clock);
  expect(spool.append(recordOf("a"))).toBeNull();
  expect(spool.adopt()).toEqual({ directories: 0, records: 0, hasMore: false });
  expect(events.map(({ type }) => type)).toEqual(["degraded"]);
  renameSync(dir, `${dir}.away`);
  clock.ms += 1000;
  expect(spool.append(recordOf("b"))).not.toBeNull();
  expect(events.map(({ type }) => type)).toEqual(["degraded", "recovered"]);
});

test("an owner whose directory was adopted while it slept writes again what fell into the gap", () => {
  const [world, dir] = [new PretendProcesses(), temporaryFolder()];
  let meanwhile = () => {};
  const io: SpoolFs = {
    ...nodeFs,
    write(fd, bytes, position) {
      meanwhile(); // the owner is stopped right before its write(2)
      return nodeFs.write(fd, bytes, position);
    },
  };
  const sleeper = startSpool(world, { dir }, { io });
  sleeper.spool.append(recordOf("a"), { handOut: true });
  const other = startSpool(world, { dir });
  meanwhile = () => {
    meanwhile = () => {};
    sleeper.kill();
    expect(readAll(other.spool).map(({ id }) => id)).toEqual(["a"]);
  };
  expect(sleeper.spool.append(recordOf("b"), { handOut: true })).not.toBeNull();
  expect(sleeper.events).toEqual([{ type: "directory-lost", isDeleted: false, records: 1, bytes: 32 + 1 + 9 }]);
  // "a" is the other's to deliver now, "b" is ours.
  expect(sleeper.spool.readBack({ maxRecords: 9, maxBytes: 1000 }).map(({ id }) => id)).toEqual(["b"]);
});

test("a segment that stays unreadable is set aside whole and blocks nothing", () => {
  const [world, dir, clock] = [new PretendProcesses(), temporaryFolder(), handClock()];
  const monotonicMs = () => clock.ms++ * 100;
  const dead = startSpool(world, { dir, segmentBytes: 100 });
  for (const id of ["a", "b", "c"]) dead.spool.append(recordOf(id, id.repeat(60)));
  const unreadable = join(home(dir), "00000002-1.seg");
  dead.kill();
  let bad = -1;
  const io: SpoolFs = {
    ...nodeFs,
    open(path, mode) {
      const fd = nodeFs.open(path, mode);
      if (path.endsWith("00000002-1.seg")) bad = fd;
      else if (bad === fd) bad = -1;
      return fd;
    },
    read(fd, into, position) {
      if (fd === bad) throw new FsError("EIO");
      return nodeFs.read(fd, into, position);
    },
  };
  expect(nodeFs.exists(unreadable)).toBe(true);
  const { spool, events } = startSpool(world, { dir }, { io, monotonicMs });
  const records = readAll(spool);
  expect(records.map(({ id }) => id)).toEqual(["a", "c"]);
  expect(events).toContainEqual(expect.objectContaining({ type: "set-aside", reason: "unreadable" }));
  for (const { ref } of records) spool.acknowledge(ref);
  spool.close();
  expect(readdirSync(dir)).toEqual(["bad"]);
  expect(readdirSync(join(dir, "bad")).length).toBe(1);
});

test("a host's event handler that throws does no harm", () => {
  const { spool } = startSpool(
    new PretendProcesses(),
    { dir: temporaryFolder(), maxBytes: 10 },
    {
      onEvent: () => {
        throw new Error("the host's own");
      },
    },
  );
  expect(spool.append(recordOf("a"))).toBeNull();
});

test("a real full disk: what was accepted is there, and room made by deliveries is used again", ({ skip }) => {
  const disk = mountSmallDisk();
  if (disk === undefined) return skip("needs the right to mount a tmpfs");
  const [world, clock] = [new PretendProcesses(), handClock()];
  const first = startSpool(world, { dir: join(disk, "spool"), segmentBytes: 100_000 }, clock);
  const refs = Array.from({ length: 2000 }, (_, i) => first.spool.append(recordOf(`id-${i}`, "x".repeat(1000))));
  const accepted = refs.flatMap((ref, i) => (ref === null ? [] : [{ ref, id: `id-${i}` }]));
  expect(accepted.length).toBeGreaterThan(500);
  expect(accepted.length).toBeLessThan(1100);
  expect(first.events).toEqual([{ type: "degraded", cause: expect.objectContaining({ code: "ENOSPC" }) }]);
  for (const { ref } of accepted.slice(0, 300)) first.spool.acknowledge(ref);
  clock.ms += 1000;
  expect(first.spool.append(recordOf("later", "x".repeat(1000)))).not.toBeNull();
  expect(first.events.map(({ type }) => type)).toEqual(["degraded", "recovered"]);
  first.kill();
  const second = startSpool(world, { dir: join(disk, "spool") });
  const found = readAll(second.spool).map(({ id }) => id);
  expect(found).toEqual(expect.arrayContaining([...accepted.slice(300).map(({ id }) => id), "later"]));
  expect(new Set(found).size).toBe(found.length);
  expect(second.events.map(({ type }) => type)).toEqual(["adopted"]);
});
