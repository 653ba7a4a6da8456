import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openSpool } from "../../../src/delivery/spool/spool.ts";
import { TraceLogger } from "../../../src/index.ts";
import { decode, PretendProcesses, readAll, recordOf, startSpool, temporaryFolder } from "./support.ts";

const day = 24 * 3600 * 1000;

/** Every file below, by its path. */
const filesIn = (dir: string) =>
  readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));

test("gives back what overflowed memory, in order, each once", () => {
  const { spool } = startSpool(new PretendProcesses(), { dir: temporaryFolder() });
  for (const id of ["a", "b", "c"]) spool.append(recordOf(id), { handOut: true });
  expect(spool.waiting().records).toBe(3);
  expect(readAll(spool).map(({ id, body }) => [id, decode(body)])).toEqual([
    ["a", "body of a"],
    ["b", "body of b"],
    ["c", "body of c"],
  ]);
  expect(readAll(spool)).toEqual([]);
});

test("does not give back what memory delivers, neither to this process nor, once acknowledged, to the next", () => {
  const [world, dir] = [new PretendProcesses(), temporaryFolder()];
  const first = startSpool(world, { dir });
  const refs = ["a", "b", "c"].map((id) => first.spool.append(recordOf(id)));
  expect(readAll(first.spool)).toEqual([]);
  if (refs[1] !== null && refs[1] !== undefined) first.spool.acknowledge(refs[1]);
  first.kill();
  const second = startSpool(world, { dir });
  expect(readAll(second.spool).map(({ id }) => id)).toEqual(["a", "c"]);
});

test("leaves no file behind when everything was acknowledged", () => {
  const dir = temporaryFolder();
  const { spool } = startSpool(new PretendProcesses(), { dir });
  for (let i = 0; i < 10; i++) spool.append(recordOf(String(i)), { handOut: true });
  for (const { ref } of readAll(spool)) spool.acknowledge(ref);
  spool.close();
  expect(readdirSync(dir)).toEqual([]);
});

test("a closed spool with something left is taken over at once, though its process lives", () => {
  const [world, dir] = [new PretendProcesses(), temporaryFolder()];
  const first = startSpool(world, { dir });
  first.spool.append(recordOf("left"));
  first.spool.close();
  const second = startSpool(world, { dir });
  expect(second.spool.adopt()).toEqual({ directories: 1, records: 1, hasMore: false });
  expect(readAll(second.spool).map(({ id }) => id)).toEqual(["left"]);
});

test("does not touch the directory of a process that lives", () => {
  const [world, dir] = [new PretendProcesses(), temporaryFolder()];
  startSpool(world, { dir }).spool.append(recordOf("a"));
  expect(startSpool(world, { dir }).spool.adopt()).toEqual({ directories: 0, records: 0, hasMore: false });
});

test("what was adopted by a process which then dies is adopted again", () => {
  const [world, dir] = [new PretendProcesses(), temporaryFolder()];
  for (const id of ["a", "b", "c", "d"]) {
    const { spool, kill } = startSpool(world, { dir });
    spool.adopt();
    spool.append(recordOf(id));
    kill();
  }
  const { spool } = startSpool(world, { dir });
  const records = readAll(spool);
  expect(records.map(({ id }) => id).sort()).toEqual(["a", "b", "c", "d"]);
  for (const { ref } of records) spool.acknowledge(ref);
  spool.close();
  expect(readdirSync(dir)).toEqual([]);
});

test("deletes a segment as soon as it is acknowledged, and only then", () => {
  const dir = temporaryFolder();
  const { spool } = startSpool(new PretendProcesses(), { dir, segmentBytes: 200 });
  const refs = Array.from({ length: 9 }, (_, i) => spool.append(recordOf(String(i), "x".repeat(40))));
  const segments = () => filesIn(dir).filter((path) => path.endsWith(".seg")).length;
  const before = segments();
  expect(before).toBeGreaterThan(2);
  for (const ref of refs) if (ref !== null) spool.acknowledge(ref);
  expect(segments()).toBe(1);
});

test("refuses what would go beyond maxBytes, says so once, and takes traces again when others were delivered", () => {
  const { spool, events } = startSpool(new PretendProcesses(), { dir: temporaryFolder(), maxBytes: 4000 });
  const refs = Array.from({ length: 100 }, (_, i) => spool.append(recordOf(String(i), "x".repeat(100))));
  expect(refs.filter((ref) => ref !== null).length).toBe(29); // of 133 and 134 bytes
  expect(spool.bytesOnDisk).toBeLessThanOrEqual(4000);
  expect(events.map(({ type }) => type)).toEqual(["full"]);
  for (const ref of refs) if (ref !== null) spool.acknowledge(ref);
  expect(spool.append(recordOf("later"))).not.toBeNull();
});

test("keeps within the limits of readBack, but always gives one", () => {
  const { spool } = startSpool(new PretendProcesses(), { dir: temporaryFolder() });
  for (let i = 0; i < 10; i++) spool.append(recordOf(String(i), "x".repeat(100)), { handOut: true });
  expect(spool.readBack({ maxRecords: 2, maxBytes: 1e6 }).length).toBe(2);
  expect(spool.readBack({ maxRecords: 100, maxBytes: 350 }).length).toBe(3);
  expect(spool.readBack({ maxRecords: 100, maxBytes: 1 }).length).toBe(1);
  expect(spool.waiting().records).toBe(4);
});

test("marks what is older than maxAgeMs, however the clock jumps", () => {
  let now = Date.now();
  const { spool } = startSpool(
    new PretendProcesses(),
    { dir: temporaryFolder(), maxAgeMs: 7 * day },
    { now: () => now },
  );
  for (const daysAgo of [8, 6, 0, -1])
    spool.append(recordOf(`${daysAgo}`, "x", now - daysAgo * day), { handOut: true });
  expect(readAll(spool).map(({ id, isExpired }) => [id, isExpired])).toEqual([
    ["8", true],
    ["6", false],
    ["0", false],
    ["-1", false],
  ]);
  now -= day;
  spool.append(recordOf("back", "x", now), { handOut: true });
  now += 2 * day;
  expect(readAll(spool).map(({ id, isExpired }) => [id, isExpired])).toEqual([["back", false]]);
});

test("a trace longer than a segment has a segment to itself", () => {
  const [world, dir] = [new PretendProcesses(), temporaryFolder()];
  const first = startSpool(world, { dir, segmentBytes: 1000 });
  const bodies = ["small", "L".repeat(3_000_000), "small again"];
  bodies.forEach((body, i) => void first.spool.append(recordOf(String(i), body)));
  first.kill();
  expect(readAll(startSpool(world, { dir }).spool).map(({ body }) => decode(body))).toEqual(bodies);
});

test("only its owner may read the files", () => {
  const dir = join(temporaryFolder(), "new");
  const { spool } = startSpool(new PretendProcesses(), { dir });
  const ref = spool.append(recordOf("a"));
  spool.append(recordOf("b"));
  if (ref !== null) spool.acknowledge(ref);
  expect(statSync(dir).mode & 0o777).toBe(0o700);
  for (const file of filesIn(dir)) expect(statSync(file).mode & 0o777).toBe(0o600);
  for (const entry of readdirSync(dir)) expect(statSync(join(dir, entry)).mode & 0o777).toBe(0o700);
});

test("does nothing after close", () => {
  const { spool } = startSpool(new PretendProcesses(), { dir: temporaryFolder() });
  spool.close();
  spool.close();
  expect(spool.append(recordOf("a"))).toBeNull();
  expect(spool.adopt()).toEqual({ directories: 0, records: 0, hasMore: false });
});

test("what is read back in one go stays what it was, however often the reader's window has moved on", () => {
  const { spool } = startSpool(new PretendProcesses(), { dir: temporaryFolder() });
  const texts = Array.from({ length: 60 }, (_, i) => String(i % 10).repeat(20_000 + i));
  texts.forEach((text, i) => void spool.append(recordOf(`id-${i}`, text), { handOut: true }));
  expect(readAll(spool, { maxRecords: 1000, maxBytes: 1e9 }).map(({ body }) => decode(body) === texts.shift())).toEqual(
    Array(60).fill(true),
  );
});

test.each<[object, RegExp]>([
  [{ fsync: "sometimes" }, /`spool.fsync`: expected "always", "interval" or "never", got string/],
  [{ maxbytes: 1 }, /no option `spool.maxbytes`. There are: dir, /],
  [{ maxBytes: "1 GiB" }, /`spool.maxBytes`: expected a number from 1, got string/],
  [{ maxAgeMs: 0 }, /`spool.maxAgeMs`: expected a number from 1, got 0/],
])("an option like %j is refused at once, and by the logger", (options, message) => {
  const dir = temporaryFolder();
  expect(() => openSpool({ dir, ...options })).toThrow(message);
  const make = () => new TraceLogger({ endpoint: "http://127.0.0.1:9", spool: { dir, open: openSpool, ...options } });
  expect(make).toThrow(message);
  expect(readdirSync(dir)).toEqual([]);
});
