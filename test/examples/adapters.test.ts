import { execFile } from "node:child_process";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { startEliza } from "../../examples/eliza/server.ts";
import { scriptedEndpoint } from "../support.ts";

/** Run an example as its reader would: ELIZA is the provider, everything stays on loopback. */
async function run(example: string) {
  await using provider = await startEliza();
  await using endpoint = await scriptedEndpoint();
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [resolve(import.meta.dirname, "../../examples", example)],
    {
      env: {
        ...process.env,
        OPENAI_BASE_URL: provider.baseURL,
        OPENAI_API_KEY: "test",
        OPENAI_MODEL: "eliza",
        TRACELOGGER_ENDPOINT: endpoint.url,
        TRACELOGGER_API_KEY: "test",
        TRACELOGGER_DISABLED: "",
      },
    },
  );
  return { stdout, said: endpoint.stored.map(({ messages }) => messages.map(({ content }) => content)) };
}

test("examples/ai-sdk.ts: each step and the stream is a trace", async () => {
  const { stdout, said } = await run("ai-sdk.ts");
  expect(stdout).toContain("3 of 3 traces delivered");
  expect(said.flat()).toContain("What is the weather in Paris?");
  expect(said.flat()).toContain("I feel sad today.");
});

test("examples/langchain.ts: the chain's call and the stream are a trace each", async () => {
  const { stdout, said } = await run("langchain.ts");
  expect(stdout).toContain("2 of 2 traces delivered");
  expect(said.flat()).toEqual(expect.arrayContaining(["I am unhappy about my work.", "I feel sad today."]));
});

test("examples/redact.ts: neither the address nor the card number arrives", async () => {
  const { stdout, said } = await run("redact.ts");
  expect(stdout).toContain("1 of 1 traces delivered");
  expect(said[0]?.[0]).toBe("My address is [REDACTED:email], my card [REDACTED:card].");
  expect(JSON.stringify(said)).not.toMatch(/bob@|4111/);
});

test.each([
  ["wrap-openai.ts", 2],
  ["tracing-fetch.ts", 1],
  ["together.ts", 1],
  ["log-trace.ts", 1],
  ["serverless.ts", 1],
])("examples/%s: what was said arrives", async (example, traces) => {
  const { stdout, said } = await run(example);
  expect(stdout).toContain(`${traces} of ${traces} traces delivered`);
  expect(said).toHaveLength(traces);
  expect(said.flat()).toContain("I feel sad today.");
});
