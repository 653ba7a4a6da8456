import { appendFileSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { decode, PretendProcesses, readAll, recordOf, startSpool, temporaryFolder } from "./support.ts";

/** A root with what a killed process left: `count` traces in one segment, none acknowledged. */
function leavings(world: PretendProcesses, count: number) {
  const dir = temporaryFolder();
  const { spool, kill } = startSpool(world, { dir });
  const ends = Array.from({ length: count }, (_, i) => {
    spool.append(recordOf(`id-${i}`));
    return spool.bytesOnDisk;
  });
  kill();
  const home = join(dir, readdirSync(dir).find((name) => name.startsWith("v1-")) ?? "");
  return { dir, home, ends, segment: join(home, "00000001.seg"), acks: join(home, "00000001.ack") };
}

const badFiles = (dir: string) => {
  const bad = join(dir, "bad");
  return readdirSync(dir).includes("bad") ? readdirSync(bad).map((name) => readFileSync(join(bad, name))) : [];
};

/** Whatever was done to the file: only traces that were written come back, as they were written. */
function readFaithfully(world: PretendProcesses, dir: string) {
  const { spool, events, kill } = startSpool(world, { dir });
  const records = readAll(spool);
  for (const { id, body } of records) expect(decode(body)).toBe(`body of ${id}`);
  return { ids: records.map(({ id }) => id), records, events, spool, kill };
}

test("a record torn at any byte is skipped and counted, and those before it come back", () => {
  const world = new PretendProcesses();
  const { ends } = leavings(world, 3);
  const [, second = 0, third = 0] = ends;
  for (let cut = second + 1; cut < third; cut++) {
    const { dir, segment } = leavings(world, 3);
    truncateSync(segment, cut);
    const { ids, events, records, spool } = readFaithfully(world, dir);
    expect(ids).toEqual(["id-0", "id-1"]);
    expect(events.filter(({ type }) => type !== "adopted")).toEqual([{ type: "torn", bytes: cut - second }]);
    for (const { ref } of records) spool.acknowledge(ref);
    spool.close();
    expect(readdirSync(dir)).toEqual([]);
  }
});

test("a bit flipped anywhere costs that one trace, which is set aside whole", () => {
  const world = new PretendProcesses();
  const { ends } = leavings(world, 3);
  const [first = 0, second = 0] = ends;
  for (let at = first; at < second; at++) {
    const { dir, segment } = leavings(world, 3);
    const bytes = readFileSync(segment);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << (at % 8));
    writeFileSync(segment, bytes);
    const { ids, events } = readFaithfully(world, dir);
    expect(ids).toEqual(["id-0", "id-2"]);
    expect(events).toContainEqual(expect.objectContaining({ type: "set-aside", bytes: second - first }));
    expect(badFiles(dir)).toEqual([bytes.subarray(first, second)]);
  }
});

test("a bit flipped in the last record hides no other", () => {
  const world = new PretendProcesses();
  const { ends } = leavings(world, 2);
  const [first = 0, second = 0] = ends;
  for (let at = first; at < second; at++) {
    const { dir, segment } = leavings(world, 2);
    const bytes = readFileSync(segment);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << (at % 8));
    writeFileSync(segment, bytes);
    const { ids, events } = readFaithfully(world, dir);
    expect(ids).toEqual(["id-0"]);
    expect(events.filter(({ type }) => type === "torn" || type === "set-aside").length).toBe(1);
  }
});

test("a record of an unknown version is set aside, not deleted, and blocks nothing", () => {
  const world = new PretendProcesses();
  const { dir, segment, ends } = leavings(world, 3);
  const [first = 0, second = 0] = ends;
  const bytes = readFileSync(segment);
  bytes[first + 4] = 2;
  writeFileSync(segment, bytes);
  const { ids, events } = readFaithfully(world, dir);
  expect(ids).toEqual(["id-0", "id-2"]);
  expect(events).toContainEqual(expect.objectContaining({ type: "set-aside", reason: "version" }));
  expect(badFiles(dir)).toEqual([bytes.subarray(first, second)]);
});

test("a directory of an unknown version is left for those who know it", () => {
  const world = new PretendProcesses();
  const { dir } = leavings(world, 1);
  mkdirSync(join(dir, "v2-of-the-future"));
  writeFileSync(join(dir, "v2-of-the-future", "00000001.seg"), "who knows");
  expect(readFaithfully(world, dir).ids).toEqual(["id-0"]);
  expect(readFileSync(join(dir, "v2-of-the-future", "00000001.seg"), "utf8")).toBe("who knows");
});

test("zeros at the end, as power loss leaves them, block nothing", () => {
  const world = new PretendProcesses();
  const { dir, segment } = leavings(world, 2);
  appendFileSync(segment, Buffer.alloc(5000));
  expect(readFaithfully(world, dir).ids).toEqual(["id-0", "id-1"]);
});

test("finds the next record behind megabytes of rubbish", () => {
  const world = new PretendProcesses();
  const { dir, segment } = leavings(world, 2);
  const good = readFileSync(segment);
  const rubbish = Buffer.alloc(1_500_001, Buffer.from([0x9e, 0x54, 0x4c, 0xb1, 1, 0, 3, 0]));
  writeFileSync(segment, Buffer.concat([rubbish, good]));
  expect(readFaithfully(world, dir).ids).toEqual(["id-0", "id-1"]);
});

test("a file that is not the spool's is moved out of the way", () => {
  const world = new PretendProcesses();
  const { dir, home } = leavings(world, 1);
  writeFileSync(join(home, "notes.txt"), "mine");
  expect(readFaithfully(world, dir).ids).toEqual(["id-0"]);
  expect(badFiles(dir).map(String)).toEqual(["mine"]);
});

test("a torn or damaged acknowledgement only means that its trace comes again", () => {
  const world = new PretendProcesses();
  for (const damage of [
    (path: string) => truncateSync(path, 13),
    (path: string) => {
      const bytes = readFileSync(path);
      bytes[9] = (bytes[9] ?? 0) ^ 4;
      writeFileSync(path, bytes);
    },
  ]) {
    const { dir } = leavings(world, 3);
    const first = readFaithfully(world, dir);
    for (const { ref } of first.records.slice(0, 2)) first.spool.acknowledge(ref);
    first.kill();
    const acks = readdirSync(dir, { recursive: true })
      .map(String)
      .filter((name) => name.endsWith(".ack"));
    damage(join(dir, acks[0] ?? ""));
    const second = readFaithfully(world, dir);
    expect(second.ids).toEqual(["id-1", "id-2"]);
    for (const { ref } of second.records.slice(0, 1)) second.spool.acknowledge(ref);
    second.kill();
    expect(readFaithfully(world, dir).ids).toEqual(["id-2"]);
  }
});

test("acknowledgements without their segment are cleared away", () => {
  const world = new PretendProcesses();
  const { dir, home } = leavings(world, 1);
  writeFileSync(join(home, "00000009.ack"), Buffer.alloc(8));
  const { spool, records } = readFaithfully(world, dir);
  for (const { ref } of records) spool.acknowledge(ref);
  spool.close();
  expect(readdirSync(dir)).toEqual([]);
});
