import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { replies, scriptedEndpoint } from "../support.ts";

/** Runs a program of test/e2e/programs to its end. */
function run(program: string, ...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const path = fileURLToPath(new URL(`programs/${program}.ts`, import.meta.url));
  return new Promise((resolve) => {
    execFile(process.execPath, [path, ...args], (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === "number" ? error.code : error ? -1 : 0, stdout, stderr });
    });
  });
}

test("a process that simply ends delivers everything, and ends as it would without us", async () => {
  await using endpoint = await scriptedEndpoint();
  expect(await run("logs-and-ends", endpoint.url, "250")).toEqual({ code: 0, stdout: "", stderr: "" });
  expect(endpoint.stored).toHaveLength(250);
});

test("also when the endpoint has trouble for a moment", async () => {
  await using endpoint = await scriptedEndpoint((_trace, count) => (count <= 3 ? replies.unavailable : undefined));
  expect(await run("logs-and-ends", endpoint.url, "20")).toEqual({ code: 0, stdout: "", stderr: "" });
  expect(endpoint.stored).toHaveLength(20);
});
