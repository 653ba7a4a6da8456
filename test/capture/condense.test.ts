import fc from "fast-check";
import { expect, test } from "vitest";
import type { CapturedCall } from "../../src/capture/call.ts";
import { chatCompletionToTrace } from "../../src/capture/chat-completions.ts";
import { condense } from "../../src/capture/condense.ts";
import { responseToTrace } from "../../src/capture/responses.ts";
import { loadRecordings } from "../corpus/recordings.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);

function condensed(bytes: Uint8Array<ArrayBuffer>): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Buffer.concat(condense(bytes)));
}

const call = (responseText: string): CapturedCall => ({
  requestText: '{"messages":[{"role":"user","content":"Hi"}]}',
  responseText,
  tailText: "",
  status: 200,
  droppedBytes: 0,
  ending: undefined,
});

/** As it passes: in blocks, of which what is half an event goes before the next one. */
function condensedInBlocks(bytes: Uint8Array, cuts: readonly number[]): string {
  const kept: Uint8Array[] = [];
  let half: Uint8Array = new Uint8Array();
  let from = 0;
  for (const to of [...cuts, bytes.length]) {
    const [events, rest] = condense(Buffer.concat([half, bytes.subarray(from, to)]));
    kept.push(events ?? new Uint8Array());
    half = rest ?? new Uint8Array();
    from = to;
  }
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Buffer.concat([...kept, half]));
}

const streams = loadRecordings(new URL("../fixtures/odd-providers.jsonl", import.meta.url)).filter(
  ({ stream, response_body }) => stream && !response_body.startsWith("{"),
);

test.each(streams.map(({ id, api, response_body }) => [id, api, response_body] as const))(
  "what is read of %s is the same",
  async (_, api, body) => {
    const toTrace = api === "responses" ? responseToTrace : chatCompletionToTrace;
    expect(await toTrace(call(condensed(bytesOf(body))))).toEqual(await toTrace(call(body)));
  },
);

test("a stream of words becomes a few events, whole wherever it is cut", async () => {
  const text = fc.array(fc.string({ unit: "grapheme", maxLength: 6 }), { minLength: 20, maxLength: 60 });
  const cuts = fc.array(fc.nat(5_000), { maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(text, cuts, fc.constantFrom("\n", "\r\n", "\r"), async (words, places, lineEnd) => {
      const events = words.map((content) => {
        const choices = [{ index: 0, delta: { content }, finish_reason: null }];
        return `data: ${JSON.stringify({ id: "c", model: "m", choices })}${lineEnd}${lineEnd}`;
      });
      const body = bytesOf(`${events.join("")}data: [DONE]${lineEnd}${lineEnd}`);
      const inOrder = places.filter((at) => at < body.length).sort((a, b) => a - b);
      const short = condensedInBlocks(body, inOrder);
      expect(await chatCompletionToTrace(call(short))).toEqual(
        await chatCompletionToTrace(call(new TextDecoder().decode(body))),
      );
      // Some events stay as they are: those by which the form is learnt, and words that look like the rest of an event.
      if (inOrder.length === 0) expect(short.length).toBeLessThanOrEqual(body.length);
    }),
  );
});

test("a hundred events of one word each are two", () => {
  const event = (content: string) => `data: {"model":"m","choices":[{"index":0,"delta":{"content":"${content}"}}]}\n\n`;
  const body = Array.from({ length: 100 }, (_, at) => event(` w${at}`)).join("");
  expect(condensed(bytesOf(body)).match(/^data:/gm)).toHaveLength(2);
});
