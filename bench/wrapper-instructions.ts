/**
 * What wrapping a client costs, in machine instructions of its process: unlike CPU time they do not depend on what else
 * the machine does. Counted by valgrind. The kernel's own are not seen, which a bare and a wrapped client have alike, so
 * that of all CPU the wrapper's share is smaller. V8 does all its work in one thread, so that it is in the count. One
 * full garbage collection more or less would move a run by ten percent: there is room enough to do without.
 *
 *     node bench/wrapper-instructions.ts [times as many calls]
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { percentMore, start } from "./support.ts";
import type { Calls } from "./wrapper-calls.ts";

const factor = Number(process.argv[2] ?? 1);
const uses = {
  // At once, or none would end within the time in which they are gathered: counting makes a call take longer than that.
  // And until nothing is compiled any more, which would be counted, too.
  call: { name: "call with a 1 KB reply", warmUp: 16_000, times: 2_000 * factor, atOnce: 20 },
  stream: { name: "stream of 200 chunks", warmUp: 400, times: 120 * factor, atOnce: 4 },
};
/** Counting makes the client some fifty times slower, and it is to read each chunk by itself all the same. */
const CHUNK_EVERY_MS = 16;

if (!hasValgrind()) console.log("skipped: needs valgrind");
else {
  using provider = await start("provider.ts", CHUNK_EVERY_MS);
  for (const [use, calls] of Object.entries(uses)) {
    const [bare, wrapped] = await Promise.all([
      count("bare", { use, url: provider.url, ...calls }),
      count("wrapped, capture alone", { use, url: provider.url, ...calls }),
    ]);
    const more = percentMore(wrapped / bare);
    console.log(`${calls.name}: ${thousands(bare)} instructions bare, ${thousands(wrapped)} wrapped: ${more} more`);
  }
}

interface Counted extends Calls {
  readonly url: string;
  readonly warmUp: number;
}

/** Instructions of one call. */
async function count(kind: string, { use, url, warmUp, times, atOnce }: Counted): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), "instructions-"));
  try {
    const out = join(directory, "out");
    const valgrind = ["--quiet", "--tool=callgrind", "--instr-atstart=no", `--callgrind-out-file=${out}`];
    const heap = ["--initial-old-space-size=3000", "--max-old-space-size=3500"];
    // With memory laid out, and hashes seeded, the same each time.
    const node = [process.execPath, ...heap, "--single-threaded", "--random-seed=1", "--hash-seed=1"];
    const client = [new URL("wrapper-client.ts", import.meta.url).pathname, kind, url];
    const child = spawn("setarch", ["-R", "valgrind", ...valgrind, ...node, ...client], {
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    await once(child, "message");
    const make = async (calls: number) => {
      child.send({ use, times: calls, atOnce } satisfies Calls);
      await once(child, "message");
    };
    const control = async (...args: string[]) => {
      const asked = spawn("callgrind_control", [...args, String(child.pid)], { stdio: "ignore" });
      await once(asked, "close");
    };
    await make(warmUp);
    await control("--instr=on");
    await make(atOnce * Math.ceil(warmUp / atOnce / 50)); // what is translated anew for counting is not counted
    await control("--zero");
    await make(times);
    await control("--dump");
    child.kill("SIGKILL"); // at its own end it would write all of it once more
    await once(child, "exit");
    const [, total] = /^(?:totals|summary): (\d+)/m.exec(readFileSync(`${out}.1`, "utf8")) ?? [];
    return Number(total) / times;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function hasValgrind(): boolean {
  try {
    execFileSync("valgrind", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

function thousands(value: number): string {
  return `${Math.round(value / 1000)} thousand`;
}
