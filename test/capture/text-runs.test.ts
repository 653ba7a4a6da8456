import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { CapturedCall } from "../../src/capture/call.ts";
import { chatCompletionToTrace } from "../../src/capture/chat-completions.ts";
import { findTextRun, findTextSlot } from "../../src/capture/text-runs.ts";

type Delta = { readonly [key: string]: unknown };

/** How Python writes it, and how JavaScript does. */
const styles: readonly ((value: unknown) => string)[] = [
  (value) => JSON.stringify(value),
  (value) =>
    JSON.stringify(value, null, 1)
      .replaceAll(/\n */g, " ")
      .replaceAll(/[^\x20-\x7e]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`),
];

const chunkOf = (delta: Delta, more: object = {}) => ({
  id: "chatcmpl-1",
  created: 1_700_000_000,
  model: "gpt-5",
  choices: [{ index: 0, delta, logprobs: null, finish_reason: null }],
  ...more,
});
const eventOf = (delta: Delta, more?: object, style = styles[0]) => `data: ${style?.(chunkOf(delta, more))}\n\n`;

function slotOf(delta: Delta, more?: object, style = styles[0]) {
  return findTextSlot(eventOf(delta, more, style), chunkOf(delta, more));
}

describe("a run of events that only add text", () => {
  test.each(styles)("is joined to one event with all of the text (%#)", (style) => {
    const texts = ["Grüße", ' "new"\n', "line\\", "🌍".slice(0, 1), "🌍".slice(1), "", "end"];
    const text = texts.map((content) => eventOf({ content }, {}, style)).join("");
    const slot = slotOf({ content: "first" }, {}, style);
    const run = slot && findTextRun(slot, text, 0);
    expect(run?.end).toBe(text.length);
    expect(JSON.parse(run?.joined.slice("data: ".length) ?? "")).toEqual(chunkOf({ content: texts.join("") }));
  });

  test("may be padded, after the text or before it", () => {
    for (const delta of [{ content: "one" }, { reasoning: "one", content: null }]) {
      const padding = ["Ab3", "", "x"];
      const after = padding.map((obfuscation) => eventOf(delta, { obfuscation })).join("");
      const first = padding
        .map((obfuscation) => `data: ${JSON.stringify({ obfuscation, ...chunkOf(delta) })}\n\n`)
        .join("");
      for (const text of [after, first]) {
        const event = text.slice(0, text.indexOf("\n\n") + 2);
        const slot = findTextSlot(event, { ...chunkOf(delta), obfuscation: "Ab3" });
        expect(slot && findTextRun(slot, text, 0)?.end).toBe(text.length);
      }
    }
  });

  test("ends where another field changes, and where a string is no JSON", () => {
    const slot = slotOf({ content: "one" });
    const own = eventOf({ content: "two" });
    for (const other of [
      eventOf({ content: "three" }, { created: 1 }),
      eventOf({ content: "three", refusal: null }),
      eventOf({ reasoning: "three" }),
      own.replace("two", "a\tb"),
      own.replace("two", "a\\x41"),
      own.replace("two", "a\\u00g0"),
      own.slice(0, -4),
    ]) {
      expect(slot && findTextRun(slot, own + other, 0)?.end).toBe(own.length);
      expect(slot && findTextRun(slot, other, 0)).toBeUndefined();
    }
  });

  test.each<[string, Delta, object?]>([
    ["adds two texts", { content: "one", reasoning: "two" }],
    ["adds none", { content: "" }],
    ["adds a name", { name: "one" }],
    ["adds a tool call", { tool_calls: [{ index: 0, function: { arguments: "one" } }] }],
    ["adds a list", { content: "one", annotations: [{ text: "a" }] }],
    [
      "has lists beside the text",
      { content: "one" },
      { choices: [{ index: 0, delta: { content: "one" }, logprobs: { content: [1] } }] },
    ],
    ["has several choices", {}, { choices: [0, 1].map((index) => ({ index, delta: { content: "one" } })) }],
    ["says its text elsewhere, too", { content: "one" }, { provider: "one" }],
    ["has no choice", {}, { choices: [] }],
    ["is none", {}, { choices: "one" }],
  ])("is not made of an event that %s", (_, delta, more) => {
    expect(slotOf(delta, more)).toBeUndefined();
  });
});

const word = fc.oneof(
  fc.constantFrom("a", "a", "gpt-5", "assistant", "", "\n", '"', "\\", "é", "\ud83c"),
  fc.string({ unit: "binary", maxLength: 3 }),
);
const delta: fc.Arbitrary<Delta> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ content: word }) },
  { weight: 3, arbitrary: fc.record({ content: fc.constant(null), reasoning_content: word }) },
  fc.record({ role: fc.constant("assistant"), content: word }),
  fc.record({ content: word, refusal: word }),
  fc.record({ content: fc.array(fc.record({ type: fc.constant("text"), text: word }), { maxLength: 2 }) }),
  fc.record({ tool_calls: fc.tuple(fc.record({ index: fc.constant(0), function: fc.record({ arguments: word }) })) }),
);
const step = fc.record({
  delta,
  times: fc.integer({ min: 1, max: 4 }),
  index: fc.constantFrom(0, 0, 0, 1),
  more: fc.oneof(
    fc.constant({}),
    fc.record({ obfuscation: word }),
    fc.record({ note: word }),
    fc.record({ citations: fc.array(word, { maxLength: 2 }) }),
    fc.record({ usage: fc.record({ n: fc.nat(2) }) }),
  ),
});

test("however a stream is made, joining its runs changes nothing of what is read", async () => {
  const streams = fc.tuple(fc.array(step, { maxLength: 8 }), fc.constantFrom(...styles));
  await fc.assert(
    fc.asyncProperty(streams, async ([steps, style]) => {
      const events = steps.flatMap(({ delta, times, index, more }) =>
        Array.from({ length: times }, (_, time) => {
          // The same text each time would hide that the last one counts, or the first.
          const own = Object.fromEntries(
            Object.entries(delta).map(([key, value]) => [
              key,
              typeof value === "string" && key !== "role" && value ? value + time : value,
            ]),
          );
          return `data: ${style({ ...chunkOf({}), ...more, choices: [{ index, delta: own, finish_reason: null }] })}\n\n`;
        }),
      );
      const read = (responseText: string) => chatCompletionToTrace({ ...call, responseText });
      // No two of these are alike, so that each is read by itself.
      const apart = events.map((event, number) => `: ${number}\n${event}`);
      expect(await read(events.join(""))).toEqual(await read(apart.join("")));
    }),
  );
});

const call: CapturedCall = {
  requestText: JSON.stringify({ model: "gpt-5", messages: [{ role: "user", content: "Hi" }] }),
  responseText: "",
  tailText: "",
  status: 200,
  droppedBytes: 0,
  ending: undefined,
};
