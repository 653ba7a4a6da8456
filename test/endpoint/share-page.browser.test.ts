import { execFileSync } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { fileStore } from "../../src/endpoint/index.ts";
import { startServer } from "../../src/endpoint/node.ts";
import { toCallMessage, toTraceMessage } from "../../src/transcript.ts";
import { temporaryFolder, trace } from "./support.ts";

const executablePath = findChromium();
if (executablePath === undefined) {
  process.stderr.write("SKIPPED: share pages in a real browser (no chromium; apt-get install chromium)\n");
}

describe.skipIf(executablePath === undefined)("a share page in a real browser", () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: executablePath ?? "", args: ["--no-sandbox"] });
  });
  afterAll(() => browser.close());

  /** Store a trace, open its page, and watch everything the page tries. */
  async function open(fields: object, options: BrowserContextOptions = {}) {
    const server = await startServer({ store: fileStore(await temporaryFolder()) });
    onTestFinished(() => server.close());
    const init = { method: "POST", headers: { "content-type": "application/json" } };
    const answer = await fetch(server.url, { ...init, body: JSON.stringify(trace(fields)) });
    const { url } = await answer.json();
    const context = await browser.newContext(options);
    onTestFinished(() => context.close());
    const page = await context.newPage();
    const attempts: string[] = [];
    page.on("request", (request) => attempts.push(request.url()));
    page.on("dialog", (dialog) => {
      attempts.push(`dialog: ${dialog.message()}`);
      dialog.dismiss();
    });
    const complaints: string[] = [];
    page.on("console", (message) => complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(error.message));
    await page.goto(url);
    return { page, url, attempts, complaints };
  }

  test("shows the conversation, complains about nothing, loads nothing", async () => {
    const { page, url, attempts, complaints } = await open({});
    expect(await page.locator("article .text").allInnerTexts()).toEqual(["What is a LLM?", "A language model."]);
    expect(await page.locator("article h2").allInnerTexts()).toEqual(["user", "assistant"]);
    expect(attempts).toEqual([url]);
    expect(complaints).toEqual([]);
  });

  test("text appears as it was said, blank space and all", async () => {
    const content = "\n\n  indented\n\ttab\n<b>&amp;</b> &lt; ' \" `\n";
    const { page } = await open({ messages: [{ role: "user", content }] });
    expect(await page.locator("article .text").textContent()).toBe(content);
  });

  test("messages in the encoded form are shown as what they say", async () => {
    const { page } = await open({ messages: CONVERSATION });
    const roles = await page.locator("article h2").allInnerTexts();
    expect(roles).toEqual(["developer", "user", "assistant", "tool", "assistant", "user", "assistant"]);
    const call = page.locator("article").nth(2);
    expect(await call.locator(".text").first().isVisible()).toBe(false); // what it thought is folded
    await call.locator("summary").click();
    expect(await call.locator(".text").allInnerTexts()).toEqual([
      "They want the weather.\nThere is a tool for that.",
      "I'll look it up.",
    ]);
    expect(await call.locator("h3").textContent()).toBe("Calls get_weather");
    expect(await call.locator("pre").textContent()).toBe('{"city":"Paris"}');
    expect(await page.locator("article").last().textContent()).toContain("I can't help with that.");
    expect(await page.locator("main").getByText(":::").count()).toBe(0);
  });

  test("nothing of what strangers wrote runs or loads", async () => {
    const payloads = HOSTILE.map((payload) => payload.replaceAll("BOOM", "document.title='hacked',alert(1)"));
    const { page, url, attempts } = await open({
      id: payloads.join(" "),
      model: payloads.join(" "),
      system_fingerprint: payloads.join(" "),
      messages: [
        ...payloads.map((content) => ({ role: "user", content })),
        ...payloads.map((text) => toTraceMessage({ role: text, content: [{ type: "text", text }], [text]: text })),
        ...payloads.map((text) => toTraceMessage({ role: "assistant", name: text, reasoning: text, refusal: text })),
        ...payloads.map((text) => toTraceMessage({ tool_calls: [{ function: { name: text, arguments: text } }] })),
      ],
      choices: payloads.map((content) => ({ message: { content }, [content]: 1 })),
      usage: Object.fromEntries(payloads.map((payload) => [payload, payload])),
    });
    const shown = await page.locator("article .text").allTextContents();
    expect(shown.slice(0, payloads.length)).toEqual(payloads);
    await page.evaluate(() => {
      for (const folded of document.querySelectorAll("details")) folded.open = true;
    });
    await page.mouse.move(200, 200);
    await page.keyboard.press("Tab");
    expect(await page.title()).not.toBe("hacked");
    expect(await page.locator("img, iframe, svg, object, embed, form, base, link, a").count()).toBe(0);
    expect(await page.locator("script").count()).toBe(1);
    expect(attempts).toEqual([url]);
  });

  test("even markup that got in could not run: the policy stands behind the escaping", async () => {
    const { page, attempts, url } = await open({});
    await page.evaluate(() => {
      const intruder = document.createElement("div");
      intruder.innerHTML = `<img src="http://127.0.0.1:9/x.png" onerror="document.title='hacked'">`;
      const script = document.createElement("script");
      script.textContent = "document.title='hacked'";
      document.body.append(intruder, script);
    });
    await page.waitForFunction(() => document.images[0]?.complete);
    expect(await page.title()).not.toBe("hacked");
    expect(attempts.filter((attempt) => attempt !== url && !attempt.startsWith("http://127.0.0.1:9/"))).toEqual([]);
  });

  test("the button copies the whole trace, exactly", async () => {
    const fields = { messages: [{ role: "user", content: "‮ </script> \ud83d\ude00\u0000" }], usage: { x: "<!--" } };
    const { page } = await open(fields, { permissions: ["clipboard-read", "clipboard-write"] });
    await page.locator("#copy").click();
    await page.locator("#copy", { hasText: "Copied" }).waitFor();
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    expect(JSON.parse(copied)).toMatchObject(trace(fields));
  });

  test("fits a phone, in the light and in the dark", async () => {
    const wide = "x".repeat(500);
    const messages = [
      ...CONVERSATION,
      toCallMessage({ ended: "aborted" }),
      { role: "user", content: `${wide} \`\`\`\n${wide}\n\`\`\`` },
    ];
    for (const colorScheme of ["light", "dark"] as const) {
      const { page } = await open(
        { messages, usage: { prompt_tokens: 120, completion_tokens: 48 } },
        { colorScheme, viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 },
      );
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      expect(overflow).toBeLessThanOrEqual(0);
      expect(await contrast(page)).toBeGreaterThan(7);
      await screenshot(page, `share-${colorScheme}.png`);
    }
  });
});

const HOSTILE = [
  "<script>BOOM</script>",
  "</script><script>BOOM</script>",
  "</pre></details><script>BOOM</script>",
  "</title><script>BOOM</script>",
  "</style><script>BOOM</script>",
  '"><img src=x onerror="BOOM">',
  "'><svg onload=BOOM>",
  "<iframe srcdoc='<script>parent.BOOM</script>'>",
  "<a href='javascript:BOOM' autofocus onfocus=BOOM>x</a>",
  "<!--<script>BOOM//-->",
  "<base href=http://127.0.0.1:9/><link rel=stylesheet href=x.css>",
  "<meta http-equiv=refresh content='0;url=http://127.0.0.1:9/'>",
  "<form action=http://127.0.0.1:9/><input name=x autofocus onfocus=BOOM></form>",
  "&lt;script&gt;BOOM&lt;/script&gt;",
  "{{BOOM}} `BOOM`",
];

const CONVERSATION = [
  { role: "developer", content: "You are a helpful assistant." },
  { role: "user", content: "What is the weather in Paris, and what is a LLM?" },
  {
    role: "assistant",
    content: "I'll look it up.",
    reasoning_content: "They want the weather.\nThere is a tool for that.",
    tool_calls: [{ id: "call_1", type: "function", function: { name: "get_weather", arguments: '{"city":"Paris"}' } }],
  },
  { role: "tool", tool_call_id: "call_1", content: '{"degrees":21,"sky":"clear"}' },
  {
    role: "assistant",
    content: "21 degrees and clear. An LLM is a type of machine learning model.\n\n1. It reads.\n2. It writes.",
  },
  {
    role: "user",
    content: [
      { type: "text", text: "And this?" },
      { type: "image_url", image_url: { url: "image" } },
    ],
  },
  { role: "assistant", content: null, refusal: "I can't help with that." },
].map((message) => toTraceMessage(message));

function findChromium(): string | undefined {
  try {
    return execFileSync("sh", ["-c", "command -v chromium"], { encoding: "utf8" }).trim();
  } catch {
    return undefined;
  }
}

/** Kept where TRACELOGGER_SCREENSHOTS says, for people to look at. */
async function screenshot(page: Page, name: string): Promise<void> {
  const folder = process.env["TRACELOGGER_SCREENSHOTS"];
  if (folder === undefined) return;
  await mkdir(folder, { recursive: true });
  await page.screenshot({ path: join(folder, name), fullPage: true });
}

/** The contrast of text on a card, by the formula of the WCAG. */
function contrast(page: Page): Promise<number> {
  return page.evaluate(() => {
    const luminance = (color: string) => {
      const [red = 0, green = 0, blue = 0] = (color.match(/[\d.]+/g) ?? []).slice(0, 3).map((part) => {
        const value = Number(part) / 255;
        return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const card = getComputedStyle(document.querySelector("article") ?? document.body);
    const [low = 0, high = 0] = [luminance(card.color), luminance(card.backgroundColor)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  });
}
