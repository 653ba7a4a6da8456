/** Responses that are read whole, watched and not: their users see no difference, and everything said is kept. */
import { inspect } from "node:util";
import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import type { ObservedBody } from "../../src/capture/recording.ts";
import { watchResponse } from "../../src/capture/response.ts";
import { collectGarbage } from "./collect-garbage.ts";

type Source = (controller: ReadableStreamDefaultController<unknown>) => void;

const bytes = (text: string) => new TextEncoder().encode(text);

const say =
  (...pieces: unknown[]): Source =>
  (controller) => {
    // Copies: a byte stream takes the memory away.
    for (const piece of pieces) controller.enqueue(piece instanceof Uint8Array ? piece.slice() : piece);
    controller.close();
  };

function respond(start: Source, type?: "bytes"): Response {
  const source = type ? { start, type } : { start };
  return new Response(new ReadableStream(source as UnderlyingDefaultSource)); // both controllers enqueue and close alike
}

const sink = { logTrace: () => undefined };

function watch(response: Response, options: { signal?: AbortSignal; maxBytes?: number } = {}) {
  const ends: ObservedBody[] = [];
  const { signal, maxBytes } = options;
  const watched = watchResponse(response, { maxBytes, signal, sink, onEnd: (end) => ends.push(end) });
  return { watched, ends, said: () => ends.map(({ text, ending }) => [text, ending.how]) };
}

const outcome = (promise: Promise<unknown>) =>
  promise.then(
    (value) => ({ value }),
    (error: Error) => ({ name: error.name, message: error.message }),
  );

/** As Node does from version 26 on: by no method of the stream's own. */
function cloneUnseen(response: Response): Response {
  if (response.body) Object.defineProperty(response.body, "tee", { value: ReadableStream.prototype.tee });
  return response.clone();
}

const ways = {
  text: (response) => response.text(),
  json: (response) => response.json(),
  bytes: async (response) => [...new Uint8Array(await response.arrayBuffer())],
  blob: async (response) => (await response.blob()).text(),
  "the method of its class": (response) => Reflect.apply(Response.prototype.text, response, []),
  "a clone": (response) => response.clone().text(),
  "a clone that nobody saw made": (response) => cloneUnseen(response).json(),
  "both itself and such a clone": async (response) =>
    Promise.all([response, cloneUnseen(response)].map((one) => one.text())),
  "a clone of such a clone": (response) => cloneUnseen(cloneUnseen(response)).text(),
  "a reader": async ({ body }) => {
    const reader = body?.getReader();
    const read: number[] = [];
    for (let one = await reader?.read(); one && !one.done; one = await reader?.read()) read.push(...one.value);
    return read;
  },
} satisfies Record<string, (response: Response) => Promise<unknown>>;

const bodies: Record<string, Source> = {
  JSON: say(bytes('{"a":'), bytes('"b"}')),
  "what is no JSON": say(bytes('{"a"')),
  nothing: say(),
  "a byte order mark": say(bytes("\uFEFF[1]")),
  "letters in pieces": say(bytes('"🌍"').subarray(0, 3), bytes('"🌍"').subarray(3)),
  "no UTF-8": say(new Uint8Array([34, 0xff, 0xc3, 34])),
  "a body that breaks": (controller) => {
    controller.enqueue(bytes("[1,"));
    queueMicrotask(() => controller.error(new RangeError("broken")));
  },
};

describe.each(Object.entries(ways))("a response read by %s", (_, read) => {
  test.each(Object.entries(bodies))("gives what a bare one gives: %s", async (_, start) => {
    for (const type of [undefined, "bytes"] as const) {
      const bare = respond(start, type);
      const { watched, ends } = watch(respond(start, type));
      const [expected, got] = [outcome(read(bare)), outcome(read(watched))];
      const look = ({ body, bodyUsed }: Response) => [bodyUsed, body?.locked];
      expect(look(watched)).toEqual(look(bare));
      expect(await got).toEqual(await expected);
      expect(look(watched)).toEqual(look(bare));
      expect(await outcome(read(watched))).toEqual(await outcome(read(bare)));
      expect(ends).toHaveLength(1);
    }
  });
});

test.each(Object.entries(ways))(
  "holds nothing of the call once it was read by %s, however long it is kept",
  async (_, read) => {
    const call = () => {
      const onEnd = () => {};
      return {
        watched: watchResponse(respond(say(bytes("{}"))), { maxBytes: undefined, sink, onEnd }),
        call: new WeakRef(onEnd),
      };
    };
    const kept = call();
    await read(kept.watched);
    await vi.waitFor(() => {
      collectGarbage();
      expect(kept.call.deref() === undefined).toBe(true); // an error of `expect` would hold what it was given
    });
    expect(kept.watched.ok).toBe(true); // it is still there
  },
);

test("keeps what was said, whatever is done to what json() gave", async () => {
  const { watched, ends } = watch(respond(say(bytes('{"a":{"b":["c"]}}'))));
  const read = await watched.json();
  read.a.b.push("d");
  read.a = undefined;
  expect(ends.map(({ json }) => json)).toEqual([{ a: { b: ["c"] } }]);
});

test("refuses chunks that are no bytes, as a bare one does", async () => {
  for (const piece of ["text", [1], new Uint16Array(2), undefined]) {
    const { watched, said } = watch(respond(say(bytes("[1"), piece)));
    expect(await outcome(watched.text())).toEqual(await outcome(respond(say(bytes("[1"), piece)).text()));
    expect(said()).toEqual([["[1", "failed"]]);
  }
});

describe("a response that was cloned unseen", () => {
  const endless = () => {
    let more = (_: string) => {};
    let fail = (_: Error) => {};
    const response = respond((controller) => {
      more = (text) => controller.enqueue(bytes(text));
      fail = (error) => controller.error(error);
    }, "bytes");
    const { watched, said } = watch(response);
    return { watched, clone: cloneUnseen(watched), said, more, fail };
  };

  async function read(response: Response, pieces: number) {
    const reader = response.body?.getReader();
    let text = "";
    for (let left = pieces; left > 0; left--) text += new TextDecoder().decode((await reader?.read())?.value);
    reader?.releaseLock();
    return text;
  }

  test("and is given up by one reader, is told when the other has read it", async () => {
    const { watched, said } = watch(respond(say(bytes("Hel"), bytes("lo."))));
    const clone = cloneUnseen(watched);
    void watched.body?.cancel();
    await Promise.resolve();
    expect(said()).toEqual([]);
    expect(await clone.text()).toBe("Hello.");
    expect(said()).toEqual([["Hello.", "complete"]]);
  });

  test("and is given up by both readers, is told once, with what the one knew that read more", async () => {
    const { watched, clone, said, more } = endless();
    more("Once ");
    more("upon ");
    expect(await read(clone, 2)).toBe("Once upon ");
    expect(await read(watched, 1)).toBe("Once ");
    const cancelled = [clone, watched].map((one) => one.body?.cancel());
    await Promise.all(cancelled);
    expect(said()).toEqual([["Once upon ", "cancelled"]]);
  });

  test("and breaks for one reader, is told at once, with what the other has read", async () => {
    for (const again of [false, true]) {
      const { watched, clone, said, more, fail } = endless();
      const other = again ? cloneUnseen(clone) : clone;
      more("Once ");
      expect(await read(other, 1)).toBe("Once ");
      fail(new RangeError("broken"));
      await expect(watched.text()).rejects.toThrow("broken");
      expect(said()).toEqual([["Once ", "failed"]]);
    }
  });
});

test("is the very response that came, and so is its body", () => {
  const response = respond(say(bytes("{}")));
  const { body } = response;
  const { watched } = watch(response);
  expect(watched === response && watched.body === body).toBe(true); // as fetch made them: nothing stands in between
});

/**
 * As SvelteKit's `fetch` gives it in `load`: who asks for its body has it split, and one half of it read; and what is asked for
 * its class gets no class.
 */
function splitWhenAsked(response: Response): Response {
  let half: unknown;
  const split = () => {
    const [one, other] = response.body?.tee() ?? [];
    void new Response(one).text().catch(() => {});
    return other;
  };
  const proxy: Response = new Proxy(response, {
    get(it, name) {
      if (name === "body") {
        half ??= split();
        return half;
      }
      const value = Reflect.get(it, name, it);
      if (typeof value !== "function") return value;
      return function (this: unknown, ...args: unknown[]) {
        return Reflect.apply(value, this === proxy ? it : this, args);
      };
    },
  });
  return proxy;
}

test.each(["text", "json", "bytes", "blob", "a clone", "a reader"] as const)(
  "leaves a proxy as it is that splits its body when it is asked for, and keeps what was read by %s",
  async (way) => {
    const proxied = () => splitWhenAsked(respond(say(bytes('["Hel'), bytes('lo."]')), "bytes"));
    const { watched, said } = watch(proxied());
    expect(await ways[way](watched)).toEqual(await ways[way](proxied()));
    await vi.waitFor(() => expect(said()).toEqual([['["Hello."]', "complete"]])); // the other half is read by itself
  },
);

/** A polyfill's, or of another realm. */
function foreign(stream: ReadableStream): object {
  return { getReader: () => stream.getReader(), cancel: (reason: unknown) => stream.cancel(reason) };
}

/** As Remix 2 puts it in the place of the global one: its body is of a class of its own. */
class ForeignBody extends Response {
  override get body() {
    const { body } = this.#inside;
    return body && (foreign(body) as ReadableStream<Uint8Array<ArrayBuffer>>); // what its users take it for
  }

  readonly #inside: Response;

  constructor(body?: BodyInit | null, init?: ResponseInit) {
    super(null, init);
    this.#inside = new Response(body);
  }

  override async text() {
    const reader = this.body?.getReader();
    let text = "";
    for (let one = await reader?.read(); one && !one.done; one = await reader?.read())
      text += decoder.decode(one.value);
    return text;
  }
}

const decoder = new TextDecoder();

test("keeps what was read of a body of another class, and its user reads it as ever", async () => {
  for (const way of ["text", "a reader"] as const) {
    const response = () => new ForeignBody(respond(say(bytes("Hel"), bytes("lo."))).body);
    const { watched, said } = watch(response());
    expect(watched).toBeInstanceOf(ForeignBody);
    expect(await ways[way](watched)).toEqual(await ways[way](response()));
    expect(said()).toEqual([["Hello.", "complete"]]);
  }
});

/** As polyfills from before streams were known: what is no text becomes one. */
class OfText extends Response {
  readonly #said: string;

  constructor(said: unknown) {
    super(String(said));
    this.#said = String(said);
  }

  override get body() {
    const { body } = new Response(this.#said);
    return body && (foreign(body) as ReadableStream<Uint8Array<ArrayBuffer>>); // what its users take it for
  }

  override async text() {
    return this.#said;
  }
}

test("leaves a response alone whose class could not be given another body", async () => {
  const { watched, ends } = watch(new OfText("Hello."));
  expect(await watched.text()).toBe("Hello.");
  expect(ends).toHaveLength(1);
});

/** As the package undici has it from version 8 on: its clones are made by no method that can be seen. */
class ClonedUnseen extends Response {
  override clone() {
    const [, branch] = Reflect.apply(ReadableStream.prototype.tee, this.body, []);
    return new ClonedUnseen(branch);
  }
}

test("keeps what a clone read, also of a class that does not call the stream's own `tee`", async () => {
  const { watched, said } = watch(new ClonedUnseen(respond(say(bytes("Hel"), bytes("lo."))).body));
  expect(await watched.clone().text()).toBe("Hello.");
  expect(said()).toEqual([["Hello.", "complete"]]);
});

test("is told once when it is frozen", async () => {
  const { watched, said } = watch(Object.freeze(respond(say(bytes("Hello.")))));
  expect(await watched.text()).toBe("Hello.");
  expect(said()).toEqual([["Hello.", "complete"]]);
});

test("looks like a bare one", () => {
  const { watched } = watch(respond(say(bytes("{}"))));
  const bare = respond(say(bytes("{}")));
  const look = (response: Response) => [
    response.constructor,
    response instanceof Response,
    Object.keys(response),
    Reflect.ownKeys(response).length,
    Object.prototype.toString.call(response),
    inspect(response),
  ];
  expect(look(watched)).toEqual(look(bare));
});

test("keeps what was read until it broke", async () => {
  for (const read of [ways.text, ways.json]) {
    const { watched, said } = watch(
      respond((controller) => {
        controller.enqueue(bytes('{"content":"Once'));
        queueMicrotask(() => controller.error(new RangeError("broken")));
      }),
    );
    await expect(read(watched)).rejects.toThrow("broken");
    expect(said()).toEqual([['{"content":"Once', "failed"]]);
  }
});

test("keeps what was read until its caller aborted, also when reading began late", async () => {
  const abort = new AbortController();
  const { signal } = abort;
  let more = () => {};
  const response = respond((controller) => {
    more = () => controller.enqueue(bytes("Once upon"));
    // As fetch does it: the body breaks with the signal's reason.
    signal.addEventListener("abort", () => controller.error(signal.reason));
  });
  const { watched, said } = watch(response, { signal });
  await new Promise((resolve) => setImmediate(resolve)); // by now it listens to the signal
  const read = watched.text();
  more();
  await new Promise((resolve) => setImmediate(resolve));
  abort.abort();
  await expect(read).rejects.toBe(signal.reason);
  expect(said()).toEqual([["Once upon", "failed"]]);
});

test("ends with the signal when nobody reads", async () => {
  const abort = new AbortController();
  const { said } = watch(
    respond(() => {}),
    { signal: abort.signal },
  );
  await new Promise((resolve) => setImmediate(resolve));
  abort.abort();
  expect(said()).toEqual([["", "failed"]]);
});

test("keeps no more than maxBytes: the head and the tail", async () => {
  const { watched, ends } = watch(respond(say(bytes("0123456789"), bytes("abcdefghij"))), { maxBytes: 8 });
  expect(await watched.text()).toBe("0123456789abcdefghij");
  expect(ends).toEqual([{ text: "0123", droppedBytes: 12, tailText: "ghij", ending: { how: "complete" } }]);
});

test("any bytes in any pieces: the same text as bare, and the same is kept", async () => {
  const pieces = fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(pieces, async (given) => {
      const { watched, said } = watch(respond(say(...given)));
      const text = await respond(say(...given)).text();
      expect(await watched.text()).toBe(text);
      expect(said()).toEqual([[text, "complete"]]);
    }),
  );
});
