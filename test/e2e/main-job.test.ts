import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import OpenAI from "openai";
import { expect, test } from "vitest";
import { startEliza } from "../../examples/eliza/server.ts";
import { createEndpoint, type EndpointMode, fileStore } from "../../src/endpoint/index.ts";
import type { Store } from "../../src/endpoint/store.ts";
import { TraceLogger, type TraceReceipt, wrapOpenAI } from "../../src/index.ts";
import { eventually, expectBalance, type Reply, replies } from "../support.ts";

const API_KEY = "the-right-key";
const TROUBLES: Reply[] = [
  replies.wrongKey,
  replies.tooMany,
  replies.unavailable,
  "reset",
  replies.failed("ClientError: SlowDown"),
];

/** The embedded endpoint over a folder, behind a server that makes trouble now and then. */
async function troubledEndpoint(mode: EndpointMode) {
  const dir = mkdtempSync(join(tmpdir(), "tracelogger-main-job-"));
  const endpoint = createEndpoint({ store: fileStore(dir), mode, apiKeys: [API_KEY] });
  let count = 0;
  let troubles = 0;
  const server = createServer(async (incoming, outgoing) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const trouble = ++count % 40 === 0 ? TROUBLES[troubles++ % TROUBLES.length] : undefined;
    if (trouble === "reset") return incoming.socket.destroy();
    if (trouble !== undefined && trouble !== "hang") return outgoing.writeHead(trouble.status).end(trouble.body);
    const headers = new Headers(Object.entries(incoming.headers).map(([name, value]) => [name, String(value)]));
    const { port } = server.address() as AddressInfo; // it listens on TCP
    const request = { method: "POST", headers, body: Buffer.concat(chunks) };
    const response = await endpoint(new Request(`http://127.0.0.1:${port}/prod`, request));
    return outgoing.writeHead(response.status, Object.fromEntries(response.headers)).end(await response.text());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo; // it listens on TCP
  return {
    url: `http://127.0.0.1:${port}/prod`,
    store: fileStore(dir),
    troubles: () => troubles,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      rmSync(dir, { recursive: true });
    },
  };
}

/** 20 calls of each kind; gives back what the caller saw said in each. */
async function converse(openai: OpenAI): Promise<string[][]> {
  const model = "eliza";
  const user = (content: string) => [{ role: "user" as const, content }];
  const tools = [
    { type: "function" as const, function: { name: "get_weather", parameters: { type: "object", properties: {} } } },
  ];
  const said: string[][] = [];
  for (let i = 0; i < 20; i++) {
    const plain = await openai.chat.completions.create({ model, messages: user(`I need plain thing ${i}.`) });
    said.push([`I need plain thing ${i}.`, plain.choices[0]?.message.content ?? ""]);
    const two = ["", ""];
    const streamed = await openai.chat.completions.create({
      model,
      messages: user(`I need streamed thing ${i}.`),
      n: 2,
      stream: true,
    });
    for await (const { choices } of streamed) {
      for (const { index, delta } of choices) two[index] += delta.content ?? "";
    }
    said.push([`I need streamed thing ${i}.`, ...two]);
    const question = `What is the weather in Town${i}?`;
    const called = openai.chat.completions.stream({ model, messages: user(question), tools });
    const [call] = (await called.finalMessage()).tool_calls ?? [];
    if (call?.type !== "function") throw new Error("ELIZA called no tool");
    said.push([question, call.function.name, call.function.arguments]);
  }
  return said;
}

test.concurrent.each(["deployed", "published", "both", "proxy"] as const)(
  "200 traces, by hand and captured, arrive once each in an endpoint of mode %s, whatever goes wrong in between",
  { timeout: 120_000 },
  async (mode) => {
    await using endpoint = await troubledEndpoint(mode);
    await using provider = await startEliza();
    const logger = new TraceLogger({ endpoint: endpoint.url, apiKey: API_KEY, onEvent: () => {} });
    const byHand: Promise<TraceReceipt>[] = [];
    for (let i = 0; i < 140; i++) {
      const choices =
        i % 2 ? [{ index: 0, message: { role: "assistant", content: `only in choices ${i}` } }] : undefined;
      const trace = {
        id: `by-hand-${i}`,
        model: "olmo-2",
        messages: [{ role: "user" as const, content: `by hand ${i}` }],
      };
      byHand.push(logger.logTrace(choices ? { ...trace, choices } : trace));
    }
    const said = await converse(wrapOpenAI(new OpenAI({ baseURL: provider.baseURL, apiKey: "test" }), logger));
    const receipts = await Promise.all(byHand);
    await eventually(() => expect(logger.stats.delivered).toBe(200), 100_000);
    await logger.close();

    expectBalance(logger.stats);
    expect(logger.stats).toMatchObject({ accepted: 200, pending: 0 });
    expect(endpoint.troubles()).toBeGreaterThanOrEqual(TROUBLES.length);
    for (const receipt of receipts) expect(receipt).toMatchObject({ status: "delivered", url: expect.any(String) });
    const stored = (await allStored(endpoint.store)).map((text) => JSON.parse(text));
    expect(stored).toHaveLength(200);
    for (let i = 0; i < 140; i++) {
      const texts = JSON.stringify(stored.find(({ id }) => id === `by-hand-${i}`));
      expect(texts).toContain(`by hand ${i}`);
      if (i % 2) expect(texts).toContain(`only in choices ${i}`);
    }
    for (const texts of said) {
      const trace = stored.filter(({ messages }) => messages[0].content === texts[0]);
      expect(trace).toHaveLength(1);
      const whole = trace[0].messages.map(({ content }: { content: string }) => content).join("\n");
      for (const text of texts) expect(whole).toContain(text);
      expect("choices" in trace[0]).toBe(mode !== "both");
    }
  },
);

async function allStored(store: Store, prefix = "logs/"): Promise<string[]> {
  const texts: string[] = [];
  for await (const { key } of store.list(prefix)) {
    if (key.endsWith("/")) texts.push(...(await allStored(store, key)));
    else texts.push((await store.read(key)) ?? "");
  }
  return texts;
}
