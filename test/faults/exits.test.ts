/** However a process ends: it ends as it would without us, and with a spool nothing that was logged is lost. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";
import { temporaryFolder } from "../delivery/spool/support.ts";
import { eventually, type Reply, replies, type ScriptedEndpoint, scriptedEndpoint } from "../support.ts";
import type { EndsPlan } from "./programs/ends.ts";
import { deliverTheRest, expectNoneMissing, isLong, SLOW_MS, storedIn } from "./support.ts";

const PROGRAM = fileURLToPath(new URL("programs/ends.ts", import.meta.url));

type Way = EndsPlan["way"];
type Signal = "SIGTERM" | "SIGINT" | "SIGHUP" | "SIGKILL";

interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the program to its end, in a container of this command or in none; sends it the signals once it is ready. */
async function run(plan: EndsPlan, signals: readonly Signal[] = [], container: readonly string[] = []): Promise<Ended> {
  const { NODE_OPTIONS: _, ...env } = process.env;
  const [command = "", ...args] = [...container, process.execPath, PROGRAM, JSON.stringify(plan)];
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], env });
  onTestFinished(() => void child.kill("SIGKILL"));
  const printed = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text) => {
      printed[name] += text;
    });
  }
  const ended = once(child, "close");
  if (signals.length > 0) await eventually(() => expect(printed.stdout).toContain("ready\n"), SLOW_MS);
  for (const signal of signals) child.kill(signal);
  const [code, signal] = await ended;
  return { code, signal, ...printed };
}

/** The same program without us, with a logger in memory, and with a spool. */
async function runAll(
  endpoint: ScriptedEndpoint,
  how: { readonly way: Way; readonly signals?: readonly Signal[]; readonly options?: object },
) {
  const dir = temporaryFolder();
  const { way, signals, options = {} } = how;
  const [bare, memory, spool] = await Promise.all(
    (["none", "memory", "spool"] as const).map((logger) =>
      run({ way, name: "t", endpoint: `${endpoint.url}/${logger}`, logger, dir, options }, signals),
    ),
  );
  if (!bare || !memory || !spool) throw new Error("Three runs have three ends.");
  return { bare, memory, spool, dir };
}

/** Makes its program process 1 of a PID namespace, as a container does; not every user may. */
const UNSHARE = ["unshare", "--pid", "--fork", "--kill-child"];
const canUnshare = spawnSync("unshare", [...UNSHARE.slice(1), "true"]).status === 0;

const idsIn = ({ stdout }: Ended): string[] => stdout.split("\n").filter((line) => /^t-\d+$/.test(line));

const CLOSED = /^\[tracelogger\] a trace was lost \(closed\).*\n$/;

const lostLine = (count: number) => `[tracelogger] the process ended with ${count} undelivered traces in memory.\n`;

/** Answers as `reply` says, and keeps what the process with and the one without a spool sent apart. */
async function observedEndpoint(reply: () => Reply | undefined) {
  const endpoint = await scriptedEndpoint(reply);
  onTestFinished(() => endpoint[Symbol.asyncDispose]());
  const storedBy = (logger: EndsPlan["logger"]) =>
    endpoint.requests.filter(({ url }) => url?.endsWith(logger)).map(({ trace }) => trace.id);
  return { endpoint, storedBy };
}

describe("an end that leaves time delivers everything, and is what it would be without us", () => {
  test.each<[Way]>([
    ["the end"],
    ["the end with an exit code"],
    ["an exit code from an exit listener"],
    ["process.exit in an exit listener"],
    ["more traces in beforeExit"],
    ["an unhandled rejection that the host handles"],
    ["an await that never ends"],
    ["a worker: the end"],
  ])("%s", async (way) => {
    const { endpoint, storedBy } = await observedEndpoint(() => undefined);
    const { bare, memory, spool } = await runAll(endpoint, { way });
    expect(memory).toEqual(bare);
    expect(spool).toEqual(bare);
    expect(idsIn(bare).length).toBeGreaterThanOrEqual(20);
    expect(new Set(storedBy("memory"))).toEqual(new Set(idsIn(bare)));
    expect(new Set(storedBy("spool"))).toEqual(new Set(idsIn(bare)));
  });
});

describe("a sudden end is what it would be without us; memory says what it lost, a spool loses nothing", () => {
  test.each<[Way]>([
    ["process.exit"],
    ["process.exit in a timer"],
    ["process.exit in beforeExit"],
    ["an uncaught exception"],
    ["an uncaught exception in a timer"],
    ["an uncaught exception that the host handles"],
    ["an unhandled rejection"],
    ["a worker: process.exit"],
    ["a worker: an uncaught exception"],
  ])("%s", async (way) => {
    const { endpoint } = await observedEndpoint(() => replies.unavailable);
    const { bare, memory, spool, dir } = await runAll(endpoint, { way });
    const count = idsIn(bare).length;
    expect(count).toBeGreaterThanOrEqual(20);
    expect(spool).toEqual(bare);
    expect(memory).toEqual({ ...bare, stderr: expect.stringContaining(lostLine(count)) });
    expect(memory.stderr.replace(lostLine(count), "")).toBe(bare.stderr);
    endpoint.reply = () => undefined;
    await deliverTheRest(endpoint, dir);
    expectNoneMissing(idsIn(spool), storedIn(endpoint));
  });

  // Nothing of ours runs any more in these: only what is on disk is left.
  test.each<[Way, Signal[]]>([
    ["a signal of its own", []],
    ["waits", ["SIGTERM"]],
    ["waits", ["SIGINT"]],
    ["waits", ["SIGHUP"]],
    ["waits", ["SIGKILL"]],
    ["a worker: waits", []],
    ["the main thread ends a worker: waits", []],
  ])("%s %j", async (way, signals) => {
    const { endpoint } = await observedEndpoint(() => replies.unavailable);
    const { bare, memory, spool, dir } = await runAll(endpoint, { way, signals });
    expect(memory).toEqual(bare);
    expect(spool).toEqual(bare);
    expect(idsIn(bare)).toHaveLength(20);
    endpoint.reply = () => undefined;
    await deliverTheRest(endpoint, dir);
    expectNoneMissing(idsIn(spool), storedIn(endpoint));
  });
});

test.runIf(isLong)("a natural end during an outage waits for a while, then says what was lost", async () => {
  const { endpoint } = await observedEndpoint(() => replies.unavailable);
  const { bare, memory, spool, dir } = await runAll(endpoint, { way: "the end" });
  expect(memory).toEqual({ ...bare, stderr: expect.stringMatching(CLOSED) });
  expect(spool).toEqual(bare);
  endpoint.reply = () => undefined;
  await deliverTheRest(endpoint, dir);
  expectNoneMissing(idsIn(spool), storedIn(endpoint));
});

test("a trace that is logged in an exit listener, when all before it has arrived", async () => {
  const { endpoint, storedBy } = await observedEndpoint(() => undefined);
  const { bare, memory, spool, dir } = await runAll(endpoint, { way: "more traces in an exit listener" });
  expect(memory).toEqual({ ...bare, stderr: lostLine(1) });
  expect(spool).toEqual(bare);
  await deliverTheRest(endpoint, dir);
  expectNoneMissing(idsIn(spool), storedIn(endpoint));
  expect(idsIn(bare).filter((id) => !storedBy("memory").includes(id))).toEqual(["t-20"]);
});

describe("with handleSignals", () => {
  test.each<[Way, Signal[]]>([
    ["waits", ["SIGTERM"]],
    ["waits", ["SIGINT"]],
    ["waits", ["SIGTERM", "SIGINT", "SIGTERM"]],
    ["a handler of the host that ends it", ["SIGTERM"]],
    ["a handler of the host that lives on", ["SIGTERM"]],
  ])("%s %j: delivers first, and then all is as it would be without us", async (way, signals) => {
    const { endpoint, storedBy } = await observedEndpoint(() => undefined);
    const options = { handleSignals: true, batch: { maxWaitMs: 3_600_000 } };
    const { bare, memory, spool } = await runAll(endpoint, { way, signals, options });
    // Of several signals it is the system's choice which one comes first.
    const same = { ...bare, signal: bare.signal === null ? null : expect.toBeOneOf(signals) };
    expect(memory).toEqual(same);
    expect(spool).toEqual(same);
    expect(new Set(storedBy("memory"))).toEqual(new Set(idsIn(bare)));
    expect(new Set(storedBy("spool"))).toEqual(new Set(idsIn(bare)));
  });

  test.runIf(canUnshare)(
    "process 1 of a container, which signals of its own do not end, ends all the same",
    async () => {
      const { endpoint } = await observedEndpoint(() => undefined);
      const options = { handleSignals: true, batch: { maxWaitMs: 3_600_000 } };
      const plan: EndsPlan = {
        way: "a signal of its own",
        name: "t",
        endpoint: endpoint.url,
        logger: "memory",
        dir: "",
        options,
      };
      const ended = await run(plan, [], UNSHARE);
      expect(ended).toMatchObject({ code: 143, signal: null, stderr: "" });
      expect(storedIn(endpoint)).toEqual(idsIn(ended));
    },
  );

  test("an endpoint that never answers holds up the end for no longer than close may take", async () => {
    const { endpoint } = await observedEndpoint(() => "hang");
    const { bare, memory, spool, dir } = await runAll(endpoint, {
      way: "waits",
      signals: ["SIGTERM"],
      options: { handleSignals: true },
    });
    expect(spool).toEqual(bare);
    expect(memory).toEqual({
      ...bare,
      stderr: expect.stringMatching(CLOSED),
    });
    endpoint.reply = () => undefined;
    await deliverTheRest(endpoint, dir);
    expectNoneMissing(idsIn(spool), storedIn(endpoint));
  });
});
