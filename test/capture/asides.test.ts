import { expect, test } from "vitest";
import { addAsides, asideMessages } from "../../src/capture/asides.ts";
import type { JsonObject } from "../../src/json.ts";
import { fromTraceMessage } from "../../src/transcript.ts";

const asidesOf = (...bodies: JsonObject[]) => bodies.reduce(addAsides, {} as JsonObject);

test("what is said beside the choices becomes one message without a role, the assistant's", () => {
  const asides = asidesOf({
    id: "1",
    model: "sonar",
    choices: [{ message: { content: "Blue." } }],
    usage: { total_tokens: 3 },
    citations: ["https://a.example"],
    search_results: [{ title: "Why is the sky blue?" }],
  });
  const [message, ...others] = asideMessages(asides, [{ role: "assistant", content: "Blue." }]);
  expect(others).toEqual([]);
  expect(message?.role).toBe("assistant");
  expect(message && fromTraceMessage(message)).toEqual({
    message: { citations: ["https://a.example"], search_results: [{ title: "Why is the sky blue?" }] },
  });
});

test.each<[string, JsonObject]>([
  ["names", { id: "1", object: "chat.completion", system_fingerprint: "fp", service_tier: "default", provider: "X" }],
  ["measurements", { timings: { prompt_ms: 1.5 }, time_info: { total_time: 2 }, stats: { stop_reason: "eos" } }],
  ["padding", { obfuscation: "Xy", p: "abcd" }],
  ["empty", { citations: [], images: null, search_results: {}, note: "", base_resp: { status_msg: "", code: 0 } }],
])("%s say nothing", (_, body) => {
  expect(asideMessages(asidesOf(body), [])).toEqual([]);
});

test.each<[string, JsonObject[], JsonObject]>([
  ["all of it in every chunk", [{ citations: ["a"] }, { citations: ["a", "b"] }], { citations: ["a", "b"] }],
  ["one after the other", [{ citations: ["a"] }, { citations: ["b"] }], { citations: ["a", "b"] }],
  ["a text in pieces", [{ thinking: "The " }, { thinking: "sky." }], { thinking: "The sky." }],
  ["a text so far", [{ thinking: "The " }, { thinking: "The sky." }], { thinking: "The sky." }],
  [
    "fields of an object",
    [{ search: { query: "sky" } }, { search: { hits: ["a"] } }],
    { search: { query: "sky", hits: ["a"] } },
  ],
  ["then nothing more", [{ citations: ["a"] }, { citations: null }, { citations: [] }], { citations: ["a"] }],
])("a stream that says %s loses and doubles nothing", (_, bodies, asides) => {
  expect(asidesOf(...bodies)).toEqual(asides);
});

test("the answer said again in another field is not said twice", () => {
  expect(
    asideMessages(asidesOf({ response: "Bl" }, { response: "ue." }), [{ role: "assistant", content: "Blue." }]),
  ).toEqual([]);
});

test("a field called __proto__ is a field", () => {
  const asides = asidesOf(JSON.parse('{"__proto__":{"a":"said"}}'), JSON.parse('{"__proto__":{"b":"too"}}'));
  expect(JSON.stringify(asides)).toBe('{"__proto__":{"a":"said","b":"too"}}');
});
