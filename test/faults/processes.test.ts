/** Processes that are killed, stopped, or many: what `logTrace` had returned for arrives. */
import { expect, test } from "vitest";
import { openSpool } from "../../src/delivery/spool/spool.ts";
import { TraceLogger } from "../../src/index.ts";
import { temporaryFolder } from "../delivery/spool/support.ts";
import { eventually, scriptedEndpoint } from "../support.ts";
import { deliverTheRest, expectNoneMissing, idsOf, isLong, Program, SLOW_MS, storedIn } from "./support.ts";

test("kill -9 at random moments: 0 lost of what logTrace had returned for; again only what was in flight", async () => {
  await using endpoint = await scriptedEndpoint();
  const dir = temporaryFolder();
  const programs: Program[] = [];
  const rounds = isLong ? 200 : 40;
  for (let round = 0; round < rounds; round++) {
    const bytes = [100, 5_000, 100_000][round % 3] ?? 0;
    const program = new Program("logs", { endpoint: endpoint.url, dir, name: `r${round}`, traces: 1e6, bytes });
    programs.push(program);
    const lines = 1 + Math.floor(Math.random() * 300);
    await eventually(() => expect(program.lines.length).toBeGreaterThanOrEqual(lines), SLOW_MS);
    await program.kill();
  }
  await deliverTheRest(endpoint, dir);
  expectNoneMissing(idsOf(programs), storedIn(endpoint));
  const duplicates = endpoint.stored.length - new Set(storedIn(endpoint)).size;
  console.log(`kill -9: ${rounds} rounds, ${idsOf(programs).length} logged, 0 lost, ${duplicates} delivered twice`);
  expect(duplicates).toBeLessThanOrEqual(rounds * 10); // maxConcurrency in flight at each kill
});

test("six processes on one root, two of them killed: everything arrives", async () => {
  await using endpoint = await scriptedEndpoint();
  const dir = temporaryFolder();
  const programs = Array.from(
    { length: 6 },
    (_, i) => new Program("logs", { endpoint: endpoint.url, dir, name: `p${i}`, traces: 300, bytes: 500 }),
  );
  for (const victim of programs.slice(0, 2)) {
    await eventually(() => expect(victim.lines.length).toBeGreaterThan(50), SLOW_MS);
    await victim.kill();
  }
  for (const { ended } of programs.slice(2)) expect(await ended).toEqual([0, null]);
  await deliverTheRest(endpoint, dir);
  expectNoneMissing(idsOf(programs), storedIn(endpoint));
});

test("a stopped process whose directory was adopted: it goes on when it wakes, and nothing is lost", async () => {
  await using endpoint = await scriptedEndpoint();
  const dir = temporaryFolder();
  const spool = { staleAfterMs: 600 };
  const stopped = new Program("logs", {
    endpoint: "http://127.0.0.1:9/", // nobody listens: everything waits
    dir,
    name: "s",
    traces: 150,
    bytes: 200,
    spool,
    options: { handleSignals: false },
  });
  await eventually(() => expect(stopped.lines.length).toBeGreaterThan(120), SLOW_MS);
  stopped.process.kill("SIGSTOP");
  const accepted = idsOf([stopped]);
  const logger = new TraceLogger({
    endpoint: endpoint.url,
    batch: { maxWaitMs: 1 },
    spool: { dir, open: openSpool, ...spool },
  });
  await eventually(() => expectNoneMissing(accepted, storedIn(endpoint)), SLOW_MS);
  stopped.process.kill("SIGCONT");
  await eventually(() => expect(stopped.lines).toContain("# directory-lost"), SLOW_MS);
  expect(stopped.lines.filter((line) => line.startsWith("! "))).toEqual([]); // it reports none of them lost
  await stopped.kill();
  await logger.close();
  await deliverTheRest(endpoint, dir);
  expectNoneMissing(idsOf([stopped]), storedIn(endpoint));
});
