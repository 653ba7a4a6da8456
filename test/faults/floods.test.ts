/** More traces than the endpoint takes: memory is bounded at every moment, and what finds no room is counted exactly. */
import { describe, expect, test } from "vitest";
import { openSpool } from "../../src/delivery/spool/spool.ts";
import type { LossReason, TraceLoggerOptions } from "../../src/index.ts";
import { temporaryFolder } from "../delivery/spool/support.ts";
import { eventually, expectBalance, scriptedEndpoint } from "../support.ts";
import { isLong, observed, storedIn } from "./support.ts";

const FLOOD = isLong ? 50_000 : 5_000;
const QUEUE = { maxTraces: 200, maxBytes: 60_000 };
const ids = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `trace-${from + i}`);

/** A burst into an endpoint that hangs until all of it was logged. */
async function flood(queue: TraceLoggerOptions["queue"], more: TraceLoggerOptions = {}) {
  const endpoint = await scriptedEndpoint(() => "hang");
  const told = new Map<LossReason, number>();
  const watched = observed({
    endpoint: endpoint.url,
    timeoutMs: 1_000,
    queue: { ...QUEUE, ...queue },
    onLoss: ({ reason }) => told.set(reason, (told.get(reason) ?? 0) + 1),
    ...more,
  });
  const { logger, log } = watched;
  for (let i = 0; i < FLOOD; i++) {
    log();
    if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(logger.stats.inQueue).toBeLessThanOrEqual(QUEUE.maxTraces);
    expect(logger.stats.pendingBytes).toBeLessThanOrEqual(QUEUE.maxBytes);
  }
  expectBalance(logger.stats);
  endpoint.reply = () => undefined;
  const finish = async (): Promise<string[]> => {
    await eventually(async () => {
      await logger.flush();
      expect(logger.stats.pending).toBe(0);
    }, 120_000);
    expectBalance(logger.stats);
    expect(Object.fromEntries(told)).toEqual(
      Object.fromEntries(Object.entries(logger.stats.lost).filter(([, count]) => count > 0)),
    );
    await endpoint[Symbol.asyncDispose]();
    return [...new Set(storedIn(endpoint))];
  };
  return { ...watched, finish };
}

describe("a flood", () => {
  test("reject-newest: the first ones arrive, each later one is refused by name", async () => {
    const { logger, finish, expectTruth } = await flood({ overflow: "reject-newest" });
    const stored = await finish();
    expect(stored.sort()).toEqual(ids(0, logger.stats.delivered).sort());
    expect(logger.stats.lost.queue_full).toBe(FLOOD - stored.length);
    expectTruth(stored);
  });

  test("drop-oldest: the last ones arrive, and those that were under way", async () => {
    const { logger, finish, expectTruth } = await flood({ overflow: "drop-oldest" });
    const stored = await finish();
    const last = ids(FLOOD - QUEUE.maxTraces / 2, FLOOD);
    expect(last.filter((id) => !stored.includes(id))).toEqual([]);
    expect(logger.stats.lost.queue_full).toBe(FLOOD - stored.length);
    expectTruth(stored);
  });

  test("wait: all of them arrive", async () => {
    const { logger, finish, expectTruth } = await flood({ overflow: "wait" });
    expect(logger.stats).toMatchObject({ accepted: FLOOD, pending: FLOOD });
    const stored = await finish();
    expect(stored).toHaveLength(FLOOD);
    expectTruth(stored);
  });

  test("with a spool all of them arrive, whatever the policy: the disk comes first", async () => {
    const spool = { dir: temporaryFolder(), open: openSpool };
    const { logger, finish } = await flood({ overflow: "reject-newest" }, { spool });
    expect(logger.stats).toMatchObject({ accepted: FLOOD, pending: FLOOD });
    expect(logger.stats.spooled).toBeGreaterThan(FLOOD / 2);
    expect(await finish()).toHaveLength(FLOOD);
  });

  test.each(["reject-newest", "drop-oldest"] as const)(
    "with a spool that is full: memory and disk are used to the brim, then %s decides",
    async (overflow) => {
      const spool = { dir: temporaryFolder(), open: openSpool, maxBytes: 200_000 };
      const { logger, finish } = await flood({ overflow }, { spool });
      const { spooled, lost } = logger.stats;
      expect(spooled).toBeGreaterThan(100);
      expect(lost.queue_full).toBeGreaterThan(100);
      expect(await finish()).toHaveLength(FLOOD - logger.stats.lost.queue_full);
    },
  );

  test("a producer that waits for ready() loses nothing", async () => {
    await using endpoint = await scriptedEndpoint();
    const { logger, log, expectTruth } = observed({ endpoint: endpoint.url, queue: QUEUE });
    for (let i = 0; i < 3_000; i++) {
      await logger.ready();
      log();
    }
    expect(await logger.flush()).toMatchObject({ pending: 0, lost: 0 });
    expect(logger.stats.delivered).toBe(3_000);
    expectTruth(storedIn(endpoint));
  });
});
