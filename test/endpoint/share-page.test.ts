import { describe, expect, test } from "vitest";
import { policyOf } from "../../src/endpoint/html.ts";
import { sharePage } from "../../src/endpoint/index.ts";
import { parseTrace } from "../../src/trace.ts";
import { testEndpoint, trace } from "./support.ts";

const pageOf = (fields: object) => sharePage(parseTrace(trace(fields)));

describe("a share page", () => {
  test("says who said what, with the model, the time, the tokens and the id", async () => {
    const page = await pageOf({ usage: { prompt_tokens: 12, completion_tokens: 34, total_tokens: 46 } });
    for (const shown of ["What is a LLM?", "olmo-2", "2024-05-04 21:20:00 UTC", "12 in, 34 out", "trace-1"]) {
      expect(page).toContain(shown);
    }
  });

  test("shows a block of code as code, and leaves nothing of it out", async () => {
    const page = await pageOf({
      messages: [{ role: "user", content: "See:\n```ts\na < b\n```\nand ```this``` is\n```\nopen" }],
    });
    expect(page).toContain(
      'See:\n<code dir="ltr">&#96;&#96;&#96;ts\na &#60; b\n&#96;&#96;&#96;\n</code>and &#96;&#96;&#96;this',
    );
    expect(page.match(/<code/g)).toHaveLength(1);
  });

  test("refers to nothing outside it", async () => {
    const page = await pageOf({});
    expect(page).not.toMatch(/\b(?:src|href|srcset|action)=|@import|url\(/);
  });

  test("makes invisible and reordering marks visible", async () => {
    const content = "access = '\u202euser\u202c' \u200bok\u0000";
    const page = await pageOf({ messages: [{ role: "user", content }] });
    expect(page).toContain("access = &#39;[U+202E]user[U+202C]&#39; [U+200B]ok[U+0000]");
  });

  test("keeps emoji sequences and languages that need joiners", async () => {
    const content = "👩‍👩‍👧 می‌خواهم";
    expect(await pageOf({ messages: [{ role: "user", content }] })).toContain(content);
  });

  test.each([
    ["a list of four billion", '::: user {"content":[]}\n::: /content/4294967294\nx'],
    ["a million levels", `::: user {"a":${'{"a":'.repeat(1_000_000)}1${"}".repeat(1_000_001)}`],
    ["a million levels that never end", `::: user {"a":${"[".repeat(1_000_000)}`],
    ["a call that is none", "::: call 5"],
    ["a call of nothing", "::: call null"],
    ["a message that is a number", "::: ? 5"],
    [
      "fields of the wrong types",
      '::: assistant {"tool_calls":[null,5,{"function":[]}],"name":{},"reasoning":{"a":1}}',
    ],
    ["a text where a list is", '::: assistant {"tool_calls":[]}\n::: /tool_calls/length\n4294967295'],
    ["a prototype", '::: user {"a":1}\n::: /__proto__/polluted\nyes\n::: /constructor/prototype/polluted\nyes'],
  ])("is made of %s written in the text form by strangers", async (_, content) => {
    const messages = [
      { role: "system", content },
      { role: "user", content },
    ];
    expect(await pageOf({ messages })).toContain("<article");
    expect(Reflect.get({}, "polluted")).toBeUndefined();
  });

  test("is served with its own policy, and without a way to frame or sniff it", async () => {
    const { post, get } = await testEndpoint();
    await post(trace({ model: `"><meta http-equiv="Content-Security-Policy" content="default-src *">` }));
    const [key] = /share\/[^"]+\.html/.exec(await (await get("/")).text()) ?? [];
    const answer = await get(`/${key}`);
    const policy = answer.headers.get("content-security-policy");
    expect(policy).toMatch(
      /^default-src 'none'; style-src 'sha256-[\w+/]+='; script-src 'sha256-[\w+/]+='; base-uri 'none'; form-action 'none'; frame-ancestors 'none'$/,
    );
    expect(answer.headers.get("x-content-type-options")).toBe("nosniff");
    expect(answer.headers.get("referrer-policy")).toBe("no-referrer");
  });

  test("without a policy of its own, a page may do nothing", () => {
    expect(policyOf("<p>hello")).toBe("default-src 'none'; frame-ancestors 'none'");
  });
});

describe("the list", () => {
  test("is newest day first, in pages", async () => {
    const { post, get } = await testEndpoint();
    const day = 86_400;
    for (let index = 0; index < 105; index++) {
      await post(trace({ id: `trace-${index}`, created: 1_700_000_000 + index * day }));
    }
    const first = await (await get("/")).text();
    const ids = (page: string) => [...page.matchAll(/· (trace-\d+)</g)].map(([, id]) => id);
    expect(ids(first)).toEqual(Array.from({ length: 100 }, (_, index) => `trace-${104 - index}`));
    expect(first).toContain('href="?page=2"');
    const second = await (await get("/?page=2")).text();
    expect(ids(second)).toEqual(["trace-4", "trace-3", "trace-2", "trace-1", "trace-0"]);
    expect(second).toContain('href="?page=1"');
    expect(second).not.toContain('href="?page=3"');
  });

  test.each(["x", "-1", "1e99", "NaN", ""])("the page %j is some page", async (page) => {
    const { get } = await testEndpoint();
    expect((await get(`/?page=${page}`)).status).toBe(200);
  });

  test("hostile names are escaped and their links work", async () => {
    const { post, get } = await testEndpoint();
    await post(trace({ id: "<img src=x onerror=alert(1)>", model: "../../<b>" }));
    const page = await (await get("/")).text();
    expect(page).not.toContain("<img");
    expect(page).not.toContain("<b>");
    const [, link = ""] = /href="(\/share[^"]+)"/.exec(page) ?? [];
    expect((await get(link)).status).toBe(200);
  });

  test("is the same in the partitioned layout, and its links work", async () => {
    const { post, get } = await testEndpoint({ layout: "partitioned" });
    await post(trace({ id: "older", created: 1_700_000_000 }));
    await post(trace({ id: "newer" }));
    const page = await (await get("/")).text();
    expect([...page.matchAll(/>([^<]+ · [^<]+)</g)].map(([, name]) => name)).toEqual([
      "olmo-2 · newer",
      "olmo-2 · older",
    ]);
    expect((await get("/share/dt=2024-05-04/fp=olmo-2/newer.html")).status).toBe(200);
    expect((await get("/logs/dt=2024-05-04/fp=olmo-2/newer.json")).status).toBe(200);
  });
});
