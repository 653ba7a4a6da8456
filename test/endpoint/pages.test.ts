import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { createEndpoint, fileStore } from "../../src/endpoint/index.ts";
import { filesUnder, memoryStore, testEndpoint, told, trace } from "./support.ts";

const JSON_KEY = "logs/olmo-2/20240504/trace-1.json";
const PAGE = "/share/olmo-2/20240504/trace-1.html";

describe("share pages on demand", () => {
  test("are what would have been stored, with the same headers, and nothing but the trace is stored", async () => {
    const written = await testEndpoint();
    const { folder, post, get } = await testEndpoint({ sharePages: "on-demand" });
    const answers = [await told(await written.post(trace())), await told(await post(trace()))];
    expect(answers[1]).toEqual(answers[0]);
    expect(await filesUnder(folder)).toEqual([JSON_KEY]);
    const [page, expected] = [await get(PAGE), await written.get(PAGE)];
    expect(await page.text()).toBe(await expected.text());
    const plain = ({ headers }: Response) => [...headers].filter(([name]) => name !== "x-amzn-requestid");
    expect(plain(page)).toEqual(plain(expected));
  });

  test("are made for traces that came without one", async () => {
    const { folder, post } = await testEndpoint({ sharePages: false });
    await post(trace());
    const { get } = await testEndpoint({ store: fileStore(folder), sharePages: "on-demand" });
    expect(await (await get(PAGE)).text()).toContain("A language model.");
    expect(await (await get("/")).text()).toContain(PAGE);
  });

  test.each([
    "/share/olmo-2/20240504/other.html",
    "/share/olmo-2/20240504/trace-1.json",
    "/share/../logs/x",
    "/share/",
  ])("are not made for %s", async (path) => {
    const { post, get } = await testEndpoint({ sharePages: "on-demand" });
    await post(trace());
    expect((await get(path)).status).toBe(404);
  });

  test("open by signed links only, where links are signed", async () => {
    const shareLinks = { secret: "a secret that nobody guesses" };
    const { post, get } = await testEndpoint({ sharePages: "on-demand", shareLinks });
    const [, body] = await told(await post(trace()));
    const { pathname, search } = new URL((body as { url: string }).url);
    expect((await get(pathname + search)).status).toBe(200);
    expect((await get(pathname)).status).toBe(403);
  });

  test("of a damaged trace are refused, without a word of it", async () => {
    const onError = vi.fn();
    const { folder, post, get } = await testEndpoint({ sharePages: "on-demand", onError });
    await post(trace());
    await writeFile(join(folder, JSON_KEY), JSON.stringify(trace()).slice(0, -9));
    const page = await get(PAGE);
    expect(page.status).toBe(503);
    expect((await page.text()) + JSON.stringify(onError.mock.calls)).not.toContain("LLM");
  });
});

test("any other word for `sharePages` is refused at once", () => {
  const sharePages = "sometimes" as unknown as true; // what JavaScript may hand over
  expect(() => createEndpoint({ store: memoryStore(), sharePages })).toThrow("sharePages");
});
