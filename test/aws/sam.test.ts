/**
 * The template as AWS's own tools see it: `sam validate --lint` and `sam build` where the SAM CLI is installed, else
 * cfn-lint, which is what that runs (SAM's translator included). Skipped, visibly, without either.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { TEMPLATE } from "./template-file.ts";

const template = fileURLToPath(TEMPLATE);
const has = (command: string): boolean => {
  try {
    execFileSync(command, ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
};
const hasSam = has("sam");
const hasLint = has("cfn-lint");
if (!hasSam) console.warn("SKIPPED: no SAM CLI; `sam validate --lint` and `sam build` are not tried");
if (!hasLint)
  console.warn(
    "SKIPPED: no cfn-lint (pip install cfn-lint); the template is only validated by test/aws/template.test.ts",
  );

const env = { ...process.env, SAM_CLI_TELEMETRY: "0", AWS_DEFAULT_REGION: "us-east-1" };

test.skipIf(!hasSam)("sam validates and builds it", () => {
  const folder = mkdtempSync(join(tmpdir(), "tracelogger-sam-"));
  try {
    execFileSync("sam", ["validate", "--lint", "--template", template], { env });
    execFileSync("sam", ["build", "--template", template, "--build-dir", folder], { env });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

const lint = (path: string): string =>
  execFileSync("cfn-lint", ["--include-checks", "W", "I", "--", path], { encoding: "utf8", env });

test.skipIf(!hasLint)("cfn-lint finds nothing, warnings and remarks included", () => expect(lint(template)).toBe(""));

test.skipIf(!hasLint)("cfn-lint would find a fault", () => {
  const folder = mkdtempSync(join(tmpdir(), "tracelogger-sam-"));
  try {
    const broken = join(folder, "template.yaml");
    writeFileSync(broken, readFileSync(template, "utf8").replace("Runtime: nodejs24.x", "Runtime: nodejs5.x"));
    expect(() => lint(broken)).toThrow();
  } finally {
    rmSync(folder, { recursive: true });
  }
});
