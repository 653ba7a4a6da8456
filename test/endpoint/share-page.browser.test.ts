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

  const wide = "x".repeat(500);
  const everything = [
    ...CONVERSATION,
    toCallMessage({ ended: "failed", status: 429, error: { name: "RateLimitError", message: "Too many requests." } }),
    { role: "user", content: `${wide} \`\`\`\n${wide}\n\`\`\`` },
  ];
  const screens = {
    "phone-light": { colorScheme: "light", viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 },
    "phone-dark": { colorScheme: "dark", viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 },
    "desktop-light": { colorScheme: "light", viewport: { width: 1280, height: 800 } },
    "desktop-dark": { colorScheme: "dark", viewport: { width: 1280, height: 800 } },
  } as const satisfies Record<string, BrowserContextOptions>;

  test.each(Object.entries(screens))(
    "fits a %s screen and is easy to read there, as is the list",
    async (name, screen) => {
      const { page, url } = await open(
        { messages: everything, usage: { prompt_tokens: 120, completion_tokens: 48 } },
        screen,
      );
      const overflow = () => page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      expect(await overflow()).toBeLessThanOrEqual(0);
      expect(await contrast(page, "article, article h2, article h3, article .quiet")).toBeGreaterThan(4.5);
      expect(await contrast(page, "article .text")).toBeGreaterThan(7);
      await screenshot(page, `share-${name}.png`);
      await page.goto(new URL("/", url).href);
      expect(await overflow()).toBeLessThanOrEqual(0);
      await screenshot(page, `list-${name}.png`);
    },
  );

  test("of 300 messages is whole, and leads to the last one", async () => {
    const messages = Array.from({ length: 300 }, (_, index) => CONVERSATION[index % CONVERSATION.length]);
    const { page } = await open({ messages }, screens["phone-light"]);
    expect(await page.locator("article").count()).toBe(300);
    await page.locator("article").last().scrollIntoViewIfNeeded();
    expect(await page.locator("article").last().isVisible()).toBe(true);
    await screenshot(page, "share-300.png", false);
  });

  test("a blank line beside a block of code does not double the room around it", async () => {
    const around = (line: string) => ({ role: "user", content: `before\n${line}\`\`\`\ncode\n\`\`\`\n${line}after` });
    const { page } = await open({ messages: [around(""), around("\n")] });
    const [tight, blank] = await page
      .locator("article .text")
      .evaluateAll((texts) => texts.map((text) => text.clientHeight));
    expect(blank).toBe(tight);
    expect(await page.locator("article .text").last().textContent()).toBe(around("\n").content);
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
  {
    role: "tool",
    tool_call_id: "call_1",
    content: '{"degrees":21,"sky":"clear","wind":{"from":"north","speed":12.5},"source":"a station nearby"}',
  },
  {
    role: "assistant",
    content: `21 degrees and **clear**. An LLM is a type of machine learning model.

## What it does

1. It reads.
2. It writes, for example with \`print\`:

\`\`\`python
def greet(name: str) -> None:
    print(f"Hello, {name}")
\`\`\`

That is all.`,
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
async function screenshot(page: Page, name: string, fullPage = true): Promise<void> {
  const folder = process.env["TRACELOGGER_SCREENSHOTS"];
  if (folder === undefined) return;
  await mkdir(folder, { recursive: true });
  await page.screenshot({ path: join(folder, name), fullPage });
}

/** The least contrast of what a selector finds on its card, by the formula of the WCAG. */
function contrast(page: Page, selector: string): Promise<number> {
  return page.evaluate((found) => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const luminance = (color: string) => {
      if (!canvas) throw new Error("no canvas");
      canvas.fillStyle = color; // whatever colour space it is written in
      canvas.fillRect(0, 0, 1, 1);
      const [red = 0, green = 0, blue = 0] = Array.from(canvas.getImageData(0, 0, 1, 1).data, (part) => {
        const value = part / 255;
        return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const contrasts = Array.from(document.querySelectorAll(found), (element) => {
      const card = element.closest("article") ?? document.body;
      const colors = [luminance(getComputedStyle(element).color), luminance(getComputedStyle(card).backgroundColor)];
      const [low = 0, high = 0] = colors.sort((a, b) => a - b);
      return (high + 0.05) / (low + 0.05);
    });
    return Math.min(...contrasts);
  }, selector);
}
