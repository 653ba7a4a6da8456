import { describe, expect, test } from "vitest";
import { type ObservedBody, observeWebStream } from "../../src/capture/observe.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

/** A source that counts how often it is asked, and its observed twin. */
function observed({ type, maxBytes = 1000 }: { type?: "bytes"; maxBytes?: number } = {}) {
  const asked: string[] = [];
  const cancelled: unknown[] = [];
  const ends: ObservedBody[] = [];
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  const source = {
    start(given: ReadableStreamDefaultController<Uint8Array>) {
      controller = given;
    },
    pull() {
      asked.push("pull");
    },
    cancel(reason: unknown) {
      cancelled.push(reason);
    },
  };
  const body = type
    ? new ReadableStream({ ...source, type } as UnderlyingByteSource) // both controllers enqueue, close and fail alike
    : new ReadableStream(source, { highWaterMark: 0 });
  const abort = new AbortController();
  const stream = observeWebStream({ body }, { maxBytes, onEnd: (end) => ends.push(end), signal: abort.signal });
  if (!controller) throw new Error("the source was not started");
  return { asked, cancelled, ends, controller, stream, body, abort };
}

describe.each([undefined, "bytes"] as const)("a %s stream, observed", (type) => {
  const make = (maxBytes?: number) =>
    observed({ ...(type ? { type } : {}), ...(maxBytes === undefined ? {} : { maxBytes }) });

  test("asks its source for nothing until it is read, and once per read", async () => {
    const { asked, body, stream, controller } = make();
    await Promise.resolve();
    expect([asked.length, body.locked]).toEqual([0, false]);
    const reader = stream.getReader();
    const first = reader.read();
    await expect.poll(() => asked.length).toBe(1);
    controller.enqueue(bytes("a"));
    expect((await first).value).toEqual(bytes("a"));
    await new Promise((resolve) => setImmediate(resolve));
    expect(asked).toHaveLength(1);
  });

  test("keeps what passed, and says that it was complete", async () => {
    const { stream, controller, ends } = make();
    controller.enqueue(bytes("one "));
    controller.enqueue(bytes("two"));
    controller.close();
    expect(await new Response(stream).text()).toBe("one two");
    expect(ends).toEqual([
      { chunks: [bytes("one "), bytes("two")], droppedBytes: 0, tail: [], ending: { how: "complete" } },
    ]);
  });

  test("passes an error on as it is, at once, also when nothing is being read", async () => {
    const { stream, controller, ends } = make();
    controller.enqueue(bytes("one"));
    const reader = stream.getReader();
    await reader.read();
    const error = new Error("broken");
    controller.error(error);
    await expect(reader.closed).rejects.toBe(error);
    await expect(reader.read()).rejects.toBe(error);
    expect(ends).toEqual([{ chunks: [bytes("one")], droppedBytes: 0, tail: [], ending: { how: "failed", error } }]);
  });

  test("passes a cancellation on with its reason, before and after reading", async () => {
    for (const reads of [0, 1]) {
      const { stream, controller, cancelled, ends } = make();
      controller.enqueue(bytes("one"));
      const reader = stream.getReader();
      if (reads) await reader.read();
      await reader.cancel("enough");
      expect(cancelled).toEqual(["enough"]);
      expect(ends).toMatchObject([{ chunks: reads ? [bytes("one")] : [], ending: { how: "cancelled" } }]);
    }
  });

  test("passes everything on but keeps no more than maxBytes, head and tail, and counts the rest", async () => {
    const { stream, controller, ends } = make(5);
    for (const text of ["123", "456", "78"]) controller.enqueue(bytes(text));
    controller.close();
    expect(await new Response(stream).text()).toBe("12345678");
    expect(ends).toMatchObject([{ chunks: [bytes("123")], droppedBytes: 3, tail: [bytes("78")] }]);
  });

  test("sees an abort that comes before the first read", async () => {
    const { controller, ends, abort } = make();
    abort.abort();
    controller.error(abort.signal.reason);
    await expect.poll(() => ends.length).toBe(1);
    expect(ends[0]?.ending).toEqual({ how: "failed", error: abort.signal.reason });
  });
});

const MB = 2 ** 20;

describe("what is kept of a very long body", () => {
  const length = (chunks: readonly Uint8Array[]) => chunks.reduce((sum, { byteLength }) => sum + byteLength, 0);

  async function watch(chunks: Iterable<Uint8Array>, maxBytes: number) {
    const ends: ObservedBody[] = [];
    const iterator = chunks[Symbol.iterator]();
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        const { done, value } = iterator.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
    });
    for await (const _ of observeWebStream({ body }, { maxBytes, onEnd: (end) => ends.push(end) }));
    const [end] = ends;
    if (!end) throw new Error("the end was not told");
    return end;
  }

  function* repeat(chunk: Uint8Array, times: number) {
    for (let i = 0; i < times; i++) yield chunk.slice();
  }

  test("is no more than maxBytes while 100 MB pass", async () => {
    const { chunks, tail, droppedBytes } = await watch(repeat(new Uint8Array(MB / 16), 1600), MB);
    expect([length(chunks), length(tail), droppedBytes]).toEqual([MB / 2, MB / 2, 99 * MB]);
    expect([...chunks, ...tail].map(({ buffer }) => buffer.byteLength)).toEqual(Array(16).fill(MB / 16));
  });

  test("is no more than maxBytes of a single chunk, either", async () => {
    const { chunks, tail, droppedBytes } = await watch(repeat(new Uint8Array(100 * MB), 1), MB);
    expect([length(chunks), length(tail), droppedBytes]).toEqual([MB / 2, MB / 2, 99 * MB]);
    expect([...chunks, ...tail].map(({ buffer }) => buffer.byteLength)).toEqual([MB / 2, MB / 2]);
  });

  test("is everything, when it just fits", async () => {
    const { chunks, tail, droppedBytes } = await watch(repeat(bytes("abc"), 7), 21);
    expect([Buffer.concat(chunks).toString(), tail, droppedBytes]).toEqual(["abc".repeat(7), [], 0]);
  });
});
