import { execFileSync, fork } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, rm, utimes, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { fileStore, type Store, traceKey } from "../../src/endpoint/index.ts";
import { filesUnder, temporaryFolder, testEndpoint, told, trace } from "./support.ts";

const KEY = "logs/olmo-2/20240504/trace-1.json";

async function listed(store: Store, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys.sort();
}

describe.each([{ packed: false }, { packed: true }])("a folder as a store, %o", (kind) => {
  test.each([{ fsync: false }, { fsync: true }])("creates, reads and lists with %o", async (options) => {
    const store = fileStore(join(await temporaryFolder(), "made/when/needed"), { ...kind, ...options });
    expect(await listed(store, "logs/")).toEqual([]);
    expect(await store.read(KEY)).toBeUndefined();
    expect(await store.put(KEY, "ü", "text/plain")).toBe("created");
    expect(await store.read(KEY)).toBe("ü");
    expect(await listed(store, "logs/")).toEqual(["logs/olmo-2/"]);
    expect(await listed(store, "logs/olmo-2/20240504/")).toEqual([KEY]);
  });

  test.each([
    ["that look like traces", (index: number) => `{"id":"trace-1","n":${index}}`],
    ["of any kind", (index: number) => (index % 2 === 0 ? `content ${index}` : `{"id":"trace-1","n":${index}}`)],
  ])("never overwrites, also when many write entries %s at once", async (_, content) => {
    const folder = await temporaryFolder();
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, (_, index) => fileStore(folder, kind).put(KEY, content(index), "text/plain")),
    );
    expect(outcomes.filter((outcome) => outcome === "created")).toHaveLength(1);
    expect(await fileStore(folder).read(KEY)).toBe(content(outcomes.indexOf("created")));
    expect(await listed(fileStore(folder), "logs/olmo-2/20240504/")).toEqual([KEY]);
    expect((await filesUnder(folder)).filter((file) => !file.startsWith("."))).toHaveLength(1);
  });

  test("drafts that a crash left behind are not listed", async () => {
    const folder = await temporaryFolder();
    const store = fileStore(folder, kind);
    await store.put(KEY, '{"id":"trace-1"}', "application/json");
    await writeFile(join(folder, "logs/olmo-2/20240504/.draft-1"), "half a tr");
    expect(await listed(store, "logs/olmo-2/20240504/")).toEqual([KEY]);
  });

  test("of several processes that write one folder at once, each hears the truth about every trace", async () => {
    const folder = await temporaryFolder();
    const names = ["first", "second", "third"];
    const writer = new URL("file-store-writer.ts", import.meta.url);
    const processes = names.map((name) =>
      fork(writer, [folder, name, String(kind.packed)], { execPath: resolve("node_modules/.bin/node") }),
    );
    await Promise.all(processes.map((process) => once(process, "message"))); // "ready"
    const reports = processes.map(async (process) => (await once(process, "message"))[0]);
    for (const process of processes) process.send("go");
    const statuses: { same: number[]; own: number[] }[] = await Promise.all(reports);
    expect(new Set(statuses.flatMap(({ same }) => same))).toEqual(new Set([200]));
    for (const index of statuses[0]?.own.keys() ?? []) {
      const told = statuses.map(({ own }) => own[index]);
      expect(told.toSorted()).toEqual([200, 409, 409]);
      const stored = JSON.parse((await fileStore(folder).read(`logs/m/20240504/own-${index}.json`)) ?? "");
      expect(stored.messages[0].content).toBe(names[told.indexOf(200)]);
    }
    expect(await listed(fileStore(folder), "logs/m/20240504/")).toHaveLength(600);
    const files = (await filesUnder(folder)).filter((file) => !file.startsWith(".pack-owner-"));
    expect(files).toHaveLength(kind.packed ? 1 : 600); // no draft and no lock is left either
  });

  test("a name that a power cut left empty is taken by the next trace, not held for ever", async () => {
    const folder = await temporaryFolder();
    const { post, get } = await testEndpoint({ store: fileStore(folder, kind), sharePages: false });
    await post(trace({ id: "neighbour" }));
    await writeFile(join(folder, KEY), "");
    expect(await told(await post(trace()))).toMatchObject([503, { outcome: "failure" }]); // it may be a copy under way
    const longAgo = new Date(Date.now() - 600_000);
    await utimes(join(folder, KEY), longAgo, longAgo);
    expect((await post(trace())).status).toBe(200);
    expect((await get(`/${KEY}`)).status).toBe(200);
    expect((await post(trace({ messages: [{ role: "user", content: "Another." }] }))).status).toBe(409);
    expect(await listed(fileStore(folder), "logs/olmo-2/20240504/")).toHaveLength(2);
  });

  test("a torn file is never taken for the trace, and what it holds is told to nobody", async () => {
    const onError = vi.fn();
    const folder = await temporaryFolder();
    const { post } = await testEndpoint({ store: fileStore(folder, kind), sharePages: false, onError });
    await post(trace({ id: "neighbour" }));
    await writeFile(join(folder, KEY), JSON.stringify(trace()).slice(0, -9));
    const error = "StorageError: What is stored under this name is damaged";
    expect(await told(await post(trace()))).toEqual([503, { outcome: "failure", error, url: null }]);
    expect(String(onError.mock.calls[0]?.[0])).toContain(KEY);
    expect(JSON.stringify(onError.mock.calls)).not.toContain("LLM");
  });

  test.each([
    ...["../outside.json", "logs/../../outside.json", "logs/.draft-1", "/etc/passwd", "logs//x", "logs/a\0b"],
    "logs/a/traces.ndjson",
  ])("the key %j is refused by the store itself", async (key) => {
    const store = fileStore(join(await temporaryFolder(), "store"), kind);
    const work = async () => store.put(key, "x", "text/plain");
    await expect(work()).rejects.toThrow("not a key of this store");
  });
});

const HOSTILE = [
  "../../../../tmp/escape",
  "..",
  ".",
  "a/b",
  "a\\b",
  "nul\0byte",
  "x".repeat(2000),
  "CON",
  "con",
  "trailing.",
  "ümlaut",
  "u\u0308mlaut",
  "\ud800",
  "‮evil",
  " ",
  "C:\\Windows",
  "%2e%2e%2f",
];

test("in packs, hostile ids and fingerprints stay in the folder, too, and each trace is found", async () => {
  const folder = await temporaryFolder();
  const { post, get } = await testEndpoint({ store: fileStore(folder, { packed: true }) });
  for (const name of HOSTILE) {
    for (const id of HOSTILE) expect((await post(trace({ id, system_fingerprint: name }))).status).toBe(200);
    const { json } = await traceKey({ id: name, created: 1_714_857_600, system_fingerprint: name });
    expect(JSON.parse(await (await get(`/${json}`)).text())).toMatchObject({ id: name, system_fingerprint: name });
  }
  const files = await filesUnder(join(folder, "logs"));
  // One pack a fingerprint, and a file for the id that is too long to be a name.
  expect(files.every((file) => /^[^/]+\/20240504\/(?:traces\.ndjson|x{32}!_[0-9a-f]{64}\.json)$/.test(file))).toBe(
    true,
  );
  expect(files).toHaveLength(2 * HOSTILE.length);
});

test("hostile ids and fingerprints stay in the folder, each in a file of its own", async () => {
  const { folder, post, get } = await testEndpoint();
  for (const name of HOSTILE) {
    const answer = await post(trace({ id: name, system_fingerprint: name }));
    expect(answer.status).toBe(200);
    const { url } = (await told(answer))[1] as { url: string };
    expect((await get(new URL(url).pathname)).status).toBe(200);
  }
  const files = await filesUnder(folder);
  expect(new Set(files.map((file) => file.toLowerCase())).size).toBe(2 * HOSTILE.length);
  expect(files.every((file) => /^(?:logs|share)\/[^/]+\/20240504\/[^/]+\.(?:json|html)$/.test(file))).toBe(true);
});

const STORAGE_FAILURE = [
  503,
  { outcome: "failure", error: "StorageError: The trace could not be stored; try again", url: null },
];

describe.each([{ packed: false }, { packed: true }])(
  "when the disk does not play along (%o), the sender hears so and the endpoint lives on",
  (kind) => {
    test("a file lies where the folder should be", async () => {
      const folder = join(await temporaryFolder(), "store");
      await writeFile(folder, "in the way");
      const { post } = await testEndpoint({ store: fileStore(folder, kind) });
      expect(await told(await post(trace()))).toEqual(STORAGE_FAILURE);
      await rm(folder);
      expect((await post(trace())).status).toBe(200);
    });

    test("the folder is deleted in between: it is made again", async () => {
      const folder = await temporaryFolder();
      const { post, get } = await testEndpoint({ store: fileStore(folder, kind) });
      await post(trace());
      await rm(folder, { recursive: true });
      expect((await get(`/${KEY}`)).status).toBe(404);
      expect((await get("/")).status).toBe(200);
      expect((await post(trace())).status).toBe(200);
    });

    test("the page could not be written: sending the trace again repairs it", async () => {
      const folder = await temporaryFolder();
      const { post, get } = await testEndpoint({ store: fileStore(folder, kind) });
      await writeFile(join(folder, "share"), "in the way");
      expect(await told(await post(trace()))).toEqual(STORAGE_FAILURE);
      await rm(join(folder, "share"));
      expect((await post(trace())).status).toBe(200);
      expect((await get("/share/olmo-2/20240504/trace-1.html")).status).toBe(200);
    });

    // Root may write everywhere, so the read-only and the full disk are real mounts.
    const mayMount = canMount();

    test.skipIf(!mayMount)("the disk is full (a small tmpfs; skipped where mounting is not allowed)", async () => {
      const disk = await mounted("size=64k");
      const { post } = await testEndpoint({ store: fileStore(disk, kind) });
      const large = trace({ messages: [{ role: "user", content: "x".repeat(200_000) }] });
      expect(await told(await post(large))).toEqual(STORAGE_FAILURE);
      expect((await filesUnder(disk)).filter((file) => !file.startsWith("."))).toEqual([]);
      expect((await post(trace({ id: "small" }))).status).toBe(200);
    });

    test.skipIf(!mayMount)(
      "a batch finds the disk full in the middle (skipped where mounting is not allowed)",
      async () => {
        const disk = await mounted("size=64k");
        const { post, get } = await testEndpoint({ store: fileStore(disk, kind), sharePages: false });
        expect((await post([trace({ id: "before" })])).status).toBe(200);
        const messages = [{ role: "user", content: "x".repeat(9_000) }];
        const batch = Array.from({ length: 20 }, (_, index) => trace({ id: `t${index}`, messages }));
        const [, body] = await told(await post(batch));
        const { results } = body as { results: { result: string }[] };
        expect(results.filter(({ result }) => result === "failed").length).toBeGreaterThan(10);
        for (const [index, { result }] of [...results.entries(), [-1, { result: "stored" }] as const]) {
          const id = index === -1 ? "before" : `t${index}`;
          expect([id, (await get(`/logs/olmo-2/20240504/${id}.json`)).status]).toEqual([
            id,
            result === "stored" ? 200 : 404,
          ]);
        }
        const stored = results.filter(({ result }) => result === "stored").length;
        expect(await listed(fileStore(disk), "logs/olmo-2/20240504/")).toHaveLength(1 + stored);
      },
    );

    test.skipIf(!mayMount)("the disk is read-only (skipped where mounting is not allowed)", async () => {
      const disk = await mounted("ro,size=64k");
      const { post } = await testEndpoint({ store: fileStore(disk, kind) });
      expect(await told(await post(trace()))).toEqual(STORAGE_FAILURE);
    });

    test.skipIf(process.getuid?.() === 0)("the folder may not be written to (skipped for root, who may)", async () => {
      const folder = await temporaryFolder();
      await chmod(folder, 0o555);
      const { post } = await testEndpoint({ store: fileStore(folder, kind) });
      expect(await told(await post(trace()))).toEqual(STORAGE_FAILURE);
    });
  },
);

function canMount(): boolean {
  try {
    execFileSync("unshare", ["--mount", "true"], { stdio: "ignore" });
    return process.getuid?.() === 0;
  } catch {
    return false;
  }
}

async function mounted(options: string): Promise<string> {
  const disk = join(await temporaryFolder(), "disk");
  await mkdir(disk);
  execFileSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", disk]);
  onTestFinished(() => void execFileSync("umount", [disk]));
  return disk;
}
