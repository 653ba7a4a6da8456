/** What importing the package costs over starting bare Node, in milliseconds: medians of interleaved whole processes. */
import { execFileSync } from "node:child_process";
import { median } from "./support.ts";

const programs = {
  "bare node": "",
  "import tracelogger": 'import "./dist/index.js"',
  "require tracelogger": 'require("./dist/index.cjs")',
};
const times: Record<string, number[]> = Object.fromEntries(Object.keys(programs).map((name) => [name, []]));
for (let round = 0; round < 15; round++) {
  for (const [name, code] of Object.entries(programs)) {
    const type = code.startsWith("require") ? "commonjs" : "module";
    const before = performance.now();
    execFileSync(process.execPath, [`--input-type=${type}`, "-e", code]);
    times[name]?.push(performance.now() - before);
  }
}
const bareMs = median(times["bare node"] ?? []);
for (const [name, values] of Object.entries(times)) {
  console.log(`${name}: ${median(values).toFixed(0)} ms (${(median(values) - bareMs).toFixed(0)} over bare Node)`);
}
