import fc from "fast-check";
import { expect, test } from "vitest";
import { LineIndex } from "../../../src/endpoint/files/line-index.ts";

test("lines are found by their names, the earliest first, however many there are; nameless ones never are", () => {
  const name = fc.option(fc.oneof(fc.constantFrom("a", "b"), fc.string()), { nil: undefined });
  fc.assert(
    fc.property(fc.array(fc.tuple(name, fc.integer({ min: 1, max: 1e12 })), { maxLength: 2_000 }), (lines) => {
      const index = new LineIndex();
      const model = new Map<string, { start: number; end: number }[]>();
      for (const [name, length] of lines) {
        const line = { start: index.end, end: index.end + length };
        index.add(name, line.end);
        if (name !== undefined) model.set(name, [...(model.get(name) ?? []), line]);
      }
      expect(index.lines).toBe(lines.length);
      for (const [name, at] of model) expect([...index.find(name)]).toEqual(at);
      expect([...index.find("not in there, and too long to be by chance")]).toEqual([]);
    }),
    { numRuns: 50 },
  );
});

test("a hundred thousand names share few hashes", () => {
  const index = new LineIndex();
  for (let line = 0; line < 100_000; line++) index.add(`0198${line.toString(16).padStart(8, "0")}.json`, line + 1);
  const found = Array.from({ length: 1_000 }, (_, line) => [
    ...index.find(`0198${(line * 99).toString(16).padStart(8, "0")}.json`),
  ]);
  expect(found.every(([first]) => first !== undefined)).toBe(true);
  expect(found.flat().length).toBeLessThan(1_010);
});
