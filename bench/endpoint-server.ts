/** The Node server over a fileStore in a process of its own. Prints its URL; says on request what CPU time it has used. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileStore } from "tracelogger/endpoint";
import { startServer } from "tracelogger/endpoint/node";

const folder = mkdtempSync(join(tmpdir(), "tracelogger-bench-"));
const sharePages = process.argv[2] === "pages";
const server = await startServer({ store: fileStore(folder), sharePages });
console.log(server.url);
process.on("message", () => {
  const { user, system } = process.cpuUsage();
  process.send?.(user + system);
});
process.on("disconnect", () => {
  rmSync(folder, { recursive: true, force: true });
  process.exit();
});
