import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { policyOf } from "../../src/endpoint/html.ts";
import { fileStore, sharePage } from "../../src/endpoint/index.ts";
import { parseTrace } from "../../src/trace.ts";
import { toCallMessage, toTraceMessage } from "../../src/transcript.ts";
import { temporaryFolder, testEndpoint, trace } from "./support.ts";

const pageOf = (fields: object) => sharePage(parseTrace(trace(fields)));

describe("a share page", () => {
  test("says who said what, with the model, the time, the tokens and the id", async () => {
    const page = await pageOf({ usage: { prompt_tokens: 12, completion_tokens: 34, total_tokens: 46 } });
    for (const shown of ["What is a LLM?", "olmo-2", "2024-05-04 21:20:00 UTC", "12 in, 34 out", "trace-1"]) {
      expect(page).toContain(shown);
    }
  });

  test.each([
    ["the Responses API", { input_tokens: 12, output_tokens: 34 }],
    ["the AI SDK", { inputTokens: { total: 12, noCache: 2 }, outputTokens: { total: 34 }, raw: { prompt_tokens: 1 } }],
    ["LangChain's completion models", { promptTokens: 12, completionTokens: 34, totalTokens: 46 }],
  ])("finds the tokens where %s has them", async (_, usage) => {
    expect(await pageOf({ usage })).toContain("12 in, 34 out");
  });

  test.each([
    ["a part of the content", { content: [{ type: "reasoning", reasoning: "A tool knows." }] }],
    ["Anthropic's and Mistral's part", { content: [{ type: "thinking", thinking: "A tool knows.", signature: "s" }] }],
    [
      "Mistral's part with texts of its own",
      { content: [{ type: "thinking", thinking: [{ type: "text", text: "A tool knows." }] }] },
    ],
    [
      "an item of the Responses API, as LangChain keeps it",
      { reasoning: { type: "reasoning", id: "rs_1", summary: [{ type: "summary_text", text: "A tool knows." }] } },
    ],
  ])("shows reasoning as text, folded: %s", async (_, said) => {
    const message = toTraceMessage({ role: "assistant", content: "Clear.", ...said });
    const page = await pageOf({ messages: [message] });
    expect(page).toMatch(/<details><summary>Reasoning<\/summary><div[^>]*>A tool knows\.<\/div>/);
  });

  test("says what an image was also where its bytes stood by themselves", async () => {
    const image = { type: "image_url", image_url: { data: "[image/png, 135 bytes]", media_type: "image/png" } };
    const page = await pageOf({ messages: [toTraceMessage({ role: "user", content: [image] })] });
    expect(page).toContain("Image: [image/png, 135 bytes]");
  });

  test("shows a block of code as code, and leaves nothing of it out", async () => {
    const page = await pageOf({
      messages: [{ role: "user", content: "See:\n```ts\na < b\n```\nand ```this``` is\n```\nopen" }],
    });
    expect(page).toContain(
      'See:\n<code dir="ltr"><i>&#96;&#96;&#96;ts\n</i>a &#60; b\n<i>&#96;&#96;&#96;\n</i></code>and &#96;&#96;&#96;this',
    );
    expect(page.match(/<code/g)).toHaveLength(1);
  });

  test("shows the items of the Responses API as what they say, and a tool's JSON as JSON", async () => {
    const output = JSON.stringify({
      degrees: 21,
      sky: "clear",
      wind: { from: "north", speed: 12.5 },
      "a b": ["c d", 1],
    });
    const items = [
      { type: "message", role: "user", content: [{ type: "input_text", text: "The weather in Paris?" }] },
      { type: "reasoning", id: "rs_1", summary: [{ type: "summary_text", text: "A tool knows." }] },
      { type: "function_call", call_id: "c1", name: "get_weather", arguments: '{"city":"Paris"}' },
      { type: "function_call_output", call_id: "c1", output },
      {
        type: "message",
        role: "assistant",
        content: [
          { type: "output_text", text: "It is clear.", annotations: [] },
          { type: "refusal", refusal: "No more." },
        ],
      },
    ];
    const page = await pageOf({ messages: items.map((item) => toTraceMessage(item)) });
    const cards = [...page.matchAll(/<article class="(\w+)"><h2>([^<]*)<\/h2>(.*?)<\/article>/gs)].map((card) =>
      card.slice(1),
    );
    expect(cards.map(([tone, who]) => `${tone} ${who}`)).toEqual([
      "user user",
      "assistant assistant",
      "assistant assistant",
      "tool tool",
      "assistant assistant",
    ]);
    const [asked, thought, called, result, answered] = cards.map(([, , body]) => body);
    expect(asked).toBe('<div class="text" dir="auto">The weather in Paris?</div>');
    expect(thought).toContain('<summary>Reasoning</summary><div class="text" dir="auto">A tool knows.</div>');
    expect(called).toContain('<h3>Calls get_weather</h3><pre dir="ltr">\n{&#34;city&#34;:&#34;Paris&#34;}</pre>');
    expect(result).toContain("&#34;degrees&#34;: 21,\n");
    expect(answered).toBe('<div class="text" dir="auto">It is clear.</div><p class="quiet">Refused: No more.</p>');
  });

  test.each(['{"n":12345678901234567890}', '{"n":1e400}', '{"a":1,"a":2}', "[1.0, 2]", "[broken", "{}", "[link](x)"])(
    "shows %s from a tool as it came",
    async (content) => {
      const long = `${content}${" ".repeat(100)}`;
      const page = await pageOf({ messages: [toTraceMessage({ role: "tool", content: long })] });
      expect(page.replaceAll("&#34;", '"')).toContain(long);
    },
  );

  test("says openly why a call failed", async () => {
    const error = { name: "RateLimitError", message: "Slow <down>, please.", code: "rate_limit" };
    const page = await pageOf({ messages: [toCallMessage({ ended: "failed", status: 429, error })] });
    expect(page).toContain(
      '<article class="failed"><h2>call</h2><p>The call ended: <b>failed</b> (RateLimitError · 429 · rate_limit).',
    );
    expect(page).toContain("Slow &#60;down&#62;, please.");
    expect(page.slice(page.indexOf("<article"), page.indexOf("</main>"))).not.toContain("<details>");
  });

  test("of a message of millions of characters shows a part, and says so", async () => {
    const content = '"'.repeat(5_000_000);
    const page = await pageOf({ messages: [{ role: "user", content }, toTraceMessage({ role: "tool", content })] });
    expect(page.length).toBeLessThan(3_000_000);
    expect(page.match(/… 4,800,000 more characters/g)).toHaveLength(2);
    expect(page).toContain("characters of JSON: too many for a page");
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

  test.each([{ packed: false }, { packed: true }])("says what a trace is found by: %o", async (options) => {
    const { post, get } = await testEndpoint({ store: fileStore(await temporaryFolder(), options) });
    const item = async (fields: object) => {
      await post(trace({ id: "the-id", ...fields }));
      const [found = ""] = /<li>.*the-id<\/p><\/li>/s.exec(await (await get("/")).text()) ?? [];
      return [/<a [^>]*>([^<]*)/.exec(found)?.[1], /<p>(.*)<\/p>/.exec(found)?.[1]];
    };
    const answer = { role: "assistant", content: "A language model." };
    const usage = { prompt_tokens: 12, completion_tokens: 34 };
    expect(await item({ model: "a", usage })).toEqual([
      "What is a LLM?",
      "a · 2 messages · tokens: 12 in, 34 out · complete · the-id",
    ]);
    const parts = [
      { type: "image_url", image_url: "x" },
      { type: "text", text: "  Look <b>\n here\n" },
    ];
    const messages = [
      { role: "system", content: "You are kind." },
      toTraceMessage({ role: "tool", content: "sunny" }),
      toTraceMessage({ role: "user", content: parts }),
      answer,
      toCallMessage({ ended: "aborted" }),
    ];
    expect(await item({ created: 1_800_000_000, model: "b", system_fingerprint: "app", messages })).toEqual([
      "Look &#60;b&#62; here",
      "app · b · 5 messages · <b>aborted</b> · the-id",
    ]);
    expect(await item({ created: 1_810_000_000, model: "c", messages: [answer] })).toEqual([
      "the-id",
      "c · 1 message · complete · the-id",
    ]);
    const long = { role: "user", content: "😀".repeat(500_000) };
    expect(await item({ created: 1_820_000_000, model: "d", messages: [long] })).toEqual(["the-id", "d · the-id"]);
    const shorter = { role: "user", content: `x${"😀".repeat(100_000)}` };
    const [words = ""] = await item({ created: 1_830_000_000, model: "e", messages: [shorter] });
    expect(words).toMatch(/^x(?:😀)+…$/u);
  });

  test("holds damaged traces, too", async () => {
    const { folder, post, get } = await testEndpoint();
    await post(trace());
    for (const content of ['{"id":', "5", '{"messages":7}', "[]"]) {
      await writeFile(join(folder, "logs/olmo-2/20240504/trace-1.json"), content);
      const page = await get("/");
      expect([page.status, await page.text()]).toEqual([200, expect.stringContaining("<p>olmo-2 · trace-1</p>")]);
    }
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

  test("leads to pages that open: signed where links are, and to the JSON where there are no pages", async () => {
    const linksOf = async (page: Response) =>
      [...(await page.text()).matchAll(/<a href="([^"]+)"/g)].map(([, link]) => link ?? "");
    const signed = await testEndpoint({ shareLinks: { secret: "a secret that nobody guesses" } });
    await signed.post(trace());
    const [page = ""] = await linksOf(await signed.get("/"));
    expect((await signed.get(page.replaceAll("&#38;", "&"))).status).toBe(200);
    const without = await testEndpoint({ sharePages: false });
    await without.post(trace());
    expect(await linksOf(await without.get("/"))).toEqual(["/logs/olmo-2/20240504/trace-1.json"]);
    const away = await testEndpoint({ publicUrl: "https://t.example/prod" });
    await away.post(trace());
    expect((await linksOf(await away.get("/"))).every((link) => link.startsWith("https://t.example/prod/"))).toBe(true);
  });

  test("without share pages, those of former times are not shown either", async () => {
    const { folder, post } = await testEndpoint();
    await post(trace());
    const { get } = await testEndpoint({ store: fileStore(folder), sharePages: false });
    expect((await get("/share/olmo-2/20240504/trace-1.html")).status).toBe(404);
  });

  test("is the same in the partitioned layout, and its links work", async () => {
    const { post, get } = await testEndpoint({ layout: "partitioned" });
    await post(trace({ id: "older", created: 1_700_000_000 }));
    await post(trace({ id: "newer" }));
    const page = await (await get("/")).text();
    expect([...page.matchAll(/ · ([^ ]+)<\/p>/g)].map(([, id]) => id)).toEqual(["newer", "older"]);
    expect((await get("/share/dt=2024-05-04/fp=olmo-2/newer.html")).status).toBe(200);
    expect((await get("/logs/dt=2024-05-04/fp=olmo-2/newer.json")).status).toBe(200);
  });
});
