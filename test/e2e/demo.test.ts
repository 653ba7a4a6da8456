import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, it } from "vitest";
import { readStored } from "../../examples/demo/stored.ts";
import { startEliza } from "../../examples/eliza/server.ts";

const MAIN = join(import.meta.dirname, "../../examples/demo/main.ts");

/** What would divert the demo, if anything could: both point to a port where nothing listens. */
const HOSTILE_ENV = {
  TRACELOGGER_ENDPOINT: "http://127.0.0.1:1/",
  TRACELOGGER_API_KEY: "not-the-demo's",
  TRACELOGGER_DISABLED: "1",
  OPENAI_API_KEY: "",
  OPENAI_BASE_URL: "",
  OPENAI_ORG_ID: "org-nobody",
};

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "tracelogger-demo-"));
});
afterEach(() => rm(dir, { recursive: true }));

async function runDemo(env: NodeJS.ProcessEnv, ...args: string[]): Promise<string> {
  const options = { env: { ...process.env, ...HOSTILE_ENV, ...env } };
  const { stdout } = await promisify(execFile)(process.execPath, [MAIN, "--dir", dir, ...args], options);
  return stdout;
}

it("tells every conversation to ELIZA and finds each of them stored, whatever the environment says", async () => {
  const printed = await runDemo({});
  const stored = await readStored(dir);
  expect(printed).toContain("Provider: ELIZA on this machine");
  expect(printed).toMatch(/Stats: accepted 10 = delivered 10 \+ pending 0 \+ lost 0/);
  expect(stored.map(({ trace }) => trace.model).sort()).toEqual([
    "a-model-without-a-client",
    ...Array(9).fill("eliza"),
  ]);
  for (const { path } of stored) {
    expect(printed).toContain(path.replace(/^logs/, "http://127.0.0.1:4319/share").replace(/json$/, "html"));
  }
});

it("delivers everything to an endpoint that takes no form of choices, too", async () => {
  await runDemo({}, "--mode", "both");
  expect(await readStored(dir)).toHaveLength(10);
});

it("talks to the provider that the environment names instead", async () => {
  await using provider = await startEliza();
  const printed = await runDemo({ OPENAI_BASE_URL: provider.baseURL, OPENAI_MODEL: "eliza-mini" });
  expect(printed).toContain(`Provider: eliza-mini at ${new URL(provider.baseURL).origin}`);
  expect((await readStored(dir)).filter(({ trace }) => trace.model === "eliza-mini")).toHaveLength(9);
});
