import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startEliza } from "../examples/eliza/server.ts";
import { type ScriptedEndpoint, scriptedEndpoint } from "./support.ts";

const root = resolve(import.meta.dirname, "..");
const readme = readFileSync(join(root, "README.md"), "utf8");
// Inside the project, so that `import … from "tracelogger"` finds the package itself, as built.
const folder = join(root, ".readme");
const snippets = [...readme.matchAll(/^```ts\n(.*?)^```/gms)].map(([, code = ""], index) => ({
  name: `snippet ${index + 1}: ${code.split("\n")[0]}`,
  code,
  file: join(folder, `snippet-${index + 1}.ts`),
}));

beforeAll(() => {
  mkdirSync(folder, { recursive: true });
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

async function run(file: string, endpoint: ScriptedEndpoint): Promise<string> {
  await using provider = await startEliza();
  const env = {
    ...process.env,
    OPENAI_BASE_URL: provider.baseURL,
    OPENAI_API_KEY: "test",
    TRACELOGGER_ENDPOINT: endpoint.url,
    TRACELOGGER_API_KEY: "test",
    TRACELOGGER_DISABLED: "",
  };
  return (await promisify(execFile)(process.execPath, [file], { cwd: folder, env })).stdout;
}

test("the first code stands within 15 lines, and is at most 10 lines long", () => {
  const lines = readme.split("\n");
  const start = lines.findIndex((line) => line.startsWith("```ts"));
  const length = lines.slice(start + 1).findIndex((line) => line.startsWith("```"));
  expect(start).toBeLessThan(15);
  expect(length).toBeLessThanOrEqual(10);
});

describe("every snippet of the README runs, against loopback", () => {
  test.each(snippets)("$name", async ({ code, file }) => {
    writeFileSync(file, code.replaceAll('"gpt-5"', '"eliza"')); // who answers here
    await using endpoint = await scriptedEndpoint();
    const stdout = await run(file, endpoint);
    if (code.includes("new TraceLogger()")) expect(endpoint.stored).toHaveLength(1);
    if (code.includes("redactEmails")) expect(JSON.stringify(endpoint.stored)).not.toContain("bob@example.com");
    if (code.includes("fileStore")) expect(stdout).toContain("delivered");
  });
});
