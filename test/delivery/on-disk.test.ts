/** The logger and its spool together: what stands on disk is counted, waited for and reported honestly. */
import { readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { openSpool, type Spool, type SpoolDeps } from "../../src/delivery/spool/spool.ts";
import { TraceLogger, type TraceLoggerOptions } from "../../src/index.ts";
import { deferTrace } from "../../src/sink.ts";
import { eventually, expectBalance, replies, said, scriptedEndpoint } from "../support.ts";
import { temporaryFolder } from "./spool/support.ts";

/** A logger whose memory holds two traces, so that the third stands only on disk. */
function small(endpoint: { url: string }, dir: string, more: TraceLoggerOptions & { deps?: Partial<SpoolDeps> } = {}) {
  const { deps, ...options } = more;
  const spools: Spool[] = [];
  const open = (...[settings, { onEvent } = {}]: Parameters<typeof openSpool>) => {
    const spool = openSpool(settings, { ...deps, ...(onEvent ? { onEvent } : {}) });
    spools.push(spool);
    return spool;
  };
  const logger = new TraceLogger({
    endpoint: endpoint.url,
    queue: { maxTraces: 2 },
    spool: { dir, open },
    onLoss: () => {},
    ...options,
  });
  onTestFinished(() => void logger.close({ timeoutMs: 0 }));
  return { logger, spools };
}

const homeIn = (dir: string) => join(dir, readdirSync(dir).find((name) => name.startsWith("v1-")) ?? "none");

test("traces that stand only on disk are delivered by a flush, though reading back finds nothing at first", async () => {
  await using endpoint = await scriptedEndpoint();
  const { logger, spools } = small(endpoint, temporaryFolder());
  for (let i = 0; i < 6; i++) void logger.logTrace(said(`t${i}`));
  expect(logger.stats).toMatchObject({ inQueue: 2, spooled: 4 });
  const [spool] = spools;
  const readBack = spool?.readBack.bind(spool);
  let calls = 0;
  if (spool && readBack) spool.readBack = (limits) => (++calls <= 5 ? [] : readBack(limits));
  expect(await logger.flush()).toMatchObject({ delivered: 6, pending: 0, spooled: 0, lost: 0 });
  expect(endpoint.stored).toHaveLength(6);
  expectBalance(logger.stats);
});

test("deliverRest delivers what waits only on disk", async () => {
  await using endpoint = await scriptedEndpoint();
  const { logger } = small(endpoint, temporaryFolder());
  for (let i = 0; i < 6; i++) void logger.logTrace(said(`t${i}`));
  await logger.deliverRest();
  expect(endpoint.stored).toHaveLength(6);
});

test("what a dead process left counts in a flush that begins after it was read", async () => {
  await using endpoint = await scriptedEndpoint(() => replies.unavailable);
  const dir = temporaryFolder();
  const first = small(endpoint, dir).logger;
  for (let i = 0; i < 2; i++) void first.logTrace(said(`t${i}`));
  await first.close({ timeoutMs: 0 });
  const { logger } = small(endpoint, dir);
  await eventually(() => expect(logger.stats.pending).toBeGreaterThan(0));
  endpoint.reply = () => undefined;
  const { delivered, pending } = await logger.flush();
  expect([delivered > 0, pending]).toEqual([true, 0]);
  await eventually(() => expect(endpoint.stored).toHaveLength(2));
  expectBalance(logger.stats);
});

test("another process took the directory over: handed over, not lost, and no flush waits for it", async () => {
  await using endpoint = await scriptedEndpoint(() => replies.unavailable);
  const dir = temporaryFolder();
  const { logger, spools } = small(endpoint, dir);
  for (let i = 0; i < 6; i++) void logger.logTrace(said(`t${i}`));
  const flushed = logger.flush({ timeoutMs: 20_000 });
  renameSync(homeIn(dir), join(temporaryFolder(), "taken"));
  spools[0]?.adopt(); // notices
  expectBalance(logger.stats);
  expect(logger.stats).toMatchObject({ accepted: 2, pending: 2, spooled: 0 });
  expect(logger.stats.lost.spool_lost).toBe(0);
  endpoint.reply = () => undefined;
  expect(await flushed).toMatchObject({ delivered: 2, spooled: 4, lost: 0, pending: 0 });
});

test("the directory was deleted: what stood only there is lost, what is in memory is written again", async () => {
  await using endpoint = await scriptedEndpoint(() => replies.unavailable);
  const dir = temporaryFolder();
  const { logger, spools } = small(endpoint, dir);
  const receipts = Array.from({ length: 6 }, (_, i) => logger.logTrace(said(`t${i}`)));
  rmSync(homeIn(dir), { recursive: true });
  spools[0]?.adopt();
  expect(logger.stats).toMatchObject({ accepted: 6, pending: 2, lost: { spool_lost: 4 } });
  const report = await logger.close({ timeoutMs: 0 });
  expect(report).toMatchObject({ spooled: 2, pending: 0, lost: 0 });
  expect((await Promise.all(receipts)).map(({ status }) => status)).toEqual(Array(6).fill("spooled"));
  endpoint.reply = () => undefined;
  small(endpoint, dir);
  await eventually(() => expect(endpoint.stored).toHaveLength(2));
});

test("many lost at once are told one by one", async () => {
  await using endpoint = await scriptedEndpoint(() => replies.unavailable);
  const dir = temporaryFolder();
  let told = 0;
  const { logger, spools } = small(endpoint, dir, { onLoss: () => told++ });
  for (let i = 0; i < 20_002; i++) void logger.logTrace(said(`t${i}`));
  rmSync(homeIn(dir), { recursive: true });
  spools[0]?.adopt();
  expect(told).toBe(20_000);
  expectBalance(logger.stats);
});

test("what the disk could not take at first is written once it can, at the latest at the end", async () => {
  await using endpoint = await scriptedEndpoint(() => replies.unavailable);
  const dir = join(temporaryFolder(), "spool");
  writeFileSync(dir, "in the folder's place");
  let nowMs = 0;
  const { logger } = small(endpoint, dir, { deps: { monotonicMs: () => nowMs } });
  const kept = logger.logTrace(said("in memory for now"));
  expect(logger.stats).toMatchObject({ inQueue: 1, pending: 1 });
  rmSync(dir);
  nowMs += 2_000;
  expect(await logger.close({ timeoutMs: 0 })).toMatchObject({ spooled: 1, lost: 0 });
  expect(await kept).toMatchObject({ status: "spooled" });
});

test("at the end of the process, calls that were not yet turned into traces are written to disk, too", async () => {
  await using endpoint = await scriptedEndpoint();
  const waits: unknown[] = [];
  const { logger } = small(endpoint, temporaryFolder(), { waitUntil: (promise) => waits.push(promise) });
  logger[deferTrace](() => void logger.logTrace(said("captured")));
  expect(waits).toHaveLength(1);
  logger.leave();
  expect(logger.stats).toMatchObject({ accepted: 1, lost: { exit: 0 } });
});

test("close leaves no listener, and releases those who wait for room or for idleness", async () => {
  await using endpoint = await scriptedEndpoint(() => replies.unavailable);
  const before = process.listenerCount("exit");
  const waits: Promise<unknown>[] = [];
  const { logger } = small(endpoint, temporaryFolder(), { waitUntil: (promise) => waits.push(promise) });
  for (let i = 0; i < 6; i++) void logger.logTrace(said(`t${i}`));
  const ready = logger.ready();
  await logger.close({ timeoutMs: 0 });
  await Promise.all([ready, ...waits]);
  expect(waits).toHaveLength(1);
  expect(process.listenerCount("exit")).toBeLessThanOrEqual(before);
  expectBalance(logger.stats);
});

test("a record that is no trace is reported lost, once, and holds up nobody", async () => {
  await using endpoint = await scriptedEndpoint();
  const dir = temporaryFolder();
  const stranger = openSpool({ dir });
  stranger.append({ id: "stranger", body: new TextEncoder().encode("no JSON"), acceptedAtMs: Date.now() });
  stranger.close();
  const { logger } = small(endpoint, dir);
  void logger.logTrace(said("a trace"));
  await eventually(() => expect(logger.stats).toMatchObject({ delivered: 1, lost: { spool_lost: 1 }, pending: 0 }));
  expectBalance(logger.stats);
});
