import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { tokenize } from "../../../examples/eliza/completion.ts";
import { type ElizaServer, startEliza } from "../../../examples/eliza/server.ts";

let server: ElizaServer;
let client: OpenAI;
beforeAll(async () => {
  server = await startEliza();
  client = new OpenAI({ baseURL: server.baseURL, apiKey: "none", maxRetries: 0 });
});
afterAll(() => server.close());

const user = (content: string) => ({ role: "user" as const, content });
const tool = (name: string, parameter: string): OpenAI.ChatCompletionTool => ({
  type: "function",
  function: { name, parameters: { type: "object", properties: { [parameter]: { type: "string" } } } },
});

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = [];
  for await (const item of items) collected.push(item);
  return collected;
}

describe("a conversation", () => {
  it("is answered in OpenAI's form", async () => {
    const completion = await client.chat.completions.create({ model: "eliza", messages: [user("I am tired")] });
    expect(completion).toMatchObject({
      object: "chat.completion",
      model: "eliza",
      choices: [{ index: 0, message: { role: "assistant", refusal: null }, finish_reason: "stop" }],
    });
    expect(completion.choices[0]?.message.content).toContain("tired");
  });

  it("goes on where the messages before left it", async () => {
    const messages = [user("My cat ran away"), { role: "assistant" as const, content: "Your cat?" }, user("Hm")];
    const { choices } = await client.chat.completions.create({ model: "eliza", messages });
    expect(choices[0]?.message.content).toContain("your cat ran away");
  });

  it("has n different answers", async () => {
    const { choices } = await client.chat.completions.create({ model: "eliza", n: 3, messages: [user("I need rest")] });
    expect(choices.map(({ index }) => index)).toEqual([0, 1, 2]);
    expect(new Set(choices.map(({ message }) => message.content)).size).toBe(3);
  });

  it("stops at max_completion_tokens and says so", async () => {
    const { choices, usage } = await client.chat.completions.create({
      model: "eliza",
      max_completion_tokens: 2,
      messages: [user("I need rest")],
    });
    expect(choices[0]).toMatchObject({ finish_reason: "length", message: { content: "What would" } });
    expect(usage?.completion_tokens).toBe(2);
  });
});

describe("a stream", () => {
  it("says what the completion says, choice by choice", async () => {
    const params = { model: "eliza", n: 2, messages: [user("I remember the sea, and you?")] };
    const whole = await client.chat.completions.create(params);
    const streamed = await client.chat.completions.stream({ ...params, stream_options: { include_usage: true } });
    const completion = await streamed.finalChatCompletion();
    expect(completion.choices.map(({ message }) => message.content)).toEqual(
      whole.choices.map(({ message }) => message.content),
    );
    expect(completion.usage).toEqual(whole.usage);
  });

  it("has a usage chunk only when asked for", async () => {
    const stream = await client.chat.completions.create({ model: "eliza", stream: true, messages: [user("Hello")] });
    const chunks = await collect(stream);
    expect(chunks.some((chunk) => "usage" in chunk)).toBe(false);
    expect(chunks.at(-1)?.choices[0]?.finish_reason).toBe("stop");
  });

  it("ends when its reader goes away", async () => {
    await using slow = await startEliza({ pauseMs: 20 });
    const impatient = new OpenAI({ baseURL: slow.baseURL, apiKey: "none" });
    const stream = await impatient.chat.completions.create({ model: "eliza", stream: true, messages: [user("Hello")] });
    for await (const _ of stream) break;
    await expect.poll(() => slow.abandonedStreams).toBe(1);
  });
});

describe("tools", () => {
  it("are called for what they are about, with the place that was named, and their results are used", async () => {
    const asked: string[] = [];
    const runner = client.chat.completions.runTools({
      model: "eliza",
      messages: [user("What is the weather in Buenos Aires, and what time is it there?")],
      tools: ["get_weather", "current_time"].map((name) => ({
        type: "function" as const,
        function: {
          name,
          description: "",
          parameters: { type: "object", properties: { city: { type: "string" } } },
          function: (args: string) => {
            asked.push(`${name} ${args}`);
            return `${name} says 17`;
          },
        },
      })),
    });
    const answer = await runner.finalContent();
    expect(asked.sort()).toEqual(['current_time {"city":"Buenos Aires"}', 'get_weather {"city":"Buenos Aires"}']);
    expect(answer).toContain("get_weather says 17");
    expect(answer).toContain("current_time says 17");
  });

  it("are called in a stream too", async () => {
    const stream = client.chat.completions.stream({
      model: "eliza",
      messages: [user("Is it raining in Oslo?")],
      tools: [tool("weather", "place")],
    });
    const { choices } = await stream.finalChatCompletion();
    expect(choices[0]).toMatchObject({
      finish_reason: "tool_calls",
      message: { content: null, tool_calls: [{ function: { name: "weather", arguments: '{"place":"Oslo"}' } }] },
    });
  });

  it("are left alone, or forced, as tool_choice says", async () => {
    const ask = (tool_choice: OpenAI.ChatCompletionToolChoiceOption, content: string) =>
      client.chat.completions.create({
        model: "eliza",
        messages: [user(content)],
        tools: [tool("dice", "sides")],
        tool_choice,
      });
    const [none, required, named] = await Promise.all([
      ask("none", "What is the weather?"),
      ask("required", "Hello"),
      ask({ type: "function", function: { name: "dice" } }, "Hello"),
    ]);
    expect(none.choices[0]?.finish_reason).toBe("stop");
    expect(required.choices[0]?.message.tool_calls?.[0]).toMatchObject({ function: { name: "dice" } });
    expect(named.choices[0]?.message.tool_calls?.[0]).toMatchObject({ function: { name: "dice", arguments: "{}" } });
  });
});

describe("usage", () => {
  it("counts every token of what was said, once", async () => {
    const messages = [{ role: "system" as const, content: "Listen." }, user("I am tired")];
    const { choices, usage } = await client.chat.completions.create({ model: "eliza", n: 2, messages });
    const said = choices.map(({ message }) => tokenize(message.content ?? "").length);
    expect(usage).toEqual({
      prompt_tokens: 5,
      completion_tokens: said.reduce((a, b) => a + b),
      total_tokens: 5 + said.reduce((a, b) => a + b),
    });
  });

  it("rests on tokens that are the text again when joined", () => {
    const text = "  Naïve — “yes”, don't\n\nyou? ";
    expect(tokenize(text).join("")).toBe(text);
  });
});

describe("a bad request is answered with an error in OpenAI's form", () => {
  const post = async (body: string) => {
    const response = await fetch(`${server.baseURL}/chat/completions`, { method: "POST", body });
    return { status: response.status, ...((await response.json()) as object) };
  };
  const messages = [user("Hello")];

  it.each([
    ["a body that is no JSON", "{", 400, { code: "invalid_json", param: null }],
    ["a missing model", { messages }, 400, { param: "model" }],
    ["no messages", { model: "eliza", messages: [] }, 400, { param: "messages" }],
    [
      "an unknown role",
      { model: "eliza", messages: [{ role: "bard", content: "" }] },
      400,
      { param: "messages[0].role" },
    ],
    ["n out of range", { model: "eliza", n: 99, messages }, 400, { param: "n" }],
    [
      "stream_options without stream",
      { model: "eliza", messages, stream_options: {} },
      400,
      { param: "stream_options" },
    ],
    [
      "a format it has not",
      { model: "eliza", messages, response_format: { type: "json_object" } },
      400,
      { param: "response_format" },
    ],
    ["an unknown model", { model: "gpt-5", messages }, 404, { code: "model_not_found" }],
  ])("%s", async (_, body, status, error) => {
    expect(await post(typeof body === "string" ? body : JSON.stringify(body))).toMatchObject({ status, error });
  });

  it("a body too large", async () => {
    expect(await post("x".repeat(1024 * 1024 + 1))).toMatchObject({ status: 413 });
  });

  it("an unknown URL", async () => {
    await expect(client.embeddings.create({ model: "eliza", input: "" })).rejects.toThrow(OpenAI.NotFoundError);
  });
});

it("lists its models", async () => {
  const models = await collect(client.models.list());
  expect(models.map(({ id }) => id)).toEqual(["eliza", "eliza-mini"]);
});
