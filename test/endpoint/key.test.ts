import fc from "fast-check";
import { expect, test } from "vitest";
import {
  decodeSegment,
  encodeSegment,
  foldersOf,
  isTraceKey,
  MAX_SEGMENT_LENGTH,
  traceKey,
} from "../../src/endpoint/key.ts";

// Strings as an attacker writes them: any UTF-16 units, lone surrogates too, and pieces that mean something to a path.
const pieces = fc.constantFrom(
  "..",
  ".",
  "/",
  "\\",
  "\0",
  "%2e",
  "!",
  "!-",
  "!_",
  "!2e",
  "~1",
  ":",
  "con",
  "A",
  "a",
  " ",
  "é",
  "e\u0301",
  "\ud800",
);
const hostile = fc.oneof(
  fc.array(fc.oneof(pieces, fc.string({ unit: "binary" })), { maxLength: 8 }).map((parts) => parts.join("")),
  fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 20 }).map((units) => String.fromCharCode(...units)),
  fc.stringMatching(/^[A-Za-z.]{0,12}$/),
  fc.string({ unit: "binary", minLength: 80, maxLength: 2000 }),
);

test.each([
  "gpt-4o-2024-08-06",
  "fp_44709d6fcb",
  "0193f2a1-7e4b-7cc3-8d5f-1b2c3d4e5f60",
  "chatcmpl-123",
  "llama3.1_8b",
])("%s stays as it is", async (ordinary) => {
  expect(await encodeSegment(ordinary)).toBe(ordinary);
});

test.each([
  ["", "!"],
  ["..", "!2e!2e"],
  [".hidden", "!2ehidden"],
  ["trailing.", "trailing!2e"],
  ["Qwen/Qwen2.5-7B", "Qwen!2fQwen2.5-7B!-ep"],
  ["a\0b", "a!00b"],
  ["ü 😀", "!fc!20!ud83d!ude00"],
  ["nul", "!6eul"],
  ["aux.txt", "!61ux.txt"],
  ["COM1", "!43OM1!-3"],
  ["console", "console"],
])("%j becomes %s", async (text, segment) => {
  expect(await encodeSegment(text)).toBe(segment);
});

test("any string becomes one legal segment, on Windows too", async () => {
  await fc.assert(
    fc.asyncProperty(hostile, async (text) => {
      const segment = await encodeSegment(text);
      expect(segment).toMatch(/^[\w!-](?:[\w.!-]*[\w!-])?$/);
      expect(segment.length).toBeLessThanOrEqual(MAX_SEGMENT_LENGTH);
      expect(segment).not.toMatch(/^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)/i);
    }),
    { numRuns: 2000 },
  );
});

test("two strings never share a segment, also where capitals do not count", async () => {
  await fc.assert(
    fc.asyncProperty(hostile, hostile, async (left, right) => {
      fc.pre(left !== right);
      expect((await encodeSegment(left)).toLowerCase()).not.toBe((await encodeSegment(right)).toLowerCase());
    }),
    { numRuns: 2000 },
  );
});

test("strings that differ in capitals only never share a segment", async () => {
  const word = fc.stringMatching(/^[a-z.!/-]{1,60}$/);
  await fc.assert(
    fc.asyncProperty(word, fc.infiniteStream(fc.boolean()), async (text, coins) => {
      const other = Array.from(text, (letter) => (coins.next().value ? letter.toUpperCase() : letter)).join("");
      fc.pre(text !== other);
      expect((await encodeSegment(text)).toLowerCase()).not.toBe((await encodeSegment(other)).toLowerCase());
    }),
  );
});

test("what was not shortened can be read back", async () => {
  await fc.assert(
    fc.asyncProperty(hostile, async (text) => {
      const segment = await encodeSegment(text);
      fc.pre(!segment.includes("!_"));
      expect(decodeSegment(segment)).toBe(text);
    }),
    { numRuns: 2000 },
  );
});

test("long names that differ in one lone surrogate at the end differ", async () => {
  const long = "x".repeat(2000);
  const keys = await Promise.all([`${long}\ud800`, `${long}\ud801`, `${long}\ufffd`].map(encodeSegment));
  expect(new Set(keys).size).toBe(3);
});

test("a key stays in its folder and is recognised again", async () => {
  await fc.assert(
    fc.asyncProperty(hostile, hostile, fc.integer({ min: 0, max: 253_402_300_799 }), async (id, print, created) => {
      const key = await traceKey({ id, system_fingerprint: print, created });
      expect(key.json.split("/")).toHaveLength(4);
      expect(isTraceKey(key.json)).toBe(true);
      expect(isTraceKey(key.page)).toBe(true);
      expect(new URL(key.page, "http://host/").pathname).toBe(`/${key.page}`);
    }),
  );
});

test("the partitioned layout names the day, then the fingerprint", async () => {
  const key = await traceKey({ id: "a", system_fingerprint: "gpt-5", created: 1_714_857_600 }, "partitioned");
  expect(key).toEqual({
    json: "logs/dt=2024-05-04/fp=gpt-5/a.json",
    page: "share/dt=2024-05-04/fp=gpt-5/a.html",
  });
});

test("keys of both layouts are recognised, say what they were made of, and never meet", async () => {
  const second = fc.integer({ min: 0, max: 253_402_300_799 });
  const parts = fc.record({ id: hostile, system_fingerprint: hostile, created: second });
  const layout = fc.constantFrom("contract" as const, "partitioned" as const);
  await fc.assert(
    fc.asyncProperty(parts, layout, parts, layout, async (left, leftLayout, right, rightLayout) => {
      const [one, other] = [await traceKey(left, leftLayout), await traceKey(right, rightLayout)];
      expect(isTraceKey(one.json) && isTraceKey(one.page)).toBe(true);
      expect(foldersOf(one.json)).toEqual(foldersOf((await traceKey(left)).json));
      const day = (created: number) => Math.floor(created / 86_400);
      const same =
        leftLayout === rightLayout &&
        left.id === right.id &&
        left.system_fingerprint === right.system_fingerprint &&
        day(left.created) === day(right.created);
      expect(one.json.toLowerCase() === other.json.toLowerCase()).toBe(same);
    }),
    { numRuns: 1000 },
  );
});

test.each([
  "",
  "logs/dt=2024-05-04/x.json",
  "logs/dt=2024-05-04/fp=../x.json",
  "logs/dt=2024-05-04/fp=/x.json",
  "logs/../../etc/passwd",
  "logs/a/20240504/../x.json",
  "logs/a/20240504/.draft-1.json",
  "logs/a/2024/x.json",
  "logs/a/20240504/x.exe",
  "/logs/a/20240504/x.json",
  "logs/a/20240504/x\0.json",
])("%j is no key", (text) => expect(isTraceKey(text)).toBe(false));
