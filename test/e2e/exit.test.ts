import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { eventually, replies, scriptedEndpoint } from "../support.ts";

interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts test/e2e/programs/exits.ts. */
function start(endpoint: string, way: string, options: object = {}) {
  const path = fileURLToPath(new URL("programs/exits.ts", import.meta.url));
  const child = spawn(process.execPath, [path, endpoint, way, JSON.stringify(options)]);
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk) => {
    stdout += chunk;
  });
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const ended = once(child, "close").then(([code, signal]): Ended => ({ code, signal, stdout, stderr }));
  return { child, ended, isWaiting: () => eventually(() => expect(stdout).toContain("waiting")) };
}

describe("the natural end of a process", () => {
  test("delivers everything, and is otherwise as it would be without us", async () => {
    await using endpoint = await scriptedEndpoint();
    expect(await start(endpoint.url, "end").ended).toEqual({ code: 0, signal: null, stdout: "", stderr: "" });
    expect(endpoint.stored).toHaveLength(30);
  });

  test("also while the endpoint has trouble for a moment", async () => {
    await using endpoint = await scriptedEndpoint((_trace, count) => (count <= 3 ? replies.unavailable : undefined));
    expect(await start(endpoint.url, "end").ended).toMatchObject({ code: 0, stderr: "" });
    expect(endpoint.stored).toHaveLength(30);
  });

  test("also in a worker thread", async () => {
    await using endpoint = await scriptedEndpoint();
    expect(await start(endpoint.url, "worker").ended).toMatchObject({ code: 0, stderr: "" });
    expect(endpoint.stored).toHaveLength(30);
  });
});

describe("a sudden end without a spool says how many were lost, and keeps the host's exit code and output", () => {
  test("process.exit", async () => {
    await using endpoint = await scriptedEndpoint();
    const { code, stderr } = await start(endpoint.url, "exit").ended;
    expect([code, stderr]).toEqual([3, "[tracelogger] the process ended with 30 undelivered traces in memory.\n"]);
  });

  test.each([
    ["an uncaught exception", "throw", "the host's own error"],
    ["an unhandled rejection", "reject", "the host's own rejection"],
  ])("%s", async (_name, way, message) => {
    await using endpoint = await scriptedEndpoint();
    const { code, stderr } = await start(endpoint.url, way).ended;
    expect(code).toBe(1);
    expect(stderr).toContain(message);
    expect(stderr).toContain("[tracelogger] the process ended with 30 undelivered traces");
  });
});

describe("signals", () => {
  test.each(["SIGTERM", "SIGINT"] as const)("%s does what it always does", async (signal) => {
    await using endpoint = await scriptedEndpoint(() => "hang");
    const { child, ended, isWaiting } = start(endpoint.url, "wait");
    await isWaiting();
    child.kill(signal);
    expect(await ended).toMatchObject({ code: null, signal, stderr: "" });
  });

  test.each(["SIGTERM", "SIGINT"] as const)(
    "%s with handleSignals delivers first, then does what it always does",
    async (signal) => {
      await using endpoint = await scriptedEndpoint();
      const { child, ended, isWaiting } = start(endpoint.url, "wait", {
        handleSignals: true,
        batch: { maxWaitMs: 3_600_000 },
      });
      await isWaiting();
      child.kill(signal);
      expect(await ended).toMatchObject({ code: null, signal, stderr: "" });
      expect(endpoint.stored).toHaveLength(30);
    },
  );

  test("with handleSignals beside a handler of the host: the host decides how it ends", async () => {
    await using endpoint = await scriptedEndpoint();
    const options = { handleSignals: true, batch: { maxWaitMs: 3_600_000 } };
    const { child, ended, isWaiting } = start(endpoint.url, "own handler", options);
    await isWaiting();
    child.kill("SIGTERM");
    expect(await ended).toMatchObject({ code: 7, signal: null, stderr: "" });
    expect(endpoint.stored).toHaveLength(30);
  });
});
