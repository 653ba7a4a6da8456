/** What a trace on disk costs: `node bench/spool.ts [records]`. Prints µs per append (median, p99), and memory. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSpool, type SpoolRef } from "../src/delivery/spool/spool.ts";

const records = Number(process.argv[2] ?? 200_000);
const body = new TextEncoder().encode("x".repeat(1024));
const rssMiB = () => Math.round(process.memoryUsage().rss / 1024 ** 2);

function percentiles(timesUs: Float64Array): string {
  timesUs.sort();
  const at = (part: number) => (timesUs[Math.floor(timesUs.length * part)] ?? 0).toFixed(1);
  return `median ${at(0.5)} µs, p99 ${at(0.99)} µs, p99.9 ${at(0.999)} µs, max ${timesUs.at(-1)?.toFixed(0)} µs`;
}

for (const fsync of ["never", "interval", "always"] as const) {
  const dir = mkdtempSync(join(tmpdir(), "spool-bench-"));
  const count = fsync === "always" ? Math.min(records, 2000) : records;
  const spool = openSpool({ dir, fsync, maxBytes: 8 * 1024 ** 3 }, { onEvent: (event) => console.error(event) });
  const timesUs = new Float64Array(count);
  const before = rssMiB();
  for (let i = 0; i < count; i++) {
    const record = { id: `0192f0c0-0000-7000-8000-${String(i).padStart(12, "0")}`, body, acceptedAtMs: Date.now() };
    const start = performance.now();
    spool.append(record, { handOut: true });
    timesUs[i] = (performance.now() - start) * 1000;
    if (i % 1000 === 0) await new Promise(setImmediate); // the spool's own timer must get its turn
  }
  console.log(`fsync ${fsync}: ${count} appends of 1 KB: ${percentiles(timesUs)}; RSS ${before} → ${rssMiB()} MiB`);

  const start = performance.now();
  let read = 0;
  let refs: SpoolRef[] = [];
  do {
    refs = spool.readBack({ maxRecords: 100, maxBytes: 1024 ** 2 }).map(({ ref }) => ref);
    read += refs.length;
    for (const ref of refs) spool.acknowledge(ref);
  } while (refs.length > 0);
  const perRecordUs = ((performance.now() - start) / read) * 1000;
  console.log(`  read back and acknowledged ${read}: ${perRecordUs.toFixed(1)} µs each; RSS ${rssMiB()} MiB`);
  spool.close();
  rmSync(dir, { recursive: true, force: true });
}
