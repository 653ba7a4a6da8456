import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test, vi } from "vitest";
import { openSpool, type SpoolOptions } from "../../../src/delivery/spool/spool.ts";
import type { ChildPlan } from "./child.ts";
import { decode, readAll, temporaryFolder } from "./support.ts";

const script = fileURLToPath(new URL("./child.ts", import.meta.url));

/** A child process, and what it has said so far. */
class Child {
  readonly lines: string[] = [];
  readonly process: ChildProcess;
  readonly #ended: Promise<unknown>;

  constructor(plan: ChildPlan) {
    const { NODE_OPTIONS: _, ...env } = process.env;
    this.process = spawn("node", [script, JSON.stringify(plan)], { stdio: ["ignore", "pipe", "inherit"], env });
    this.#ended = once(this.process, "close");
    if (this.process.stdout !== null)
      createInterface({ input: this.process.stdout }).on("line", (line) => this.lines.push(line));
    onTestFinished(() => void this.process.kill("SIGKILL"));
  }

  said(mark: string): string[] {
    return this.lines.filter((line) => line.startsWith(mark)).map((line) => line.slice(1));
  }

  async says(condition: (child: this) => boolean): Promise<void> {
    await vi.waitUntil(() => condition(this), { timeout: 15_000, interval: 5 });
  }

  async kill(): Promise<void> {
    this.process.kill("SIGKILL");
    await this.#ended;
  }

  async end(): Promise<void> {
    await this.#ended;
  }
}

/** What a fresh process finds under the root, its bodies checked. */
function findLeft(options: SpoolOptions): string[] {
  const spool = openSpool(options);
  const records = readAll(spool);
  for (const { id, body } of records) expect(decode(body).startsWith(`${id} x`)).toBe(true);
  for (const { ref } of records) spool.acknowledge(ref);
  spool.close();
  return records.map(({ id }) => id);
}

const ids = (children: Child[], mark: string) => children.flatMap((child) => child.said(mark));

test("kill -9 at any moment loses nothing that was accepted and repeats nothing that was acknowledged", async () => {
  const options = { dir: temporaryFolder(), segmentBytes: 20_000 };
  const children: Child[] = [];
  for (let round = 0; round < 20; round++) {
    const child = new Child({
      options,
      name: `r${round}`,
      records: 1e6,
      bodyBytes: [20, 1000, 30_000][round % 3] ?? 0,
      delivers: round % 2 === 1,
    });
    children.push(child);
    const lines = 1 + Math.floor(Math.random() * 400);
    await child.says(({ lines: { length } }) => length >= lines);
    await child.kill();
  }
  const left = findLeft(options);
  const begun = new Set(ids(children, "?"));
  expect(left).toEqual(expect.arrayContaining(ids(children, "+").filter((id) => !begun.has(id))));
  const acknowledged = new Set(ids(children, "-"));
  expect(left.filter((id) => acknowledged.has(id))).toEqual([]);
  expect(new Set(left).size).toBe(left.length);
  expect(readdirSync(options.dir)).toEqual([]);
}, 60_000);

test("a stopped owner whose directory was adopted notices when it wakes, and loses nothing", async () => {
  const options = { dir: temporaryFolder(), staleAfterMs: 400 };
  const owner = new Child({ options, name: "owner", records: 1e6, bodyBytes: 100, delivers: false });
  await owner.says(({ lines }) => lines.length > 50);
  owner.process.kill("SIGSTOP");
  const other = openSpool(options);
  await vi.waitUntil(() => other.adopt().directories === 1, { timeout: 15_000, interval: 20 });
  const adopted = readAll(other);
  owner.process.kill("SIGCONT");
  await owner.says((child) => child.said("!").includes("directory-lost"));
  const woken = owner.lines.length;
  await owner.says(({ lines }) => lines.length > woken + 50);
  await owner.kill();
  other.close();
  const found = new Set([...adopted.map(({ id }) => id), ...findLeft({ dir: options.dir })]);
  const begun = new Set(owner.said("?"));
  expect([...found]).toEqual(expect.arrayContaining(owner.said("+").filter((id) => !begun.has(id))));
}, 60_000);

test("six processes on one root, some killed: everything is acknowledged once, by one of them or after them", async () => {
  const options = { dir: temporaryFolder(), segmentBytes: 20_000 };
  const children = Array.from(
    { length: 6 },
    (_, i) => new Child({ options, name: `p${i}`, records: 400, bodyBytes: 300, delivers: true, ends: i >= 2 }),
  );
  const [first, second, ...others] = children;
  for (const victim of [first, second]) {
    await victim?.says(({ lines }) => lines.length > 100);
    await victim?.kill();
  }
  for (const child of others) await child.end();
  const left = findLeft(options);
  const acknowledged = ids(children, "-");
  expect(new Set(acknowledged).size).toBe(acknowledged.length);
  const done = new Set([...ids(children, "?"), ...left]);
  expect([...done]).toEqual(expect.arrayContaining(ids(children, "+")));
  expect(left.filter((id) => acknowledged.includes(id))).toEqual([]);
  expect(readdirSync(options.dir)).toEqual([]);
}, 60_000);

test("worker threads of one process have a directory each", async () => {
  const options = { dir: temporaryFolder() };
  const child = new Child({ options, name: "t", records: 30, bodyBytes: 100, delivers: false, workers: 3 });
  await child.says(({ lines }) => lines.filter((line) => line === ".").length === 3);
  expect(readdirSync(options.dir).length).toBe(3);
  await child.kill();
  const begun = new Set(child.said("?"));
  expect(findLeft(options).sort()).toEqual(
    child
      .said("+")
      .filter((id) => !begun.has(id))
      .sort(),
  );
}, 60_000);

test("a spool holds no process open", async () => {
  const child = new Child({
    options: { dir: temporaryFolder() },
    name: "n",
    records: 3,
    bodyBytes: 1,
    delivers: false,
    ends: true,
  });
  await child.end();
  expect(child.process.exitCode).toBe(0);
}, 30_000);
