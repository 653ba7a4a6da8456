/** The wall clock jumps by a day, or ten: nothing is held up, sent too early or given up for it. */
import { readdirSync } from "node:fs";
import { describe, expect, test, vi } from "vitest";
import { nodeFs, type SpoolFs } from "../../src/delivery/spool/file-system.ts";
import { openSpool } from "../../src/delivery/spool/spool.ts";
import { temporaryFolder } from "../delivery/spool/support.ts";
import { eventually, expectBalance, type Reply, replies, scriptedEndpoint } from "../support.ts";
import { observed, storedIn } from "./support.ts";

const DAY_MS = 24 * 3_600_000;

/** The wall clock, which jumps when told to; the monotonic one goes on. */
function jumpingClock() {
  const real = Date.now;
  let ahead = 0;
  vi.spyOn(Date, "now").mockImplementation(() => real() + ahead);
  return {
    jump: (ms: number): void => {
      ahead += ms;
    },
  };
}

/** A file system on that clock: the kernel would stamp a directory whose entries change with it. */
function fsOnClock(): SpoolFs {
  const stamp = (path: string): void => nodeFs.touch(path.slice(0, path.lastIndexOf("/")), Date.now());
  return {
    ...nodeFs,
    open(path, mode) {
      const fd = nodeFs.open(path, mode);
      if (mode !== "read") stamp(path);
      return fd;
    },
    rename(from, to) {
      nodeFs.rename(from, to);
      for (const path of [from, to]) stamp(path);
    },
    remove(path) {
      nodeFs.remove(path);
      stamp(path);
    },
  };
}

const clockSpool = (dir: string) => ({
  dir,
  staleAfterMs: 60_000,
  maxAgeMs: 7 * DAY_MS,
  open: (...[options, { onEvent } = {}]: Parameters<typeof openSpool>) =>
    openSpool(options, { now: () => Date.now(), io: fsOnClock(), ...(onEvent ? { onEvent } : {}) }),
});

describe.each([
  ["forwards", DAY_MS],
  ["back", -DAY_MS],
])("the clock jumps a day %s", (_name, jumpMs) => {
  test.each<[string, Reply]>([
    ["503", replies.unavailable],
    ["Retry-After", { ...replies.unavailable, headers: { "retry-after": "1" } }],
    ["a wrong key", replies.wrongKey],
  ])(
    "while the gate is closed by %s: it opens in its own time, and nothing has become too old",
    async (_name, reply) => {
      const clock = jumpingClock();
      await using endpoint = await scriptedEndpoint(() => reply);
      const options = { endpoint: endpoint.url, maxAgeMs: DAY_MS / 2, onEvent: () => {} };
      const { logger, log, expectTruth } = observed(options);
      for (let i = 0; i < 10; i++) log();
      await eventually(() => expect(logger.stats.gate).not.toBe("open"));
      clock.jump(jumpMs);
      for (let i = 0; i < 10; i++) log();
      endpoint.reply = () => undefined;
      expect(await logger.flush()).toMatchObject({ delivered: 20, pending: 0, lost: 0 });
      expectTruth(storedIn(endpoint));
    },
  );

  test("a Retry-After that names a time: waited for as long as it was, when the answer came", async () => {
    const clock = jumpingClock();
    await using endpoint = await scriptedEndpoint(() => ({
      ...replies.tooMany,
      headers: { "retry-after": new Date(Date.now() + 2_000).toUTCString() },
    }));
    const { logger, log, expectTruth } = observed({ endpoint: endpoint.url });
    log();
    await eventually(() => expect(logger.stats.gate).toBe("backing_off"));
    clock.jump(jumpMs);
    endpoint.reply = () => undefined;
    expect(await logger.flush()).toMatchObject({ delivered: 1, pending: 0 });
    expectTruth(storedIn(endpoint));
  });

  test("with two loggers on one spool: neither takes the other for dead, and all arrives", async () => {
    const clock = jumpingClock();
    await using endpoint = await scriptedEndpoint(() => replies.unavailable);
    const dir = temporaryFolder();
    const events: string[] = [];
    const loggers = [0, 1].map(() =>
      observed({
        endpoint: endpoint.url,
        queue: { maxTraces: 5 },
        spool: clockSpool(dir),
        onEvent: (event) => event.type === "spool" && events.push(event.event.type),
      }),
    );
    const logAll = () => {
      for (const { log } of loggers) for (let i = 0; i < 10; i++) log();
    };
    logAll();
    clock.jump(jumpMs);
    logAll();
    expect(readdirSync(dir)).toHaveLength(2);
    endpoint.reply = () => undefined;
    for (const { logger } of loggers) {
      await eventually(async () => {
        await logger.flush();
        expect(logger.stats).toMatchObject({ accepted: 20, delivered: 20, pending: 0 });
      });
      expectBalance(logger.stats);
    }
    expect(events).toEqual([]);
  });

  test("traces on disk are not given up", async () => {
    const clock = jumpingClock();
    await using endpoint = await scriptedEndpoint(() => replies.unavailable);
    const { logger, log } = observed({
      endpoint: endpoint.url,
      queue: { maxTraces: 5 },
      spool: clockSpool(temporaryFolder()),
    });
    for (let i = 0; i < 20; i++) log();
    clock.jump(jumpMs);
    endpoint.reply = () => undefined;
    await eventually(async () => {
      await logger.flush();
      expect(logger.stats).toMatchObject({ delivered: 20, pending: 0 });
    });
  });
});

test("traces that stand only on disk are given up by age, by name: eight days forwards", async () => {
  const clock = jumpingClock();
  await using endpoint = await scriptedEndpoint(() => replies.unavailable);
  const { logger, log, receipts } = observed({
    endpoint: endpoint.url,
    queue: { maxTraces: 5 },
    spool: clockSpool(temporaryFolder()),
  });
  for (let i = 0; i < 20; i++) log();
  clock.jump(8 * DAY_MS);
  for (let i = 0; i < 5; i++) log();
  endpoint.reply = () => undefined;
  await eventually(async () => {
    await logger.flush();
    // Those in memory are sent whatever the clock says; those on disk from before the jump are too old.
    expect(logger.stats).toMatchObject({ delivered: 10, pending: 0, lost: { expired: 15 } });
  });
  expect(receipts.size).toBe(25);
  expectBalance(logger.stats);
});
