import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { traceMessageSchema } from "../src/trace.ts";
import {
  type CallEnding,
  callEnding,
  fromTraceMessage,
  sayChoices,
  toCallMessage,
  toTraceMessage,
} from "../src/transcript.ts";

/** What JSON can say: no -0, own keys only. */
function asJson<T>(value: T): T {
  return JSON.parse(JSON.stringify(value));
}

function backAndForth(message: unknown, choice?: number) {
  return fromTraceMessage(toTraceMessage(message, choice === undefined ? {} : { choice }));
}

describe("the mapping", () => {
  test.each(["system", "user", "assistant"] as const)("stores a plain %s message as it is", (role) => {
    const message = { role, content: "Hello.\nHow are you?" };
    expect(toTraceMessage(message)).toEqual(message);
    expect(fromTraceMessage(message)).toEqual({ message });
  });

  test("writes tool calls beside the words, their arguments raw", () => {
    const call = { id: "call_1", type: "function", function: { name: "get_weather", arguments: '{"city":"Paris"}' } };
    expect(toTraceMessage({ role: "assistant", content: "I'll look it up.", tool_calls: [call] })).toEqual({
      role: "assistant",
      content: [
        '::: assistant {"tool_calls":[{"id":"call_1","type":"function","function":{"name":"get_weather"}}]}',
        "I'll look it up.",
        "::: /tool_calls/0/function/arguments",
        '{"city":"Paris"}',
      ].join("\n"),
    });
  });

  test.each([
    ["developer", "system"],
    ["tool", "user"],
    ["function", "user"],
    ["constructor", "user"],
    ["__proto__", "user"],
    ["somebody else", "user"],
    ["", "user"],
  ])("keeps the role %j in the text, stored as %s", (role, stored) => {
    const message = { role, content: "x" };
    expect(toTraceMessage(message).role).toBe(stored);
    expect(backAndForth(message)).toEqual({ message });
  });

  test("marks a further choice, and leaves the first one plain", () => {
    const message = { role: "assistant", content: "Yes." };
    expect(toTraceMessage(message, { choice: 0 })).toEqual(message);
    expect(toTraceMessage(message, { choice: 2 })).toEqual({ role: "assistant", content: "::: assistant/2\nYes." });
    expect(backAndForth(message, 2)).toEqual({ message, choice: 2 });
  });

  test("says in a closing message how a call ended", () => {
    const call: CallEnding = { ended: "aborted", error: { name: "AbortError", message: "This operation was aborted" } };
    const stored = toCallMessage(call);
    expect(stored.role).toBe("system");
    expect(stored.content).toContain('::: call {"ended":"aborted"');
    expect(fromTraceMessage(stored)).toEqual({ call });
  });

  test("does not take a message of a role named call for the ending of a call", () => {
    expect(backAndForth({ role: "call", ended: "failed" })).toEqual({ message: { role: "call", ended: "failed" } });
  });

  test.each([
    ["content null", { role: "assistant", content: null, tool_calls: [] }],
    ["no content", { role: "assistant", refusal: "I will not say that." }],
    ["empty content beside a block", { role: "tool", content: "", name: "a b" }],
    ["content that looks encoded", { role: "user", content: '::: assistant {"a":1}\nbody\n::: /a\nx' }],
    ["long fences within", { role: "tool", content: "a\n::::: /b\n\n:::::::: \n" }],
    ["a block that ends with line breaks", { role: "tool", content: "a\n\n", note: "b\n\n" }],
    ["content parts", { role: "user", content: [{ type: "text", text: "Look: " }, "a b", { type: "x", "": "c d" }] }],
    ["CR, U+2028, controls", { role: "tool", content: "a\r\n::: b\r::: c\u2028\u0000", "k\r\n\u2028/~": "d\re f" }],
    ["lone surrogates", { role: "tool", content: "\ud800", name: "\udc00", "\ud801": "a b" }],
    ["no role", { content: "x" }],
    ["a role that is not a string", { role: ["user"], content: "x y" }],
    ["nothing at all", {}],
    ["no object: null", null],
    ["no object: a word", "word"],
    ["no object: a sentence", "some words\nin lines"],
    ["no object: a list", ["some words", { a: "b c" }]],
  ])("turns back a message with %s", (_, message) => {
    expect(backAndForth(message)).toEqual({ message });
  });

  test("keeps the keys that JavaScript treats differently", () => {
    const message = JSON.parse('{"role":"tool","__proto__":{"a":"b c"},"x":{"__proto__":"d e"},"length":"1 2"}');
    const said = backAndForth(message);
    expect(JSON.stringify(said.message)).toBe(JSON.stringify(message));
    expect(Object.hasOwn(Object(said.message), "__proto__")).toBe(true);
  });

  test.each([
    "::: note\n::: /__proto__/polluted\nyes",
    "::: note\n::: /constructor/prototype/polluted\nyes",
    "::: ? []\n::: /length\n99",
    "::: note {broken",
    "::: nobody\n::: /a/b\nno such parent",
    ":::: \n",
    "::: ::: a",
  ])("takes foreign text that begins like ours as the text it is: %j", (content) => {
    expect(fromTraceMessage({ role: "user", content })).toEqual({ message: { role: "user", content } });
    expect(Object.hasOwn(Object.prototype, "polluted")).toBe(false);
  });

  test("takes what is no object for no ending of a call", () => {
    expect(fromTraceMessage({ role: "system", content: ":::: call\n:::: " }).call).toBeUndefined();
  });

  test("holds one object that occurs twice twice", () => {
    const part = { text: "the same words" };
    const message = { role: "user", content: [part, part] };
    expect(backAndForth(message)).toEqual({ message });
  });
});

const nastyText = fc.oneof(
  fc.string({ unit: "binary" }),
  fc
    .array(fc.constantFrom(":", "::", ":::", "\n", "\r", " ", "/", "~", "~0", "{", '"', "\\", "a", "\ud800", "call"))
    .map((parts) => parts.join("")),
);
const nastyKey = fc.oneof(nastyText, fc.constantFrom("__proto__", "content", "role", "toJSON", "length", "0", ""));
const { json } = fc.letrec((tie) => ({
  json: fc.oneof(
    { depthSize: "small" },
    nastyText,
    fc.constantFrom(null, true, 0, 1e21),
    fc.array(tie("json"), { maxLength: 3 }),
    fc.dictionary(nastyKey, tie("json"), { maxKeys: 4 }),
  ),
}));
const message = fc
  .record(
    {
      role: fc.oneof(fc.constantFrom("user", "assistant", "system", "tool", "call", "?"), json),
      content: json,
      rest: fc.dictionary(nastyKey, json, { maxKeys: 3 }),
    },
    { requiredKeys: ["rest"] },
  )
  .map(({ rest, ...fields }) => asJson({ ...rest, ...fields }));

describe("over arbitrary messages", () => {
  test("there and back is the same, and what is stored satisfies the contract", () => {
    fc.assert(
      fc.property(fc.oneof(message, json.map(asJson)), fc.option(fc.nat(), { nil: undefined }), (original, choice) => {
        const stored = toTraceMessage(original, choice === undefined ? {} : { choice });
        expect(traceMessageSchema.parse(stored)).toEqual(stored);
        expect(fromTraceMessage(stored)).toEqual(choice ? { message: original, choice } : { message: original });
      }),
      { numRuns: 2000 },
    );
  });

  test("back and there is the same: a stored message says nothing that its reading loses", () => {
    fc.assert(
      fc.property(message, (original) => {
        const { message: read } = fromTraceMessage(toTraceMessage(original));
        expect(fromTraceMessage(toTraceMessage(read))).toEqual({ message: original });
      }),
    );
  });

  /** JSON as text: with keys that occur twice, and numbers that JavaScript reads as others. */
  const { rawJson } = fc.letrec((tie) => ({
    rawJson: fc.oneof(
      { depthSize: "small" },
      nastyText.map((text) => JSON.stringify(text)),
      fc.nat(300).map((length) => JSON.stringify(`${":".repeat(length)} x`)),
      fc.constantFrom("1e400", "-0", "9007199254740993", "1.10", "1E-400", "null", "true"),
      fc.array(tie("rawJson"), { maxLength: 3 }).map((items) => `[${items.join(",")}]`),
      fc
        .array(fc.tuple(nastyKey, tie("rawJson")), { maxLength: 4 })
        .map((fields) => `{${fields.map(([key, value]) => `${JSON.stringify(key)}:${value}`).join(",")}}`),
    ),
  }));

  test("whatever JSON a provider sends is there and back what it is when it is read, also after it has travelled", () => {
    fc.assert(
      fc.property(rawJson, (raw) => {
        const original: unknown = JSON.parse(String(raw));
        const travelled = JSON.parse(JSON.stringify(toTraceMessage(original)));
        // 1e400 is read as infinite, which JSON does not know.
        expect(fromTraceMessage(travelled)).toEqual({ message: asJson(original) });
      }),
      { numRuns: 1000 },
    );
  });

  const pieces = [
    "::: ",
    ":::: ",
    "tool",
    "call",
    "?",
    "/1",
    ' {"a":1}',
    ' {"content":["x"]}',
    ' {"a":[null]}',
    "\n",
    "x",
  ];
  const pointers = ["::: /content\n", "::: /a/0\n", "::: /__proto__/x\n", "::: \\u0061\n"];
  const foreign = fc.array(fc.constantFrom(...pieces, ...pointers), { maxLength: 8 }).map((texts) => texts.join(""));

  test("whatever stands in a store can be read, and written again, and then says the same", () => {
    fc.assert(
      fc.property(foreign, fc.constantFrom("user", "assistant", "system"), (content, role) => {
        const { call, message: read, choice } = fromTraceMessage({ role, content });
        if (call) return;
        const again = toTraceMessage(read, { speaker: role, ...(choice === undefined ? {} : { choice }) });
        expect(fromTraceMessage(again)).toEqual(choice ? { message: read, choice } : { message: read });
      }),
      { numRuns: 2000 },
    );
  });

  test("every text of it stands there literally", () => {
    fc.assert(
      fc.property(message, (original) => {
        const { content } = toTraceMessage(original);
        JSON.stringify(original, (key, value) => {
          if (typeof value === "string" && key !== "role") expect(content).toContain(value);
          return value;
        });
      }),
    );
  });
});

describe("sayChoices", () => {
  const question = { role: "user", content: "Is it so?" } as const;

  test("adds what every choice said, the further ones marked", () => {
    const choices = [
      {
        index: 0,
        message: { role: "assistant", content: "Yes.", refusal: null, annotations: [] },
        finish_reason: "stop",
      },
      { index: 1, message: { role: "assistant", content: null, refusal: "I cannot say." } },
    ];
    expect(sayChoices([question], choices)).toEqual([
      question,
      { role: "assistant", content: "Yes." },
      { role: "assistant", content: "::: assistant/1\n::: /refusal\nI cannot say." },
    ]);
  });

  test("adds nothing that is said already, however often it is asked", () => {
    const choices = [{ message: { content: "Yes." } }, { message: { content: "Yes." } }];
    const once = sayChoices([question], choices);
    expect(once).toHaveLength(3);
    expect(sayChoices(once, choices)).toEqual(once);
  });

  test("is not misled by the same words in an earlier turn", () => {
    const earlier = [question, { role: "assistant", content: "Yes." } as const, question];
    expect(sayChoices(earlier, [{ message: { role: "assistant", content: "Yes." } }])).toHaveLength(4);
  });

  test("takes choices keyed by index, and keeps whole what has no message", () => {
    expect(sayChoices([], { 0: { text: "legacy words" }, 1: { message: { content: "b" } } })).toEqual([
      { role: "assistant", content: "legacy words" },
      { role: "assistant", content: "::: assistant/1\nb" },
    ]);
    expect(sayChoices([], { answer: "one object" })).toEqual([
      { role: "assistant", content: "::: assistant\n::: /answer\none object" },
    ]);
  });

  test.each([undefined, null, "text", 7, [], {}])("says nothing for %j", (choices) => {
    expect(sayChoices([question], choices)).toEqual([question]);
  });

  test.each([[[null]], [["words of nobody"]], [[{ index: -1 }]], [[{ index: 1.5, message: "text" }]]])(
    "does not fall over %j",
    (choices) => {
      expect(sayChoices([], choices)).toHaveLength(1);
    },
  );
});

describe("how a call ended", () => {
  const said = { role: "user" as const, content: "Hi" };

  test("is what the closing message says", () => {
    const call = { ended: "failed" as const, error: { message: "Oh no." } };
    expect(callEnding({ messages: [said, toCallMessage(call)] })).toEqual(call);
  });

  test.each([[[]], [[said]], [[{ role: "user" as const, content: '::: call {"ended":"failed"}' }]]])(
    "is complete, where nothing or nobody of ours says otherwise: %j",
    (messages) => {
      expect(callEnding({ messages })).toEqual({ ended: "complete" });
    },
  );
});
