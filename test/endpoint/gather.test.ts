import { expect, test, vi } from "vitest";
import { createEndpoint, type NewEntry, type Store } from "../../src/endpoint/index.ts";
import { memoryStore, postRequest, told, trace } from "./support.ts";

type Outcomes = Awaited<ReturnType<NonNullable<Store["putMany"]>>>;

/** A store in memory that takes many entries at once, and says how many each time. */
function manyStore(fail: (key: string) => boolean = () => false) {
  const memory = memoryStore(fail);
  const putMany = vi.fn(
    (entries: readonly NewEntry[]): Promise<Outcomes> =>
      Promise.allSettled(entries.map(({ key, content, contentType }) => memory.put(key, content, contentType))),
  );
  return { ...memory, put: vi.fn(memory.put), putMany };
}

const items = (...ids: string[]) => postRequest(JSON.stringify(ids.map((id) => trace({ id }))));
const results = async (response: Response) => {
  const [, body] = await told(response);
  return (body as { results: { result: string }[] }).results.map(({ result }) => result);
};

test("a batch goes to a store that takes many at once in one call for the traces, and one for their pages", async () => {
  const store = manyStore();
  const ids = Array.from({ length: 200 }, (_, index) => `t${index}`);
  expect(await results(await createEndpoint({ store })(items(...ids)))).toEqual(ids.map(() => "stored"));
  expect(store.putMany.mock.calls.map(([entries]) => entries.length)).toEqual([200, 200]);
  expect(store.put).not.toHaveBeenCalled();
});

test("one trace alone is put alone", async () => {
  const store = manyStore();
  expect((await createEndpoint({ store })(postRequest(JSON.stringify(trace())))).status).toBe(200);
  expect(store.putMany).not.toHaveBeenCalled();
});

test("names that take a hash to make, which are late, arrive too, and what is twice in a batch is stored once", async () => {
  const store = manyStore();
  const long = "x".repeat(300);
  const endpoint = createEndpoint({ store, sharePages: false });
  expect((await results(await endpoint(items("a", long, "a", "b", long)))).toSorted()).toEqual([
    "duplicate",
    "duplicate",
    "stored",
    "stored",
    "stored",
  ]);
  expect(store.entries.size).toBe(3);
});

test("an entry that the store failed is that trace's failure", async () => {
  const endpoint = createEndpoint({ store: manyStore((key) => key.includes("/b.")), sharePages: false });
  expect(await results(await endpoint(items("a", "b", "c")))).toEqual(["stored", "failed", "stored"]);
});

test.each([
  ["fails as a whole", () => Promise.reject(new Error("down"))],
  [
    "throws",
    () => {
      throw new Error("a bug");
    },
  ],
  ["answers for fewer than it was asked", async () => []],
] as const)("a store that %s leaves no trace without an answer", async (_, putMany) => {
  const endpoint = createEndpoint({ store: { ...memoryStore(), putMany }, sharePages: false });
  expect(await results(await endpoint(items("a", "b")))).toEqual(["failed", "failed"]);
});
