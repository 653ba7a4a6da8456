import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeChecked } from "../../src/delivery/prepare.ts";
import { parseTrace, type Trace, type TraceInput } from "../../src/trace.ts";
import { fromTraceMessage } from "../../src/transcript.ts";

const limits = (maxTraceBytes: number, truncate = true) => ({ maxTraceBytes, truncate });

function cutTo(input: TraceInput, maxTraceBytes: number) {
  const encoded = encodeChecked(parseTrace(input), "list", limits(maxTraceBytes));
  if ("loss" in encoded) throw encoded.loss.error;
  expect(Buffer.byteLength(encoded.json)).toBe(encoded.bytes);
  expect(encoded.bytes).toBeLessThanOrEqual(maxTraceBytes);
  return parseTrace(JSON.parse(encoded.json)) satisfies Trace;
}

const question = { role: "user" as const, content: "Tell me everything." };
const long = (text: string, times = 100_000) => `It begins.${text.repeat(times)}The end.`;

describe("a trace that is too large and may be cut", () => {
  test("keeps head and tail of its long texts, says what was left out, and is a valid trace", () => {
    const content = long("so long ");
    const message = { role: "assistant" as const, content };
    const trace = cutTo({ model: "m", messages: [question, message], choices: [{ index: 0, message }] }, 50_000);
    const [asked, answered, closing] = trace.messages;
    expect(asked).toEqual(question);
    expect(answered?.content).toMatch(/^It begins\.so long .*\n\[… \d+ characters left out …\]\n.*The end\.$/s);
    expect(trace.choices).toMatchObject([{ index: 0, message: { content: answered?.content } }]);
    expect(closing && fromTraceMessage(closing)).toEqual({
      call: { ended: "complete", cut_bytes: expect.any(Number) },
    });
  });

  test("still tells how the call ended", () => {
    const ended = { role: "system" as const, content: '::: call {"ended":"aborted"}' };
    const trace = cutTo({ model: "m", messages: [{ role: "assistant", content: long("x") }, ended] }, 10_000);
    const last = trace.messages.at(-1);
    expect(trace.messages).toHaveLength(2);
    expect(last && fromTraceMessage(last)).toMatchObject({ call: { ended: "aborted", cut_bytes: expect.any(Number) } });
  });

  test("gives up choices that are no text before it gives up messages", () => {
    const logprobs = Array.from({ length: 20_000 }, (_, i) => ({ token: "a", logprob: -i }));
    const trace = cutTo({ model: "m", messages: [question], choices: [{ index: 0, logprobs }] }, 10_000);
    expect(trace).not.toHaveProperty("choices");
    expect(trace.messages[0]).toEqual(question);
  });

  test("keeps the first and the last of very many messages", () => {
    const messages = Array.from({ length: 5000 }, (_, i) => ({ role: "user" as const, content: `question ${i}` }));
    const trace = cutTo({ model: "m", messages }, 10_000);
    const contents = trace.messages.map(({ content }) => content);
    expect(contents[0]).toBe("question 0");
    expect(contents.at(-2)).toBe("question 4999");
    expect(contents.filter((text) => /^\[… \d+ messages left out …\]$/.test(text))).toHaveLength(1);
  });

  test("fits whatever it says", () => {
    const message = fc.record({ role: fc.constantFrom("user", "assistant"), content: fc.string({ unit: "binary" }) });
    const input = fc.record({
      model: fc.constant("m"),
      messages: fc.array(message, { minLength: 1, maxLength: 60, size: "max" }),
      choices: fc.array(fc.dictionary(fc.string(), fc.jsonValue())),
    });
    fc.assert(
      fc.property(input, (given) => {
        cutTo(given as TraceInput, 2000); // the generator's roles are the contract's
      }),
      { numRuns: 50 },
    );
  });

  test("is refused where nothing helps", () => {
    const usage = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`tokens_${i}`, i]));
    const encoded = encodeChecked(parseTrace({ model: "m", messages: [question], usage }), "list", limits(2000));
    expect(encoded).toMatchObject({ loss: { reason: "too_large" } });
  });
});

test("a trace that may not be cut is refused", () => {
  const trace = parseTrace({ model: "m", messages: [{ role: "user", content: long("x") }] });
  expect(encodeChecked(trace, "list", limits(10_000, false))).toMatchObject({ loss: { reason: "too_large" } });
});
