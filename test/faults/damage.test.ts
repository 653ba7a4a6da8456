/** A spool that is torn, flipped, or of another version: the logger sends what was written, as it was written, and no more. */
import { mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openSpool } from "../../src/delivery/spool/spool.ts";
import { TraceLogger } from "../../src/index.ts";
import { PretendProcesses, startSpool, temporaryFolder } from "../delivery/spool/support.ts";
import { eventually, expectBalance, replies, said } from "../support.ts";
import { homeIn, isLong } from "./support.ts";

const TEXTS = ["first", "second: déjà vu", "third"];

/** What a killed process left: three traces in one segment. */
function leavings() {
  const [world, dir] = [new PretendProcesses(), temporaryFolder()];
  const { spool, kill } = startSpool(world, { dir });
  const ends = TEXTS.map((text, i) => {
    const id = `id-${i}`;
    const trace = said(text, { id, created: 1, object: "chat.trace", system_fingerprint: "f" });
    spool.append({ id, body: new TextEncoder().encode(JSON.stringify(trace)), acceptedAtMs: Date.now() });
    return spool.bytesOnDisk;
  });
  kill();
  return { world, dir, ends, segment: join(homeIn(dir), "00000001.seg") };
}

/** The next process's logger, until it has nothing left; what it sent. */
async function deliver({ world, dir }: ReturnType<typeof leavings>) {
  const sent: string[] = [];
  const logger = new TraceLogger({
    endpoint: "http://scripted.test/",
    batch: { maxWaitMs: 0 },
    onLoss: () => {},
    onEvent: () => {},
    fetch: async (input, init) => {
      const { messages } = JSON.parse(await new Request(input, init).text());
      sent.push(messages[0].content);
      const { status, body } = replies.stored("t");
      return new Response(body ?? null, { status });
    },
    spool: { dir, open: (options, deps) => openSpool(options, { ...deps, processes: world.start().processes }) },
  });
  await eventually(() => expect(logger.stats.accepted).toBeGreaterThan(0), 5_000).catch(() => {});
  await eventually(() => expect(logger.stats.pending).toBe(0));
  await logger.close();
  expectBalance(logger.stats);
  expect(logger.stats.delivered).toBe(sent.length);
  return { sent: sent.sort(), stats: logger.stats };
}

/** Every offset in the long run, else some of each part of a record: every part of it is hit. */
const step = isLong ? 1 : 3;

test("torn at any byte of the last record: the others arrive", async () => {
  const [, second = 0, third = 0] = leavings().ends;
  for (let cut = second + 1; cut < third; cut += step) {
    const left = leavings();
    truncateSync(left.segment, cut);
    expect((await deliver(left)).sent).toEqual(TEXTS.slice(0, 2));
  }
});

test("a bit flipped in any byte of a record: it is not sent in another form, and the others arrive", async () => {
  const [first = 0, second = 0] = leavings().ends;
  for (let at = first; at < second; at += step) {
    const left = leavings();
    const bytes = readFileSync(left.segment);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << (at % 8));
    writeFileSync(left.segment, bytes);
    const { sent, stats } = await deliver(left);
    expect(sent).toEqual(["first", "third"]);
    expect(stats).toMatchObject({ accepted: 2, delivered: 2 });
  }
});

test("a record and a directory of a later version stay for those who know them", async () => {
  const left = leavings();
  const [first = 0, second = 0] = left.ends;
  const bytes = readFileSync(left.segment);
  bytes[first + 4] = 2;
  writeFileSync(left.segment, bytes);
  const later = join(left.dir, "v2-of-the-future");
  mkdirSync(later);
  writeFileSync(join(later, "00000001.seg"), "who knows");
  expect((await deliver(left)).sent).toEqual(["first", "third"]);
  expect(readFileSync(join(later, "00000001.seg"), "utf8")).toBe("who knows");
  const kept = bytes.subarray(first, second);
  const bad = readdirSync(join(left.dir, "bad")).map((name) => readFileSync(join(left.dir, "bad", name)));
  expect(bad).toEqual([kept]);
});
