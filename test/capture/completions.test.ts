import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { wrapOpenAI } from "../../src/capture/openai.ts";
import { type ChatServer, json, sse, startChatServer } from "./chat-server.ts";
import { collectingSink } from "./collecting-sink.ts";
import { drain } from "./differential-checks.ts";

let server: ChatServer;
beforeAll(async () => {
  server = await startChatServer();
});
afterAll(() => server[Symbol.asyncDispose]());

function traced() {
  const sink = collectingSink();
  const settings = { baseURL: server.baseURL, apiKey: "sk-test", maxRetries: 0, logLevel: "off" as const };
  return { sink, client: wrapOpenAI(new OpenAI(settings), sink) };
}

const choice = (index: number, text: string, finish_reason: string | null = "stop") => ({
  index,
  text,
  logprobs: null,
  finish_reason,
});
const body = (...choices: object[]) => ({
  id: "cmpl-1",
  object: "text_completion",
  model: "davinci-2",
  choices,
  usage: { total_tokens: 3 },
});
const ask = { model: "davinci", prompt: "Once upon" };

describe("a legacy completion", () => {
  test("is a question and its answers, choices and usage as they came", async () => {
    server.script(json(body(choice(0, " a time"), choice(1, " a hill"))));
    const { client, sink } = traced();
    await client.completions.create({ ...ask, n: 2 });
    expect(await sink.settle()).toEqual([
      {
        model: "davinci-2",
        messages: [
          { role: "user", content: "Once upon" },
          { role: "assistant", content: " a time" },
          { role: "assistant", content: "::: assistant/1\n a hill" },
        ],
        choices: [choice(0, " a time"), choice(1, " a hill")],
        usage: { total_tokens: 3 },
      },
    ]);
  });

  test("is the same, streamed", async () => {
    server.script(sse(body(choice(0, " a", null)), body(choice(0, " time", null)), body(choice(0, ""))));
    const { client, sink } = traced();
    await drain(await client.completions.create({ ...ask, stream: true }));
    const [trace] = await sink.settle();
    expect(trace?.messages[1]).toEqual({ role: "assistant", content: " a time" });
    expect(trace?.choices).toEqual([choice(0, " a time")]);
  });

  test.each([
    [
      { prompt: ["One", "Two"] },
      [
        { role: "user", content: "One" },
        { role: "user", content: "Two" },
      ],
    ],
    [{ prompt: [1, 2, 3] }, [{ role: "user", content: '::: user {"content":[1,2,3]}' }]],
    [
      { prompt: [[1, 2], [3]] },
      [
        { role: "user", content: '::: user {"content":[1,2]}' },
        { role: "user", content: '::: user {"content":[3]}' },
      ],
    ],
    [{ prompt: "a", suffix: "the end" }, [{ role: "user", content: "::: user\na\n::: /suffix\nthe end" }]],
  ])("keeps every form of prompt: %j", async (asked, messages) => {
    server.script(json(body(choice(0, "."))));
    const { client, sink } = traced();
    await client.completions.create({ model: "davinci", ...asked } as OpenAI.CompletionCreateParamsNonStreaming);
    expect((await sink.settle())[0]?.messages.slice(0, -1)).toEqual(messages);
  });
});
