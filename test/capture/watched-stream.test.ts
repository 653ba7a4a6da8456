import { Readable } from "node:stream";
import type { ReadableStream as NodeReadableStream } from "node:stream/web";
import { inspect } from "node:util";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ObservedBody } from "../../src/capture/recording.ts";
import { relayWatched, watchStream } from "../../src/capture/watched-stream.ts";

type Bytes = Uint8Array<ArrayBuffer>;
const bytes = (text: string) => new TextEncoder().encode(text);

const sink = { logTrace: () => undefined };

interface How {
  readonly type?: "bytes" | undefined;
  readonly isRelayed?: boolean;
  readonly isWatched?: boolean;
  readonly maxBytes?: number | undefined;
}

function streamOf(type: "bytes" | undefined, source: UnderlyingDefaultSource<Bytes>): ReadableStream<Bytes> {
  return type
    ? new ReadableStream({ ...source, type } as UnderlyingByteSource) // both controllers enqueue, close and fail alike
    : new ReadableStream(source, { highWaterMark: 0 });
}

/** A source that counts how often it is asked, and its stream, watched. */
function watch({ type, isRelayed = false, isWatched = true, maxBytes = 1000 }: How = {}) {
  const asked: string[] = [];
  const cancelled: unknown[] = [];
  const ends: ObservedBody[] = [];
  let controller: ReadableStreamDefaultController<Bytes> | undefined;
  const source = {
    start(given: ReadableStreamDefaultController<Bytes>) {
      controller = given;
    },
    pull() {
      asked.push("pull");
    },
    cancel(reason: unknown) {
      cancelled.push(reason);
    },
  };
  const body = streamOf(type, source);
  const abort = new AbortController();
  const options = { maxBytes, onEnd: (end: ObservedBody) => ends.push(end), signal: abort.signal, sink };
  const stream = isRelayed ? relayWatched(body, options) : body;
  if (isWatched && !isRelayed) expect(watchStream(body, options)).toBe(true);
  if (!controller) throw new Error("the source was not started");
  const say = (...texts: string[]) => {
    for (const text of texts) controller?.enqueue(bytes(text));
  };
  const said = () => ends.map(({ text, ending }) => [text, ending.how]);
  return { asked, cancelled, ends, said, say, controller, stream, abort };
}

/** As Node's adapters do from version 26 on. */
async function readUnseen(stream: ReadableStream<Bytes>): Promise<void> {
  const reader = stream.getReader();
  const read = ReadableStreamDefaultReader.prototype.read;
  while (!(await Reflect.apply(read, reader, [])).done);
}

const types = [undefined, "bytes"] as const;
const ways = ["its own methods", "a relay"] as const;
const cases = types.flatMap((type) => ways.map((way) => [type ?? "plain", way, type] as const));

describe.each(cases)("a %s stream, watched through %s", (_, way, type) => {
  const make = (maxBytes?: number) => watch({ type, isRelayed: way === "a relay", maxBytes });

  test("asks its source for nothing until it is read, and once per read", async () => {
    const { asked, stream, say } = make();
    await Promise.resolve();
    expect([asked.length, stream.locked]).toEqual([0, false]);
    const reader = stream.getReader();
    const first = reader.read();
    await expect.poll(() => asked.length).toBe(1);
    say("a");
    expect((await first).value).toEqual(bytes("a"));
    await new Promise((resolve) => setImmediate(resolve));
    expect(asked).toHaveLength(1);
  });

  test("keeps what passed, and says that it was complete", async () => {
    const { stream, controller, say, ends } = make();
    say("one ", "two");
    controller.close();
    expect(await new Response(stream).text()).toBe("one two");
    expect(ends).toEqual([{ text: "one two", droppedBytes: 0, tailText: "", ending: { how: "complete" } }]);
  });

  test("keeps what an iterator was given, and that it left", async () => {
    const { stream, say, said, cancelled } = make();
    say("one", "two", "three");
    let count = 0;
    for await (const _ of stream) if (++count === 2) break;
    expect([said(), cancelled]).toEqual([[["onetwo", "cancelled"]], [undefined]]);
  });

  test("keeps what a reader was given that has changed it, or given its memory away", async () => {
    const { stream, controller, say, said } = make();
    say("one", "two");
    controller.close();
    for await (const chunk of stream) {
      chunk.fill(0);
      structuredClone(chunk, { transfer: [chunk.buffer] });
    }
    expect(said()).toEqual([["onetwo", "complete"]]);
  });

  test("goes on when a reader gives its lock back, also with a read under way, and an iterator takes over", async () => {
    const { stream, controller, say, said, cancelled } = make();
    say("one");
    const reader = stream.getReader();
    await reader.read();
    const underWay = reader.read();
    reader.releaseLock();
    await expect(underWay).rejects.toThrow(TypeError);
    say("two");
    for await (const _ of stream.values({ preventCancel: true })) break;
    say("three");
    controller.close();
    for await (const _ of stream);
    expect([said(), cancelled]).toEqual([[["onetwothree", "complete"]], []]);
  });

  test("passes an error on as it is, at once, also when nothing is being read", async () => {
    const { stream, controller, say, ends, said } = make();
    say("one");
    const reader = stream.getReader();
    await reader.read();
    const error = new Error("broken");
    controller.error(error);
    await expect(reader.closed).rejects.toBe(error);
    await expect(reader.read()).rejects.toBe(error);
    expect(said()).toEqual([["one", "failed"]]);
    expect(ends[0]?.ending).toEqual({ how: "failed", error });
  });

  test("passes an error on to an iterator", async () => {
    const { stream, controller, say, said } = make();
    say("one");
    const error = new Error("broken");
    const read = (async () => {
      for await (const _ of stream) controller.error(error);
    })();
    await expect(read).rejects.toBe(error);
    expect(said()).toEqual([["one", "failed"]]);
  });

  test("passes a cancellation on with its reason, before and after reading", async () => {
    for (const reads of [0, 1]) {
      const { stream, say, cancelled, said } = make();
      say("one");
      const reader = stream.getReader();
      if (reads) await reader.read();
      await reader.cancel("enough");
      expect(cancelled).toEqual(["enough"]);
      expect(said()).toEqual([[reads ? "one" : "", "cancelled"]]);
    }
  });

  test("passes on a cancellation of the stream itself, which a locked one refuses", async () => {
    const { stream, cancelled, said } = make();
    const reader = stream.getReader();
    await expect(stream.cancel("mine")).rejects.toThrow(TypeError);
    expect([cancelled, said()]).toEqual([[], []]);
    reader.releaseLock();
    await stream.cancel("enough");
    expect([cancelled, said()]).toEqual([["enough"], [["", "cancelled"]]]);
  });

  test("passes everything on but keeps no more than maxBytes, head and tail, and counts the rest", async () => {
    const { stream, controller, say, ends } = make(5);
    say("123", "456", "78");
    controller.close();
    expect(await new Response(stream).text()).toBe("12345678");
    expect(ends).toMatchObject([{ text: "123", droppedBytes: 3, tailText: "78" }]);
  });

  test("sees an abort that comes before the first read", async () => {
    const { controller, ends, abort } = make();
    abort.abort();
    controller.error(abort.signal.reason);
    await expect.poll(() => ends.length).toBe(1);
    expect(ends[0]?.ending).toEqual({ how: "failed", error: abort.signal.reason });
  });

  test("sees an abort between two reads, whose reader never comes back", async () => {
    const { stream, controller, say, ends, said, abort } = make();
    say("one");
    await stream[Symbol.asyncIterator]().next();
    abort.abort();
    controller.error(abort.signal.reason);
    await expect.poll(() => ends.length).toBe(1);
    expect(said()).toEqual([["one", "failed"]]);
  });

  test("keeps what a read gives that was under way when the abort came", async () => {
    const { stream, controller, say, said, abort } = make();
    const read = stream[Symbol.asyncIterator]().next();
    await new Promise((resolve) => setImmediate(resolve));
    say("one");
    abort.abort();
    controller.error(abort.signal.reason);
    const seen = await read.then(
      ({ value }) => Buffer.from(value ?? []).toString(),
      () => "",
    );
    expect(said()).toEqual([[expect.stringContaining(seen), "failed"]]);
  });

  test.each<[string, (stream: ReadableStream<Bytes>) => Promise<unknown>]>([
    [
      "both branches of a tee",
      async (stream) => Promise.all(stream.tee().map((branch) => new Response(branch).text())),
    ],
    ["a pipe to", (stream) => stream.pipeTo(new WritableStream())],
    ["a pipe through", (stream) => new Response(stream.pipeThrough(new TransformStream())).text()],
    ["a Node stream", (stream) => Readable.fromWeb(stream as NodeReadableStream).toArray()],
    ["a reader of which no method is called", readUnseen],
  ])("sees what goes through %s", async (_, read) => {
    const { stream, controller, say, said } = make();
    say("one", "two");
    controller.close();
    await read(stream);
    expect(said()).toEqual([["onetwo", "complete"]]);
  });

  test("refuses what a locked stream refuses, as it does", async () => {
    const { stream, said } = make();
    stream.getReader();
    expect(() => stream.tee()).toThrow(/locked/);
    expect(() => stream.getReader()).toThrow(/locked/);
    expect(() => stream.pipeThrough(new TransformStream())).toThrow(/locked/);
    await expect(stream.pipeTo(new WritableStream())).rejects.toThrow(/locked/);
    expect(said()).toEqual([]);
  });

  test("looks like one that is not watched", () => {
    const { stream } = make();
    const look = (one: object) => [Object.getOwnPropertyNames(one), one.constructor, String(one), inspect(one)];
    expect(look(stream)).toEqual(look(streamOf(type, {})));
  });
});

test("a reader that brings its own buffer is seen, and others after it", async () => {
  const { stream, controller, say, said } = watch({ type: "bytes" });
  say("onetwo");
  const reader = stream.getReader({ mode: "byob" });
  const { value } = await reader.read(new Uint8Array(3));
  expect([value, stream.locked]).toEqual([bytes("one"), true]);
  reader.releaseLock();
  expect(stream.locked).toBe(false);
  say("three");
  controller.close();
  for await (const _ of stream);
  expect(said()).toEqual([["onetwothree", "complete"]]);
});

test("a reader that brings its own buffer to a stream of another kind is refused, and the stream stays as it was", () => {
  const { stream } = watch();
  expect(() => stream.getReader({ mode: "byob" })).toThrow(TypeError);
  expect(stream.locked).toBe(false);
});

test("a read that fails stays unhandled when its reader does not handle it", async () => {
  const { stream, controller } = watch();
  const error = new Error("broken");
  const unhandled = new Promise((resolve) => process.once("unhandledRejection", resolve));
  void stream.getReader().read();
  controller.error(error);
  expect(await unhandled).toBe(error);
});

/** What is done to a stream and its iterator, in this order; `turn` lets everything settle in between. */
const deeds = fc.array(fc.constantFrom("say", "say", "next", "next", "turn", "return", "close", "error"), {
  maxLength: 14,
});
const kinds = fc.record({ type: fc.constantFrom(...types), preventCancel: fc.constantFrom(undefined, false, true) });

/** Everything that whoever iterates and whoever supplies can see of it. */
async function live(
  stream: ReadableStream<Bytes>,
  supply: ReturnType<typeof watch>,
  preventCancel: boolean | undefined,
  todo: string[],
) {
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  const iterator = preventCancel === undefined ? stream[Symbol.asyncIterator]() : stream.values({ preventCancel });
  const { return: giveUp } = iterator as AsyncIterator<Bytes, unknown>; // its type takes no reason, it does
  const outcomes: unknown[] = [];
  const keep = (promise: Promise<IteratorResult<Bytes, unknown>> | undefined) => {
    const at = outcomes.push("pending") - 1;
    promise?.then(
      ({ done, value }) => {
        outcomes[at] = done ? { done, value } : Buffer.from(value).toString();
      },
      (error: unknown) => {
        outcomes[at] = { error: error instanceof Error ? error.message : error };
      },
    );
  };
  let count = 0;
  for (const deed of todo) {
    count++;
    if (deed === "turn") await turn();
    if (deed === "next") keep(iterator.next());
    if (deed === "return") keep(giveUp?.call(iterator, `reason ${count}`));
    try {
      if (deed === "say") supply.say(`chunk ${count};`);
      if (deed === "close") supply.controller.close();
      if (deed === "error") supply.controller.error(new Error(`broken ${count}`));
    } catch (error) {
      outcomes.push(error instanceof Error && error.message); // what has ended takes no more
    }
  }
  for (let round = 0; round < 3; round++) await turn();
  const { asked, cancelled } = supply;
  const other = await Promise.race([stream.locked ? "locked" : stream.getReader().closed.catch(String), turn()]);
  return { outcomes, asked: asked.length, cancelled, locked: stream.locked, other };
}

test("an iterator does what that of a bare stream does, whatever is done, and what it gave is kept", async () => {
  await fc.assert(
    fc.asyncProperty(kinds, deeds, async ({ type, preventCancel }, todo) => {
      const [bare, watched] = [watch({ type, isWatched: false }), watch({ type })];
      const expected = await live(bare.stream, bare, preventCancel, todo);
      const got = await live(watched.stream, watched, preventCancel, todo);
      expect(got).toEqual(expected);
      // Of two steps that do not wait for each other Node sometimes settles the second first: it is kept as it was given.
      const given = got.outcomes.filter((outcome) => String(outcome).startsWith("chunk")).toSorted();
      for (const [text] of watched.said()) expect(text?.match(/[^;]+;/g)?.toSorted() ?? []).toEqual(given);
    }),
    { numRuns: 1000 },
  );
});

const MB = 2 ** 20;

describe("what is kept of a very long body", () => {
  async function watch(chunks: Iterable<Bytes>, maxBytes: number) {
    const ends: ObservedBody[] = [];
    const iterator = chunks[Symbol.iterator]();
    const body = new ReadableStream<Bytes>({
      pull(controller) {
        const { done, value } = iterator.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
    });
    watchStream(body, { maxBytes, sink, onEnd: (end) => ends.push(end) });
    for await (const _ of body);
    const [end] = ends;
    if (!end) throw new Error("the end was not told");
    return end;
  }

  function* repeat(chunk: Bytes, times: number) {
    for (let i = 0; i < times; i++) yield chunk.slice();
  }

  test("is no more than maxBytes while 100 MB pass", async () => {
    const { text, tailText, droppedBytes } = await watch(repeat(new Uint8Array(MB / 16), 1600), MB);
    expect([text.length, tailText.length, droppedBytes]).toEqual([MB / 2, MB / 2, 99 * MB]);
  });

  test("is no more than maxBytes of a single chunk, either", async () => {
    const { text, tailText, droppedBytes } = await watch(repeat(new Uint8Array(100 * MB), 1), MB);
    expect([text.length, tailText.length, droppedBytes]).toEqual([MB / 2, MB / 2, 99 * MB]);
  });

  test("is everything, when it just fits", async () => {
    const { text, tailText, droppedBytes } = await watch(repeat(bytes("abc"), 7), 21);
    expect([text, tailText, droppedBytes]).toEqual(["abc".repeat(7), "", 0]);
  });
});
