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

test("what names something does not grow, in whatever field it is told", () => {
  const names = { content_type: "text", status: "generating", provider: "p", file_id: "f1", created_at: "12:00" };
  expect(merged({ ...names, content: "A " }, { ...names, content: "cat." }, { status: "done" })).toEqual({
    ...names,
    content: "A cat.",
    status: "done",
  });
});

const call = (id: string, name: string | undefined, json: string, index = 0) => {
  return { tool_calls: [{ index, id, function: { ...(name && { name }), arguments: json } }] };
};

test("calls that share an index go on by their ids, in turns", () => {
  const whole = merged(
    call("a", "look", ""),
    call("b", "find", ""),
    call("a", undefined, "{}"),
    call("b", undefined, "[]"),
  );
  expect(whole).toEqual({
    tool_calls: [call("a", "look", "{}").tool_calls[0], call("b", "find", "[]").tool_calls[0]],
  });
});

test("fragments of one call under a new index each, without id and name, go on in it", () => {
  const fragment = (index: number, json: string) => ({ tool_calls: [{ index, function: { arguments: json } }] });
  const whole = merged(call("a", "look", ""), fragment(1, '{"at":'), fragment(2, "1}"), call("b", "find", "{}", 1));
  expect(whole["tool_calls"]).toMatchObject([
    { id: "a", function: { name: "look", arguments: '{"at":1}' } },
    { id: "b", function: { name: "find", arguments: "{}" } },
  ]);
});

test("images that share an index are several", () => {
  const image = (url: string) => ({ index: 0, type: "image_url", image_url: { url } });
  expect(merged({ images: [image("data:a")] }, { images: [image("data:b")] })).toEqual({
    images: [image("data:a"), image("data:b")],
  });
});

test("MiniMax, as documented: each piece of a thought is the thought so far", () => {
  const piece = (text: string) => ({ reasoning_details: [{ type: "reasoning.text", id: "r1", index: 0, text }] });
  expect(merged(piece("The user"), piece("The user asks"), piece("The user asks why."))).toEqual(
    piece("The user asks why."),
  );
  // As it is: each is one more piece. Also where one begins like the other.
  expect(merged(piece("Ha"), piece("Haha"), piece("ha."))).toEqual(piece("HaHahaha."));
});

test("OpenRouter: sealed thoughts of several calls share an index, and are told apart by their ids", () => {
  const sealed = (id: string, data: string) => {
    return { reasoning_details: [{ type: "reasoning.encrypted", id, data, index: 0 }] };
  };
  expect(merged(sealed("call_1", "CiQB"), sealed("call_2", "Eq1"))).toEqual({
    reasoning_details: [...sealed("call_1", "CiQB").reasoning_details, ...sealed("call_2", "Eq1").reasoning_details],
  });
});

test("a thought that was signed does not go on under its index either", () => {
  const piece = (more: object) => ({ reasoning_details: [{ type: "reasoning.text", index: 0, ...more }] });
  const whole = merged(piece({ text: "First." }), piece({ signature: "Eq1" }), piece({ text: "Then." }));
  expect(whole["reasoning_details"]).toEqual([
    { type: "reasoning.text", index: 0, text: "First.", signature: "Eq1" },
    { type: "reasoning.text", index: 0, text: "Then." },
  ]);
});

test("a citation that is told again is one; of the same source, elsewhere in the text, it is another", () => {
  const cited = (at: number) => ({ type: "url_citation", url_citation: { url: "https://a.example", start_index: at } });
  const whole = merged({ annotations: [cited(1)] }, { annotations: [cited(1), cited(9)] }, { annotations: [cited(9)] });
  expect(whole).toEqual({ annotations: [cited(1), cited(9)] });
});
