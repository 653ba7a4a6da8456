import fc from "fast-check";
import { expect, test } from "vitest";
import { BLOCK_BYTES } from "../../src/capture/blocks.ts";
import { COMPLETE, Recording } from "../../src/capture/recording.ts";

const steps = fc.array(
  fc.record({
    body: fc.nat(39), // more at a time than there are blocks
    bytes: fc.oneof(fc.nat(300), fc.integer({ min: BLOCK_BYTES - 2, max: BLOCK_BYTES + 2 }), fc.nat(3 * BLOCK_BYTES)),
    isLast: fc.boolean(),
  }),
  { maxLength: 120 },
);

function startBody() {
  return { said: "", recording: new Recording(undefined) };
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
        const kept = { text: known.said, droppedBytes: 0, tailText: "", ending: COMPLETE };
        expect(known.recording.end(COMPLETE)).toEqual(kept);
        open.delete(body);
      }
    }),
  );
});

test("many bodies at once take no fresh memory, once there is some for them", () => {
  const chunk = new Uint8Array(250);
  const pass = () => {
    const recordings = Array.from({ length: 60 }, () => new Recording(undefined));
    for (let times = 0; times < 200; times++) for (const recording of recordings) recording.add(chunk);
    return recordings.map((recording) => recording.end(COMPLETE).text.length);
  };
  pass();
  const { arrayBuffers } = process.memoryUsage();
  expect(new Set(pass())).toEqual(new Set([50_000]));
  expect(process.memoryUsage().arrayBuffers).toBeLessThanOrEqual(arrayBuffers);
});
