/** Calls by Node's own `fetch`: what was said is known by what arrives, so that reading it costs no more than bare. */
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type TracingFetchOptions, tracingFetch } from "../../src/capture/tracing-fetch.ts";
import { globalDispatcher, TappingDispatcher } from "../../src/capture/wire.ts";
import { type ChatServer, chunk, completion, endless, type Reply, startChatServer } from "./chat-server.ts";
import { collectGarbage } from "./collect-garbage.ts";
import { collectingSink } from "./collecting-sink.ts";
import { recordingSink } from "./recording-sink.ts";

let server: ChatServer;
beforeAll(async () => {
  server = await startChatServer();
  server.script(say("warm"));
  await (await open().response).text(); // the very first call is followed before its end only
});
afterAll(() => server[Symbol.asyncDispose]());

const body = JSON.stringify({ model: "m", messages: [{ role: "user", content: "Tell me a story." }], stream: true });
const event = (content: string) => `data: ${JSON.stringify(chunk({ content }))}\n\n`;

/** In pieces of this many bytes. */
function say(text: string, pieceBytes = 40, headers: Record<string, string> = {}): Reply {
  return async (response) => {
    response.writeHead(200, { "content-type": "text/event-stream", ...headers });
    const whole = Buffer.from(`${[...text].map(event).join("")}data: [DONE]\n\n`);
    for (let at = 0; at < whole.length; at += pieceBytes) {
      response.write(whole.subarray(at, at + pieceBytes));
      await new Promise((resolve) => setImmediate(resolve));
    }
    response.end();
  };
}

/** A traced call; `init` is not what `fetch` documents, but what Node's takes. */
function open(init: object = {}, options: TracingFetchOptions = {}) {
  const sink = collectingSink();
  const traced = tracingFetch(sink, options);
  const response = traced(`${server.baseURL}/chat/completions`, { method: "POST", body, ...init });
  /** What the model said, and how the call ended. */
  const said = async () => {
    const [trace] = await sink.settle();
    const [, answer, end] = trace?.messages ?? [];
    return [answer?.content, /"ended":"(\w+)"/.exec(String(end?.content))?.[1] ?? "complete"];
  };
  return { response, said };
}

async function readerOf({ response }: ReturnType<typeof open>) {
  const reader = (await response).body?.getReader();
  if (!reader) throw new Error("there is no body");
  return reader;
}

type Handler = Record<string, (...args: unknown[]) => unknown>;

const nodesDispatcher = () => globalDispatcher() as { dispatch(options: unknown, handler: Handler): unknown }; // undici's

/** A dispatcher that hands on what arrives when all of it has, as mocks do; and when that was. */
function allAtOnce() {
  const { promise: handedOn, resolve } = Promise.withResolvers<void>();
  const dispatch = (options: unknown, handler: Handler) => {
    const [data, end] = "onData" in handler ? ["onData", "onComplete"] : ["onResponseData", "onResponseEnd"];
    const { [data]: onData, [end]: onEnd } = handler;
    const chunks: Uint8Array[] = [];
    handler[data] = (...args) => chunks.push(args.at(-1) as Uint8Array); // the last one in both versions
    handler[end] = (...args) => {
      onData?.call(handler, ...args.slice(0, -1), Buffer.concat(chunks));
      resolve();
      return onEnd?.call(handler, ...args);
    };
    return nodesDispatcher().dispatch(options, handler);
  };
  return { dispatcher: { dispatch }, handedOn };
}

const isWatched = (reader: object) => Object.hasOwn(reader, "read");
const rest = async (reader: ReadableStreamDefaultReader) => {
  while (!(await reader.read()).done);
};

/** Reads all of it. */
async function expectRead(call: ReturnType<typeof open>, text: string, { watched = false } = {}) {
  const reader = await readerOf(call);
  expect(isWatched(reader)).toBe(watched);
  await rest(reader);
  expect(await call.said()).toEqual([text, "complete"]);
}

test("what arrives is recorded, and no read is watched", async () => {
  server.script(say("Once upon a time"));
  await expectRead(open(), "Once upon a time");
});

test("whatever pieces it arrives in", async () => {
  const property = fc.asyncProperty(
    fc.string({ unit: "grapheme", minLength: 1 }),
    fc.integer({ min: 7, max: 300 }),
    async (text, bytes) => {
      server.script(say(text, bytes));
      const call = open();
      await rest(await readerOf(call));
      expect(await call.said()).toEqual([text, "complete"]);
    },
  );
  await fc.assert(property, { numRuns: 50 });
});

test("also what is read by no method of the reader's", async () => {
  server.script(say("Once"));
  const call = open();
  const reader = await readerOf(call);
  const { read } = ReadableStreamDefaultReader.prototype;
  while (!(await Reflect.apply(read, reader, [])).done);
  expect(await call.said()).toEqual(["Once", "complete"]);
});

describe("an end before all of it has arrived", () => {
  const ways: Record<string, (reader: ReadableStreamDefaultReader, abort: AbortController) => unknown> = {
    "a cancel": (reader) => reader.cancel(),
    "a cancel by the method of the class": (reader) =>
      Reflect.apply(ReadableStreamDefaultReader.prototype.cancel, reader, []),
    "an abort": (_, abort) => abort.abort(),
  };
  test.each(Object.entries(ways))("%s", async (_, leave) => {
    server.script(endless(chunk({ content: "Once" })));
    const abort = new AbortController();
    const call = open({ signal: abort.signal });
    const reader = await readerOf(call);
    await reader.read();
    await leave(reader, abort);
    expect(await call.said()).toEqual(["Once", "aborted"]);
    await expect(server.requests[0]?.cutOff).resolves.toBe(true);
  });

  test("a connection that breaks", async () => {
    server.script((response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(event("Once"), () => response.destroy());
    });
    const call = open();
    await expect(rest(await readerOf(call))).rejects.toThrow("terminated");
    expect(await call.said()).toEqual(["Once", "failed"]);
  });
});

test("a reader that gives the stream back, and whoever reads on, are not both recorded", async () => {
  server.script(say("Once upon a time"));
  const call = open();
  const response = await call.response;
  const reader = response.body?.getReader();
  await reader?.read();
  reader?.releaseLock();
  for await (const _ of response.body ?? []);
  expect(await call.said()).toEqual(["Once upon a time", "complete"]);
});

test("more than may arrive before it is read: then its reads are watched", async () => {
  const long = "x".repeat(300_000);
  server.script((response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.end(event(long));
  });
  const { dispatcher, handedOn } = allAtOnce();
  const call = open({ dispatcher });
  await handedOn;
  await expectRead(call, long, { watched: true });
});

test("what is compressed is read before it is recorded", async () => {
  server.script((response) => {
    response.writeHead(200, { "content-type": "text/event-stream", "content-encoding": "gzip" });
    response.end(gzipSync(event("Once") + event(" upon")));
  });
  await expectRead(open(), "Once upon", { watched: true });
});

test("of a redirect, what is said by the last one", async () => {
  const away: Reply = (response) => {
    response.writeHead(307, { location: "/v1/elsewhere/chat/completions" });
    response.end(event("Nowhere"));
  };
  server.script(away, say("Once"));
  await expectRead(open(), "Once");
});

describe("an answer that is no stream", () => {
  const asked = JSON.stringify({ model: "m", messages: [{ role: "user", content: "Tell me a story." }] });
  const answer = (content: string) => JSON.stringify(completion({ content }));
  const tell =
    (body: string | Uint8Array, headers = {}): Reply =>
    (response) => {
      response.writeHead(200, headers);
      response.end(body);
    };
  const isUntouched = (response: Response) => Object.getPrototypeOf(response) === Response.prototype;

  test("has arrived when its caller gets the response: nothing of that is watched", async () => {
    server.script(tell(answer("Once")));
    const call = open({ body: asked });
    const response = await call.response;
    expect(isUntouched(response)).toBe(true);
    expect(await response.text()).toBe(answer("Once"));
    expect(await call.said()).toEqual(["Once", "complete"]);
  });

  test("is told whether or not anybody reads it", async () => {
    server.script(tell(answer("Once")));
    const call = open({ body: asked });
    await call.response;
    expect(await call.said()).toEqual(["Once", "complete"]);
  });

  test("waits to be told without what fetch has made for it", async () => {
    server.script(tell(answer("Once")));
    const sink = recordingSink();
    const call = async () => {
      const { signal } = new AbortController();
      const init = { method: "POST", body: asked, signal };
      await (await tracingFetch(sink)(`${server.baseURL}/chat/completions`, init)).text();
      return new WeakRef(signal);
    };
    const signal = await call();
    await vi.waitFor(() => {
      collectGarbage();
      expect(signal.deref() === undefined).toBe(true); // a failed assertion would hold what it was about
    });
    const [trace] = await sink.flush();
    expect(trace?.messages.at(-1)?.content).toBe("Once");
  });

  test("is told as it came, whatever its reader makes of what was read", async () => {
    server.script(tell(answer("Once")));
    const call = open({ body: asked });
    const reader = await readerOf(call);
    for (let read = await reader.read(); !read.done; read = await reader.read()) read.value.fill(0);
    expect(await call.said()).toEqual(["Once", "complete"]);
  });

  test("whatever pieces it arrives in, and however long it is", async () => {
    const property = fc.asyncProperty(
      fc.string({ unit: "grapheme", minLength: 1 }),
      fc.constantFrom(1, 100, 20_000),
      fc.integer({ min: 1, max: 8 }),
      async (text, times, pieces) => {
        const bytes = Buffer.from(answer(text.repeat(times)));
        server.script(async (response) => {
          for (let piece = 0; piece < pieces; piece++) {
            const [from, to] = [piece, piece + 1].map((at) => Math.floor((at * bytes.length) / pieces));
            response.write(bytes.subarray(from, to));
            await new Promise((resolve) => setImmediate(resolve));
          }
          response.end();
        });
        const call = open({ body: asked });
        expect(await (await call.response).json()).toEqual(JSON.parse(bytes.toString()));
        expect(await call.said()).toEqual([text.repeat(times), "complete"]);
      },
    );
    await fc.assert(property, { numRuns: 50 });
  });

  test("is read before it is recorded when it is compressed, and when it begins otherwise", async () => {
    const compressed = tell(gzipSync(answer("Once")), { "content-encoding": "gzip" });
    for (const reply of [compressed, tell(`\n${answer("Once")}`)]) {
      server.script(reply);
      const call = open({ body: asked });
      const response = await call.response;
      expect(isUntouched(response)).toBe(false);
      await response.text();
      expect(await call.said()).toEqual(["Once", "complete"]);
    }
  });

  test("is cut as its logger was told to", async () => {
    server.script(tell(answer("Once".repeat(1_000))));
    const call = open({ body: asked }, { maxResponseBytes: 1_000 });
    await call.response;
    expect(JSON.stringify(await call.said())).toContain("bytes left out");
  });

  test("that breaks off fails", async () => {
    server.script((response) => {
      response.writeHead(200, { "content-length": 1_000 });
      response.write(answer("Once"), () => response.destroy());
    });
    const call = open({ body: asked });
    await expect(call.response.then((response) => response.text())).rejects.toThrow("terminated");
    expect((await call.said()).at(-1)).toBe("failed");
  });
});

describe("the dispatcher", () => {
  test("of the call's own does the work", async () => {
    const dispatch = vi.fn((options: unknown, handler: Handler) => nodesDispatcher().dispatch(options, handler));
    server.script(say("Once"));
    await expectRead(open({ dispatcher: { dispatch } }), "Once");
    expect(dispatch).toHaveBeenCalledOnce();
  });

  test("what is none is for fetch to refuse", async () => {
    const { response } = open({ dispatcher: { dispatch: 1 } });
    const bare = fetch(`${server.baseURL}/chat/completions`, {
      method: "POST",
      body,
      ...{ dispatcher: { dispatch: 1 } },
    });
    const [traced, untraced] = await Promise.allSettled([response, bare]);
    expect(traced).toEqual(untraced);
    expect(traced.status).toBe("rejected");
  });

  test("given a handler for the second time, hands on what it is told once, and knows nothing of it", () => {
    const dispatcher = new TappingDispatcher({ dispatch: () => true });
    const [onData, onComplete] = [vi.fn(), vi.fn()];
    const handler = { onData, onComplete };
    dispatcher.dispatch({}, handler);
    const { wire } = dispatcher;
    dispatcher.dispatch({}, handler);
    handler.onData(new Uint8Array(1));
    handler.onComplete();
    expect(onData).toHaveBeenCalledOnce();
    expect(onComplete).toHaveBeenCalledOnce();
    expect(wire?.arrived()).toHaveLength(1);
    expect(dispatcher.wire).toBeUndefined();
  });

  test("is given to no other fetch, nor beside a request that may have one", async () => {
    server.script(say("Once"));
    const sink = collectingSink();
    const inits: unknown[] = [];
    const other: typeof fetch = (...args) => {
      inits.push(args[1]);
      return fetch(...args);
    };
    const init = { method: "POST", body };
    await (await tracingFetch(sink, { fetch: other })(`${server.baseURL}/chat/completions`, init)).text();
    expect(inits[0]).toBe(init);
    const request = new Request(`${server.baseURL}/chat/completions`, init);
    const reader = (await tracingFetch(sink)(request)).body?.getReader();
    expect(reader && isWatched(reader)).toBe(true);
    await reader?.cancel();
    expect(await sink.settle(2)).toHaveLength(2);
  });

  test("an init that cannot be read is for fetch to refuse", async () => {
    const init = {
      get headers(): never {
        throw new Error("no headers");
      },
    };
    const url = `${server.baseURL}/chat/completions`;
    const traced = tracingFetch(collectingSink());
    const asked = Object.defineProperties({ method: "POST", body }, Object.getOwnPropertyDescriptors(init));
    await expect(traced(url, asked)).rejects.toThrow("no headers");
  });
});
