import { expect, test } from "vitest";
import { mergeDelta } from "../../src/capture/merge.ts";
import type { JsonObject } from "../../src/json.ts";

const merged = (...deltas: JsonObject[]) => deltas.reduce((whole, delta) => mergeDelta(whole, delta), {});

test("Databricks: summaries of reasoning in a content list are one text", () => {
  const piece = (text: string, signature = "") => {
    return { content: [{ type: "reasoning", summary: [{ type: "summary_text", text, signature }] }] };
  };
  expect(merged(piece("The user "), piece("asks why."), piece("", "EqoB"), { content: "Blue." })).toEqual({
    content: [
      { type: "reasoning", summary: [{ type: "summary_text", text: "The user asks why.", signature: "EqoB" }] },
      { type: "text", text: "Blue." },
    ],
  });
});

test("a name repeated with every fragment, without index and id, is one call", () => {
  const piece = (text: string) => ({ tool_calls: [{ type: "function", function: { name: "look", arguments: text } }] });
  expect(merged(piece('{"at":'), piece('"it"}'))).toEqual(piece('{"at":"it"}'));
});

test("a thinking part that was signed does not go on: the next one is another", () => {
  const signed = { type: "thinking", thinking: "First.", signature: "Eq1" };
  const next = { type: "thinking", thinking: "Second.", signature: "Eq2" };
  expect(merged({ thinking_blocks: [signed] }, { thinking_blocks: [next] })).toEqual({
    thinking_blocks: [signed, next],
  });
});

test("pieces of reasoning with null for an id and an index go on in one another", () => {
  const piece = (more: object) => {
    return { reasoning_details: [{ type: "reasoning.text", format: "x", id: null, index: null, ...more }] };
  };
  expect(merged(piece({ text: "The user " }), piece({ text: "asks." }), piece({ text: "", signature: "Eq1" }))).toEqual(
    piece({ text: "The user asks.", signature: "Eq1" }),
  );
});

test("Groq: an executed tool that comes again with its output has its arguments once", () => {
  const call = { index: 0, type: "search", arguments: '{"query": "sky"}', output: null };
  const found = { ...call, output: "Title: Sky" };
  expect(merged({ executed_tools: [call] }, { executed_tools: [found] })).toEqual({ executed_tools: [found] });
});
