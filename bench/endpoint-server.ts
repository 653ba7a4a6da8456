/** The Node server over a fileStore in a process of its own. Prints its URL; says on request what CPU time it has used. */
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileStore } from "tracelogger/endpoint";
import { startServer } from "tracelogger/endpoint/node";

// Not the temporary folder, where others delete files all the time: ext4 passes over every inode that was freed in the
// last minutes, and making a file then costs 300 µs instead of 20.
const folder = mkdtempSync(join(process.env["TRACELOGGER_BENCH_DIR"] ?? process.cwd(), ".tracelogger-bench-"));
const wanted = process.argv.slice(2);
const store = fileStore(folder, { packed: wanted.includes("packed") });
const sharePages = wanted.includes("pages") || (wanted.includes("pages on demand") && "on-demand");
const server = await startServer({ store, sharePages });
console.log(server.url);
const cpuUs = (): number => {
  const { user, system } = process.cpuUsage();
  return user + system;
};
process.on("message", (question) => process.send?.(question === "file" ? emptyFileUs() : cpuUs()));

/** CPU time of making one empty file here: what no server that keeps one file a trace can go below. */
function emptyFileUs(): number {
  const files = 2_000;
  const before = cpuUs();
  for (let i = 0; i < files; i++) closeSync(openSync(join(folder, `empty-${i}`), "wx"));
  return (cpuUs() - before) / files;
}

process.on("disconnect", () => {
  rmSync(folder, { recursive: true, force: true });
  process.exit();
});
