import { fork } from "node:child_process";
import { once } from "node:events";
import { appendFile, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { folderStore } from "../../../src/endpoint/files/folder-store.ts";
import { fileStore, type Store } from "../../../src/endpoint/index.ts";
import { filesUnder, temporaryFolder, testEndpoint, told, trace } from "../support.ts";

const FOLDER = "logs/m/20240504/";
const PACK = `${FOLDER}traces.ndjson`;
const packed = (folder: string) => folderStore(folder, { packed: true });
const keyOf = (id: string) => `${FOLDER}${id}.json`;
const lineOf = (id: string, said = "hi") => JSON.stringify({ id, object: "chat.trace", created: 1_714_857_600, said });
const put = (store: Store, id: string, said?: string) => store.put(keyOf(id), lineOf(id, said), "application/json");

async function listed(store: Store, prefix = FOLDER): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys.sort();
}

describe("a pack", () => {
  test("holds the traces of a folder as lines, exactly as their files would hold them", async () => {
    const folder = await temporaryFolder();
    const { post, get } = await testEndpoint({ store: fileStore(folder, { packed: true }), sharePages: false });
    const single = await testEndpoint({ sharePages: false });
    const traces = ["a", "GPT", "ü", 'quoted"\\\n', "\ud800", "last"].map((id) =>
      trace({ id, choices: [{ ü: "\u2028" }] }),
    );
    for (const send of [post, single.post]) expect((await send(traces)).status).toBe(200);
    const inFiles = await filesUnder(single.folder);
    expect(inFiles).toHaveLength(traces.length);
    for (const file of inFiles)
      expect(await (await get(`/${file}`)).text()).toBe(await readFile(join(single.folder, file), "utf8"));
    const lines = (await readFile(join(folder, "logs/olmo-2/20240504/traces.ndjson"), "utf8")).split("\n");
    expect(lines.slice(0, -1).map((line) => JSON.parse(line).id)).toEqual(traces.map(({ id }) => id));
  });

  test("is no key, and cannot be fetched as a whole", async () => {
    const folder = await temporaryFolder();
    const { post, get } = await testEndpoint({ store: fileStore(folder, { packed: true }) });
    await post(trace());
    expect((await get("/logs/olmo-2/20240504/traces.ndjson")).status).toBe(404);
    expect(await (await get("/")).text()).not.toContain("ndjson");
  });

  test("lists the trace that came last first, within a second of `created`, too", async () => {
    const folder = await temporaryFolder();
    const { post, get } = await testEndpoint({ store: fileStore(folder, { packed: true }) });
    for (const id of ["b", "c", "a"]) await post(trace({ id }));
    await post([trace({ id: "z", created: 1_714_857_599 })]);
    const page = await (await get("/")).text();
    expect([...page.matchAll(/logs\/olmo-2\/20240504\/(\w+)\.json/g)].map(([, id]) => id)).toEqual([
      "a",
      "c",
      "b",
      "z",
    ]);
  });

  test("is consulted when packing is off again, and single files are when it is on", async () => {
    const folder = await temporaryFolder();
    const [single, together] = [folderStore(folder, {}), packed(folder)];
    expect([await put(single, "file"), await put(together, "line")]).toEqual(["created", "created"]);
    for (const store of [single, together]) {
      for (const id of ["file", "line"]) {
        expect([id, await put(store, id, "another")]).toEqual([id, "taken"]);
        expect(await store.read(keyOf(id))).toBe(lineOf(id));
      }
      expect(await listed(store)).toEqual([keyOf("file"), keyOf("line")]);
    }
    expect(await filesUnder(join(folder, "logs/m/20240504"))).toEqual(["file.json", "traces.ndjson"]);
  });

  test("that other stores write to, replace or delete is read anew", async () => {
    const folder = await temporaryFolder();
    const [first, second] = [packed(folder), packed(folder)];
    for (const id of ["a", "b", "c"]) await put(id === "b" ? second : first, id);
    for (const store of [first, second]) expect(await listed(store)).toEqual(["a", "b", "c"].map(keyOf));
    await writeFile(join(folder, "aside"), `${lineOf("d")}\n${lineOf("e")}\n${lineOf("f")}\n${lineOf("g")}\n`);
    await rename(join(folder, "aside"), join(folder, PACK));
    expect(await listed(first)).toEqual(["d", "e", "f", "g"].map(keyOf));
    expect(await put(second, "a")).toBe("created");
    await rm(join(folder, PACK));
    expect(await first.read(keyOf("d"))).toBeUndefined();
    expect(await put(first, "d", "new")).toBe("created");
    expect(await second.read(keyOf("d"))).toBe(lineOf("d", "new"));
  });

  test("of a folder not used for long is indexed again when it is needed", async () => {
    const folder = await temporaryFolder();
    const store = packed(folder);
    const keys = Array.from({ length: 300 }, (_, index) => `logs/m-${index}/20240504/a.json`);
    for (const key of keys) expect(await store.put(key, lineOf("a", key), "")).toBe("created");
    for (const key of keys) expect(await store.put(key, lineOf("a"), "")).toBe("taken");
    for (const key of keys) expect(await store.read(key)).toBe(lineOf("a", key));
  });

  test("with lines longer than what is read at a time is read whole", async () => {
    const folder = await temporaryFolder();
    const said = "x".repeat(5_000_000);
    for (const id of ["a", "b", "c"]) expect(await put(packed(folder), id, id === "b" ? said : "hi")).toBe("created");
    expect(await listed(packed(folder))).toEqual(["a", "b", "c"].map(keyOf));
    expect(await packed(folder).read(keyOf("b"))).toBe(lineOf("b", said));
  });
});

describe("what is not a whole line", () => {
  test("at the end, torn at whatever byte, is never read, and makes room for the next trace", async () => {
    const folder = await temporaryFolder();
    await put(packed(folder), "a");
    const last = { key: keyOf("!fc"), content: lineOf("ü"), contentType: "" };
    await packed(folder).putMany([last]);
    const whole = await readFile(join(folder, PACK));
    const first = whole.indexOf("\n") + 1;
    for (let length = first; length < whole.length; length++) {
      await writeFile(join(folder, PACK), whole.subarray(0, length));
      const store = packed(folder);
      expect(await listed(store)).toEqual([keyOf("a")]);
      expect(await store.read(keyOf("!fc"))).toBeUndefined();
      expect(await store.putMany([last])).toEqual([{ status: "fulfilled", value: "created" }]);
      expect(await readFile(join(folder, PACK))).toEqual(whole);
    }
  });

  test.each([
    ["zeros, as after a power cut", Buffer.alloc(9_000)],
    ["a long line of nonsense", Buffer.alloc(3_000_000, "?")],
  ])("at the end, %s, too", async (_, tail) => {
    const folder = await temporaryFolder();
    await put(packed(folder), "a");
    await appendFile(join(folder, PACK), tail);
    expect(await listed(packed(folder))).toEqual([keyOf("a")]);
    expect(await put(packed(folder), "b")).toBe("created");
    expect(await readFile(join(folder, PACK), "utf8")).toBe(`${lineOf("a")}\n${lineOf("b")}\n`);
  });

  test.each(["", "nonsense", '{"id":', '{"id":"\\x"}', '{"id":"","text":', "{}", "[[["])(
    "in the middle, %j, harms nobody else",
    async (damage) => {
      const folder = await temporaryFolder();
      await put(packed(folder), "a");
      await appendFile(join(folder, PACK), `${damage}\n`);
      await put(packed(folder), "b");
      for (const id of ["a", "b"]) {
        expect(await packed(folder).read(keyOf(id))).toBe(lineOf(id));
        expect(await put(packed(folder), id, "another")).toBe("taken");
      }
    },
  );

  test("but still says whose it is, is that trace's failure, told without a word of it", async () => {
    const folder = await temporaryFolder();
    const { post } = await testEndpoint({ store: fileStore(folder, { packed: true }), sharePages: false });
    await post(trace());
    const pack = join(folder, "logs/olmo-2/20240504/traces.ndjson");
    await writeFile(pack, (await readFile(pack, "utf8")).replace(/"content":"W.*\n/, "\n"));
    const error = "StorageError: What is stored under this name is damaged";
    expect(await told(await post(trace()))).toEqual([503, { outcome: "failure", error, url: null }]);
    expect((await post(trace({ id: "other" }))).status).toBe(200);
  });
});

test("whatever is put, together or alone, in packs or files, torn in between: everyone sees the same, the first of each", async () => {
  const ids = ["a", "b", "A", "ü", "x".repeat(300), "con"];
  const entry = fc.record({
    key: fc
      .tuple(
        fc.constantFrom("logs/m/20240504/", "logs/dt=2024-05-04/fp=m/", "share/m/20240504/"),
        fc.constantFrom("a", "b", "A!-1", "!fc", "!63on"),
      )
      .map(([folder, name]) => `${folder}${name}.json`),
    content: fc.oneof(
      fc.tuple(fc.constantFrom(...ids), fc.nat(3)).map(([id, n]) => JSON.stringify({ id, n })),
      fc.constantFrom("plain", '{"id":"a"\n}', ""),
    ),
    contentType: fc.constant(""),
  });
  const step = fc.record({
    by: fc.nat(2),
    entries: fc.array(entry, { maxLength: 6 }),
    torn: fc.constantFrom("", "", '{"id":"b","n"', "\0\0"),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
      const folder = await temporaryFolder();
      const stores = [packed(folder), packed(folder), folderStore(folder, {})];
      const model = new Map<string, string>();
      for (const { by, entries, torn } of steps) {
        const expected = new Map<string, number>();
        const isNew = entries.map(({ key, content }) => {
          if (model.has(key) && !expected.has(key)) return false;
          expected.set(key, (expected.get(key) ?? 0) + 1);
          if (!model.has(key)) model.set(key, content);
          return true;
        });
        const outcomes = (await stores[by]?.putMany(entries)) ?? [];
        const created = entries.filter(
          (_, index) => outcomes[index]?.status === "fulfilled" && outcomes[index].value === "created",
        );
        // Of entries with one new key in one call, one is created, whichever; what is read must be that one.
        expect(created.map(({ key }) => key).toSorted()).toEqual([...expected.keys()].toSorted());
        expect(outcomes.filter(({ status }) => status === "rejected")).toEqual([]);
        expect(
          outcomes.every(
            (outcome, index) => isNew[index] || (outcome.status === "fulfilled" && outcome.value === "taken"),
          ),
        ).toBe(true);
        for (const { key, content } of created) model.set(key, content);
        for (const store of stores) for (const [key, content] of model) expect(await store.read(key)).toBe(content);
        if (torn !== "") await appendFile(join(folder, PACK), torn).catch(() => undefined); // there is no pack yet
      }
      for (const store of stores) {
        for (const prefix of ["logs/m/20240504/", "logs/dt=2024-05-04/fp=m/", "share/m/20240504/"])
          expect(await listed(store, prefix)).toEqual(
            [...model.keys()].filter((key) => key.startsWith(prefix)).toSorted(),
          );
      }
    }),
    { numRuns: 60 },
  );
});

test("processes killed in the middle of their writes leave whole lines, and nobody waits for them", async () => {
  const folder = await temporaryFolder();
  const acknowledged: string[] = [];
  for (let round = 0; round < 4; round++) {
    const writers = ["x", "y"].map((name) =>
      fork(new URL("packs-writer.ts", import.meta.url), [folder, `${name}${round}`], {
        execPath: resolve("node_modules/.bin/node"),
      }),
    );
    for (const writer of writers) writer.on("message", (keys: string[]) => acknowledged.push(...keys));
    await Promise.all(writers.map((writer) => once(writer, "message")));
    for (const writer of writers) writer.kill("SIGKILL");
    await Promise.all(writers.map((writer) => once(writer, "exit")));
    expect(await put(packed(folder), `after-${round}`)).toBe("created");
  }
  const store = packed(folder);
  expect(await listed(store)).toEqual(expect.arrayContaining(acknowledged));
  const lines = (await readFile(join(folder, PACK), "utf8")).split("\n").slice(0, -1);
  expect(new Set(lines.map((line) => JSON.parse(line).id)).size).toBe(lines.length);
  expect((await filesUnder(folder)).filter((file) => !/^\.pack-owner-/.test(file))).toEqual([PACK]);
});

test.each([
  ["a pack that is there", 1],
  ["a pack that one of them begins, or none", 0],
])("of processes that write single files and %s at once, each hears the truth about every trace", async (_, before) => {
  const folder = await temporaryFolder();
  if (before === 1) await put(packed(folder), "before");
  const writers = [true, false, true].map((isPacked, index) =>
    fork(new URL("../file-store-writer.ts", import.meta.url), [folder, `writer-${index}`, String(isPacked)], {
      execPath: resolve("node_modules/.bin/node"),
    }),
  );
  await Promise.all(writers.map((writer) => once(writer, "message"))); // "ready"
  const reports = writers.map(async (writer) => (await once(writer, "message"))[0]);
  for (const writer of writers) writer.send("go");
  const statuses: { same: number[]; own: number[] }[] = await Promise.all(reports);
  expect(new Set(statuses.flatMap(({ same }) => same))).toEqual(new Set([200]));
  for (const index of statuses[0]?.own.keys() ?? []) {
    const heard = statuses.map(({ own }) => own[index]);
    expect(heard.toSorted()).toEqual([200, 409, 409]);
    const stored = JSON.parse((await fileStore(folder).read(keyOf(`own-${index}`))) ?? "");
    expect(stored.messages[0].content).toBe(`writer-${heard.indexOf(200)}`);
  }
  const pack = await readFile(join(folder, PACK), "utf8").catch(() => "");
  const files = (await filesUnder(folder)).filter((file) => file.endsWith(".json"));
  expect(pack.split("\n").length - 1 + files.length).toBe(600 + before); // each in one place
});

test.each([5, 50])("a batch finds the %i files that were there before packing", async (count) => {
  const folder = await temporaryFolder();
  const entries = Array.from({ length: 60 }, (_, index) => ({
    key: keyOf(`t${index}`),
    content: lineOf(`t${index}`),
    contentType: "",
  }));
  await folderStore(folder, {}).putMany(entries.slice(0, count));
  const outcomes = await packed(folder).putMany(entries);
  expect(outcomes).toEqual(
    entries.map((_, index) => ({ status: "fulfilled", value: index < count ? "taken" : "created" })),
  );
});

test("an id that would be another one in the file is no line", async () => {
  const folder = await temporaryFolder();
  const entry = { key: keyOf("!ud800"), content: '{"id":"\ud800"}', contentType: "" };
  for (const value of ["created", "taken"]) {
    expect(await packed(folder).putMany([entry])).toEqual([{ status: "fulfilled", value }]);
    expect(await packed(folder).read(entry.key)).toBe('{"id":"\ufffd"}'); // as UTF-8 has it
  }
});

test("a key that is none fails alone", async () => {
  const store = packed(await temporaryFolder());
  const outcomes = await store.putMany(
    ["a", "../b", "c"].map((id) => ({ key: keyOf(id), content: lineOf(id), contentType: "" })),
  );
  expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
});

test("a pack made elsewhere is a pack: a file of traces copied into its folder is served", async () => {
  const { folder, get } = await testEndpoint();
  const file = join(folder, "logs/olmo-2/20240504/traces.ndjson");
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, `${JSON.stringify(trace())}\n`);
  expect(await (await get("/logs/olmo-2/20240504/trace-1.json")).json()).toEqual(trace());
});
