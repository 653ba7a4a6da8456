import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Deferred } from "../../src/delivery/deferred.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function start() {
  const done: string[] = [];
  const deferred = new Deferred(() => {});
  const add = (...names: string[]) => {
    for (const name of names) deferred.add(() => void done.push(name), 20);
  };
  return { deferred, done, add };
}

const many = Array.from({ length: 60 }, (_, place) => String(place));
const never = new Promise<void>(() => {});

describe("deferred work", () => {
  test("is gathered, and done together", () => {
    const { done, add } = start();
    add("a");
    vi.advanceTimersByTime(19);
    add("b");
    expect(done).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(done).toEqual(["a", "b"]);
  });

  test("that comes later is gathered anew", () => {
    const { deferred, done, add } = start();
    add("a");
    vi.advanceTimersByTime(20);
    add("b");
    expect(done).toEqual(["a"]);
    vi.advanceTimersByTime(20);
    expect(done).toEqual(["a", "b"]);
    expect(deferred.isIdle).toBe(true);
  });

  test("is done at once when somebody waits for it", () => {
    const { deferred, done, add } = start();
    add("a");
    expect(deferred.finish(never)).toBeNull();
    expect(done).toEqual(["a"]);
  });

  test("is interrupted for the app's own when it is much, and keeps its order", () => {
    const { done, add } = start();
    add(...many);
    const seen: number[] = [];
    setTimeout(() => seen.push(done.length), 20);
    vi.advanceTimersByTime(20);
    add("last");
    vi.runAllTimers();
    expect(seen).toEqual([25]);
    expect(done).toEqual([...many, "last"]);
  });

  test("is done to its end when somebody waits for it, also in the middle", () => {
    const { deferred, done, add } = start();
    add(...many);
    vi.advanceTimersToNextTimer();
    expect(done).toHaveLength(25);
    expect(deferred.finish(never)).toBeNull();
    expect(done).toEqual(many);
  });
});
