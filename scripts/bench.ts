/** Every bench, one after the other, in order of their names. They measure what `npm run build` made. */
import { execFileSync } from "node:child_process";
import { globSync } from "node:fs";
import { resolve } from "node:path";

const root = resolve(import.meta.dirname, "..");
const parts = new Set(
  ["endpoint-server", "provider", "sink", "support", "wrapper-calls", "wrapper-client"].map(
    (name) => `bench/${name}.ts`,
  ),
);
for (const bench of globSync("bench/*.ts", { cwd: root }).sort()) {
  if (parts.has(bench)) continue;
  console.log(`\n# ${bench}`);
  execFileSync(process.execPath, [bench], { cwd: root, stdio: "inherit" });
}
