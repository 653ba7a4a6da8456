/** Disks that are full, forbidden, taken away or no disks at all: the logger keeps what it can, and says what it could not. */
import { chmodSync, chownSync, existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openSpool, type SpoolEvent } from "../../src/delivery/spool/spool.ts";
import type { TraceLogger, TraceLoggerOptions } from "../../src/index.ts";
import { temporaryFolder } from "../delivery/spool/support.ts";
import { eventually, expectBalance, replies, scriptedEndpoint } from "../support.ts";
import {
  deliverTheRest,
  expectNoneMissing,
  homeIn,
  idsOf,
  mountSmallDisk,
  observed,
  Program,
  SLOW_MS,
  storedIn,
} from "./support.ts";

const KIB = "x".repeat(1024);
const NOBODY = 65_534;
const isRoot = process.getuid?.() === 0;

/** A logger with a spool, whose events are kept. */
function onDisk(endpoint: { url: string }, dir: string, options: TraceLoggerOptions = {}) {
  const events: SpoolEvent["type"][] = [];
  const logger = observed({
    endpoint: endpoint.url,
    spool: { dir, open: openSpool, retryAfterMs: 20 },
    onEvent: (event) => event.type === "spool" && events.push(event.event.type),
    ...options,
  });
  return { ...logger, events };
}

describe("a full disk", () => {
  test("what fits is kept, the rest is refused by name, and deliveries make room that is used again", async ({
    skip,
  }) => {
    const disk = mountSmallDisk();
    if (disk === undefined) return skip("needs the right to mount a tmpfs");
    await using endpoint = await scriptedEndpoint(() => replies.unavailable);
    const dir = join(disk, "spool");
    const { logger, log, receipts, events } = onDisk(endpoint, dir, { queue: { maxTraces: 50 } });
    for (let i = 0; i < 1_500; i++) log(KIB);
    expectBalance(logger.stats);
    const { pending, spooled, lost } = logger.stats;
    expect(events).toEqual(["degraded"]);
    expect(pending).toBeGreaterThan(600);
    expect(spooled).toBe(pending - 50);
    expect(lost.queue_full).toBe(1_500 - pending);
    endpoint.reply = () => undefined;
    await eventually(async () => {
      await logger.flush();
      expect(logger.stats.pending).toBe(0);
    }, SLOW_MS);
    expect(storedIn(endpoint)).toHaveLength(pending);
    for (let i = 0; i < 200; i++) log(KIB);
    expect(logger.stats.spooled).toBe(150);
    expect(events).toEqual(["degraded", "recovered"]);
    await eventually(async () => {
      await logger.flush();
      expect(logger.stats.delivered).toBe(pending + 200);
    }, SLOW_MS);
    const handedOut = [...receipts].filter(([, { status }]) => status === "spooled").map(([id]) => id);
    expectNoneMissing(handedOut, storedIn(endpoint));
    expectBalance(logger.stats);
    expect(logger.stats.lost).toMatchObject({ queue_full: 1_500 - pending, spool_lost: 0 });
  });

  test("a process killed on it: what logTrace returned for while the disk took it arrives", async ({ skip }) => {
    const disk = mountSmallDisk();
    if (disk === undefined) return skip("needs the right to mount a tmpfs");
    await using endpoint = await scriptedEndpoint();
    const dir = join(disk, "spool");
    const plan = { endpoint: "http://127.0.0.1:9/", dir, name: "full", traces: 5_000, bytes: 1_000 };
    const program = new Program("logs", plan);
    await eventually(() => expect(program.lines).toContain("."), SLOW_MS);
    await program.kill();
    const until = program.lines.indexOf("# degraded");
    expect(until).toBeGreaterThan(500);
    await deliverTheRest(endpoint, dir);
    expectNoneMissing(
      program.lines.slice(0, until).filter((line) => line.startsWith("full-")),
      storedIn(endpoint),
    );
  });
});

describe("a folder that cannot be used", () => {
  test("below one that exists and answers 'not found' to every child, as /proc does", async ({ skip }) => {
    if (!existsSync("/proc/self")) return skip("needs /proc");
    await using endpoint = await scriptedEndpoint();
    const program = new Program("logs", {
      endpoint: endpoint.url,
      dir: "/proc/none/spool",
      name: "proc",
      traces: 50,
      bytes: 100,
    });
    await eventually(() => expect(program.lines).toContain("."), SLOW_MS);
    expect(await program.ended).toEqual([0, null]);
    expect(program.lines).toContain("# degraded");
    expectNoneMissing(idsOf([program]), storedIn(endpoint));
  });

  test("that this user may not write: everything is delivered from memory", async ({ skip }) => {
    if (!isRoot) return skip("needs root, to run as somebody else");
    await using endpoint = await scriptedEndpoint();
    const dir = temporaryFolder();
    chmodSync(dir, 0o755);
    const plan = { endpoint: endpoint.url, dir: join(dir, "spool"), name: "eacces", traces: 50, bytes: 100 };
    const program = new Program("logs", plan, { uid: NOBODY });
    expect(await program.ended).toEqual([0, null]);
    expect(program.lines).toContain("# degraded");
    expectNoneMissing(idsOf([program]), storedIn(endpoint));
  });

  test("rights that are taken away and given back: whatever was in memory then is on disk again afterwards", async ({
    skip,
  }) => {
    if (!isRoot) return skip("needs root, to run as somebody else");
    await using endpoint = await scriptedEndpoint();
    const dir = temporaryFolder();
    chownSync(dir, NOBODY, NOBODY);
    const plan = { endpoint: "http://127.0.0.1:9/", dir, name: "rights", traces: 1e6, bytes: 100 };
    const options = { queue: { maxTraces: 1e6 } };
    const program = new Program("logs", { ...plan, options, spool: { retryAfterMs: 50 } }, { uid: NOBODY });
    await eventually(() => expect(program.lines.length).toBeGreaterThan(50), SLOW_MS);
    chmodSync(dir, 0);
    await eventually(() => expect(program.lines).toContain("# degraded"), SLOW_MS);
    chmodSync(dir, 0o700);
    const recovered = () => program.lines.indexOf("# recovered");
    await eventually(() => expect(recovered()).toBeGreaterThan(0), SLOW_MS);
    await eventually(() => expect(program.lines.length).toBeGreaterThan(recovered() + 20), SLOW_MS);
    await program.kill();
    await deliverTheRest(endpoint, dir);
    expectNoneMissing(idsOf([program]), storedIn(endpoint));
  });
});

describe("the folder is deleted under a logger", () => {
  test("that goes on: what stood only there is lost by name, all else arrives", async () => {
    await using endpoint = await scriptedEndpoint(() => replies.unavailable);
    const dir = temporaryFolder();
    const { logger, log, events } = onDisk(endpoint, dir, { queue: { maxTraces: 10 } });
    for (let i = 0; i < 30; i++) log();
    rmSync(dir, { recursive: true });
    for (let i = 0; i < 30; i++) log();
    expect(events).toEqual(["directory-lost"]);
    expect(logger.stats).toMatchObject({ accepted: 60, pending: 40, spooled: 30, lost: { spool_lost: 20 } });
    endpoint.reply = () => undefined;
    await eventually(async () => {
      await logger.flush();
      expect(logger.stats.pending).toBe(0);
    });
    expect(new Set(storedIn(endpoint)).size).toBe(40);
    expectBalance(logger.stats);
  });

  test("right before it closes: it writes again what it has in memory, and tells the truth about the rest", async () => {
    await using endpoint = await scriptedEndpoint(() => replies.unavailable);
    const dir = temporaryFolder();
    const { logger, log, receipts } = onDisk(endpoint, dir, { queue: { maxTraces: 10 } });
    for (let i = 0; i < 30; i++) log();
    rmSync(dir, { recursive: true });
    const report = await logger.close({ timeoutMs: 0 });
    expect(report).toMatchObject({ delivered: 0, pending: 0, spooled: 10, lost: 20 });
    expect(logger.stats).toMatchObject({ spooled: 10, lost: { spool_lost: 20 } });
    expect([...receipts.values()].map(({ status }) => status)).toEqual(Array(30).fill("spooled"));
    expectBalance(logger.stats);
    endpoint.reply = () => undefined;
    await deliverTheRest(endpoint, dir);
    expect(storedIn(endpoint).sort()).toEqual(Array.from({ length: 10 }, (_, i) => `trace-${i}`));
  });

  test.each([
    ["close", (logger: TraceLogger) => logger.close({ timeoutMs: 0 })],
    ["the end of the process", (logger: TraceLogger) => logger.leave()],
  ])("right before %s, with everything in memory: all of it is written again", async (_name, end) => {
    await using endpoint = await scriptedEndpoint(() => replies.unavailable);
    const dir = temporaryFolder();
    const { logger, log } = onDisk(endpoint, dir);
    for (let i = 0; i < 30; i++) log();
    rmSync(dir, { recursive: true });
    await end(logger);
    expect(logger.stats).toMatchObject({ pending: 30, spooled: 30 });
    endpoint.reply = () => undefined;
    await deliverTheRest(endpoint, dir);
    expect(storedIn(endpoint)).toHaveLength(30);
  });

  test("while it only waits: a flush does not call safe what is gone", async () => {
    await using endpoint = await scriptedEndpoint(() => replies.unavailable);
    const dir = temporaryFolder();
    const { logger, log } = onDisk(endpoint, dir, { queue: { maxTraces: 10 } });
    for (let i = 0; i < 30; i++) log();
    const flushed = logger.flush({ timeoutMs: 300 });
    rmSync(homeIn(dir), { recursive: true });
    expect(await flushed).toMatchObject({ delivered: 0, lost: 20, spooled: 10, pending: 0 });
    expectBalance(logger.stats);
  });
});
