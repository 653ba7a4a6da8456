import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { copyJson, isObject, type JsonObject } from "../src/json.ts";

function objectsIn(value: unknown): unknown[] {
  return typeof value === "object" && value !== null ? [value, ...Object.values(value).flatMap(objectsIn)] : [];
}

describe("copyJson", () => {
  test("gives what reading the same text once more would give", () => {
    const texts = fc.dictionary(fc.string(), fc.jsonValue()).map((value) => JSON.stringify(value));
    fc.assert(
      fc.property(texts, (text) => {
        const read: unknown = JSON.parse(text);
        const copy = isObject(read) ? copyJson(read) : undefined;
        expect(JSON.stringify(copy)).toBe(text);
        const known = new Set(objectsIn(read));
        expect(objectsIn(copy).some((object) => known.has(object))).toBe(false);
      }),
    );
  });

  test("takes __proto__ for a field like others", () => {
    const text = '{"__proto__":{"a":[1]},"b":{"__proto__":2}}';
    expect(JSON.stringify(copyJson(JSON.parse(text)))).toBe(text);
  });

  test("gives up what is nested too deeply", () => {
    let deep: JsonObject = {};
    for (let level = 0; level < 100_000; level++) deep = { deep };
    expect(copyJson(deep)).toBeUndefined();
  });
});
