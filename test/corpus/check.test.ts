/** The judge is judged: a faithful trace passes, and every fault that a capture could have is found. */
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { type Call, check, type Replay } from "./check.ts";
import type { JsonObject } from "./json.ts";
import type { Recording } from "./recordings.ts";
import { cutAwkwardly } from "./replay-server.ts";

const image = Buffer.from("not really a picture");
const chunk = (delta: object, finish_reason: string | null = null) => ({
  model: "m-1",
  choices: [{ index: 0, delta, finish_reason, native_finish_reason: finish_reason }],
});
const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5, cost: 0.1 };

const recording: Recording = {
  id: "r1",
  source: "hand-written",
  provider: "localhost",
  api: "chat",
  stream: true,
  status: 200,
  request: {
    model: "m",
    messages: [
      { role: "developer", content: "Be brief." },
      {
        role: "user",
        content: [
          { type: "text", text: "Look,\nthere." },
          { type: "image_url", image_url: { url: `data:image/png;base64,${image.toString("base64")}` } },
        ],
      },
    ],
  },
  response_body: [
    chunk({ role: "assistant", reasoning: "I see" }),
    chunk({ reasoning: " it." }),
    chunk({ content: "A " }),
    chunk({ content: "cat." }),
    chunk({ tool_calls: [{ index: 0, id: "c1", type: "function", function: { name: "pet", arguments: '{"how"' } }] }),
    chunk({ tool_calls: [{ index: 0, function: { arguments: ': "softly"}' } }] }),
    chunk({}, "tool_calls"),
    { model: "m-1", choices: [], usage },
  ]
    .map((event) => `data: ${JSON.stringify(event)}\n\n`)
    .join("")
    .concat("data: [DONE]\n\n"),
};

const toolCall = { id: "c1", type: "function", function: { name: "pet", arguments: '{"how": "softly"}' } };
const said = ["::: developer", "Be brief."].join("\n");
const shown = [
  '::: user {"content":[{"type":"text"},{"type":"image_url"}]}',
  "::: /content/0/text",
  "Look,\nthere.",
  "::: /content/1/image_url/url",
  `image/png, ${image.length} bytes, sha256 ${createHash("sha256").update(image).digest("hex")}`,
].join("\n");
const answered = [
  '::: assistant {"tool_calls":[{"id":"c1","type":"function","function":{"name":"pet"}}]}',
  "A cat.",
  "::: /reasoning",
  "I see it.",
  "::: /tool_calls/0/function/arguments",
  '{"how": "softly"}',
].join("\n");

const faithful = {
  id: "0190",
  object: "chat.trace",
  created: 1_769_000_000,
  model: "m-1",
  system_fingerprint: "r1",
  messages: [
    { role: "system", content: said },
    { role: "user", content: shown },
    { role: "assistant", content: answered },
  ],
  choices: [
    {
      index: 0,
      message: { role: "assistant", reasoning: "I see it.", content: "A cat.", tool_calls: [toolCall] },
      finish_reason: "tool_calls",
      native_finish_reason: "tool_calls",
    },
  ],
  usage,
} satisfies JsonObject;

const call: Call = { seen: { values: [1] }, sent: [] };
const judge = (changes: Partial<Replay>) =>
  check({ recording, mode: "proxy", bare: call, wrapped: call, stored: [faithful], ...changes });
const judgeTrace = (changes: JsonObject) => judge({ stored: [{ ...faithful, ...changes }] });
const [system, user, assistant] = faithful.messages;
const [choice] = faithful.choices;

describe("a faithful trace", () => {
  it.each(["proxy", "deployed"] as const)("passes with a list of choices in mode %s", (mode) => {
    expect(judge({ mode })).toEqual([]);
  });

  it.each(["proxy", "published"] as const)("passes with an object of choices in mode %s", (mode) => {
    expect(judge({ mode, stored: [{ ...faithful, choices: { 0: choice } }] })).toEqual([]);
  });

  it("passes without choices in mode both", () => {
    const { choices: _, ...rest } = faithful;
    expect(judge({ mode: "both", stored: [rest] })).toEqual([]);
  });
});

describe("a fault is found:", () => {
  it.each<[string, string[]]>([
    ["nothing stored", judge({ stored: [] })],
    ["stored twice", judge({ stored: [faithful, faithful] })],
    ["stored though refused", judge({ recording: { ...recording, status: 429 } })],
    ["the caller sees something else", judge({ wrapped: { seen: { values: [2] }, sent: [] } })],
    ["the wrong form of choices", judge({ mode: "published" })],
    ["choices where none can be", judge({ mode: "both" })],
    ["an unknown field", judgeTrace({ temperature: 1 })],
    ["milliseconds", judgeTrace({ created: 1_769_000_000_000 })],
    ["the model asked for instead of the one that answered", judgeTrace({ model: "m" })],
    ["a message left out", judgeTrace({ messages: [system, assistant] })],
    [
      "a message that nobody said",
      judgeTrace({ messages: [...faithful.messages, { role: "assistant", content: "\n" }] }),
    ],
    ["messages in another order", judgeTrace({ messages: [user, system, assistant] })],
    ["a message under another role", judgeTrace({ messages: [{ ...system, role: "user" }, user, assistant] })],
    [
      "a text that was escaped",
      judgeTrace({ messages: [system, { ...user, content: shown.replace(",\n", ",\\n") }, assistant] }),
    ],
    [
      "media kept",
      judgeTrace({ messages: [system, { ...user, content: `${shown}${image.toString("base64")}` }, assistant] }),
    ],
    [
      "media not described",
      judgeTrace({ messages: [system, { ...user, content: shown.replace("sha256", "").slice(0, -9) }, assistant] }),
    ],
    [
      "reasoning left out",
      judgeTrace({ messages: [system, user, { ...assistant, content: answered.replace("I see it.", "") }] }),
    ],
    [
      "a tool's name left out",
      judgeTrace({ messages: [system, user, { ...assistant, content: answered.replace('"pet"', '""') }] }),
    ],
    [
      "a complete call told as failed",
      judgeTrace({ messages: [...faithful.messages, { role: "system", content: '::: call {"ended":"failed"}' }] }),
    ],
    ["a failed call told as complete", judge({ bare: { ...call, seen: { values: [1], error: {} } } })],
    ["other usage", judgeTrace({ usage: { ...usage, cost: 0 } })],
    ["usage left out", judgeTrace({ usage: undefined })],
    ["another finish_reason", judgeTrace({ choices: [{ ...choice, finish_reason: "stop" }] })],
    ["a field of a choice left out", judgeTrace({ choices: [{ ...choice, native_finish_reason: null }] })],
    [
      "a choice's content cut",
      judgeTrace({ choices: [{ ...choice, message: { ...choice?.message, content: "A " } }] }),
    ],
    [
      "a choice's tool call doubled",
      judgeTrace({ choices: [{ ...choice, message: { ...choice?.message, tool_calls: [toolCall, toolCall] } }] }),
    ],
  ])("%s", (_, findings) => {
    expect(findings).not.toEqual([]);
  });
});

describe("the replay server cuts bodies", () => {
  const text = Buffer.from("data: „Grüße“ 🌕\r\n\r\ndata: 再见\n\n".repeat(20));

  it("without changing them, the same way every time", () => {
    expect(Buffer.concat(cutAwkwardly(text, 40, "a"))).toEqual(text);
    expect(cutAwkwardly(text, 40, "a")).toEqual(cutAwkwardly(text, 40, "a"));
    expect(cutAwkwardly(text, 40, "a")).not.toEqual(cutAwkwardly(text, 40, "b"));
  });

  it("inside of characters and line ends", () => {
    const pieces = cutAwkwardly(text, 40, "a").slice(1);
    expect(pieces.some(([first = 0]) => (first & 0b1100_0000) === 0b1000_0000)).toBe(true);
    expect(pieces.some(([first]) => first === 0x0a)).toBe(true);
  });

  it.each(["", "x"])("also when there is nothing to cut: %j", (body) => {
    expect(Buffer.concat(cutAwkwardly(Buffer.from(body), 40, "a")).toString()).toBe(body);
  });
});
