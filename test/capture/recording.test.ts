import fc from "fast-check";
import { expect, test } from "vitest";
import { BLOCK_BYTES } from "../../src/capture/blocks.ts";
import { type ObservedBody, startRecording } from "../../src/capture/recording.ts";

const steps = fc.array(
  fc.record({
    body: fc.nat(39), // more at a time than there are blocks
    bytes: fc.oneof(fc.nat(300), fc.integer({ min: BLOCK_BYTES - 2, max: BLOCK_BYTES + 2 }), fc.nat(3 * BLOCK_BYTES)),
    isLast: fc.boolean(),
  }),
  { maxLength: 120 },
);

function startBody() {
  const ends: ObservedBody[] = [];
  return { said: "", ends, recording: startRecording({ maxBytes: undefined, onEnd: (end) => ends.push(end) }) };
}

test("bodies that pass at the same time share memory, and nothing of what they say", () => {
  fc.assert(
    fc.property(steps, (steps) => {
      const open = new Map<number, ReturnType<typeof startBody>>();
      for (const [at, { body, bytes, isLast }] of steps.entries()) {
        const known = open.get(body) ?? startBody();
        open.set(body, known);
        const text = String.fromCharCode(97 + (at % 26)).repeat(bytes);
        known.said += text;
        known.recording.add(new TextEncoder().encode(text));
        if (!isLast) continue;
        known.recording.end({ how: "complete" });
        expect(known.ends).toEqual([{ text: known.said, droppedBytes: 0, tailText: "", ending: { how: "complete" } }]);
        open.delete(body);
      }
    }),
  );
});
