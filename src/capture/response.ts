/** A response whose body is watched, and that shows its user no difference. */

import { isObject } from "../json.ts";
import type { WatchOptions } from "./body-watch.ts";
import { classOf, inTheOpen } from "./in-the-open.ts";
import { isNodeStream, watchNodeStream } from "./node-stream.ts";
import { COMPLETE, unseen } from "./recording.ts";
import { passForParent, turnInto } from "./turn-into.ts";
import { type ByteStream, readWhole, relayWatched, watchBranches, watchStream } from "./watched-stream.ts";

/**
 * The same response with its body watched. A body that cannot be watched (none, or not a stream we know) ends at once,
 * as empty: the call is traced all the same.
 */
export function watchResponse(response: Response, options: WatchOptions): Response {
  try {
    const isTurned = turnInto(response, WatchedResponse);
    const body = bodyOf(response);
    if (isWebStream(body)) {
      const { reads, clones } = inTheOpen(classOf(response));
      if (reads && (isTurned || clones) && watchStream(body, options)) return response;
      // A class that knows another kind of streams may take one of ours for a text.
      if (reads || body instanceof ReadableStream) return withBody(response, relayWatched(body, options));
    }
    // node-fetch gives a stream where there can be no body; clients do not read that one.
    if (isNodeStream(body) && ![204, 205, 304].includes(response.status)) {
      watchNodeStream(body, options);
      return response;
    }
  } catch {
    // A response that cannot be made anew (a foreign class) goes to its user untouched.
  }
  options.onEnd(unseen(COMPLETE));
  return response;
}

/** By its shape: of a polyfill, or of another realm, it is of another class. */
function isWebStream(body: unknown): body is ByteStream {
  return isObject(body) && typeof body["getReader"] === "function";
}

const ownBody = Symbol();

/**
 * A proxy that gives its body to whoever asks may split it then, and its user finds it read: SvelteKit's does, in `load`. What
 * it does not know the name of it gives as its response has it.
 */
function bodyOf(response: Response): unknown {
  return ownBody in response ? response[ownBody] : response.body;
}

/**
 * The ways most bodies are read: what is read by them needs no watching, which costs more than the reading does. And
 * clones, which may be made by no method of the stream's that can be seen.
 */
class WatchedResponse extends Response {
  get [ownBody]() {
    return super.body;
  }

  override text(): Promise<string> {
    return readWholeOf(this, (text) => text) ?? super.text();
  }

  override json(): Promise<unknown> {
    return readWholeOf(this, (text): unknown => JSON.parse(text)) ?? super.json();
  }

  override clone(): Response {
    const before = this.body;
    const copy = super.clone();
    const { body } = this;
    if (before && body && copy.body && watchBranches(before, [body, copy.body])) turnInto(copy, WatchedResponse);
    return copy;
  }
}

passForParent(WatchedResponse);

/** Undefined where the class itself knows what to say, of a body that is read already. */
function readWholeOf<Value>({ body, bodyUsed }: Response, make: (text: string) => Value): Promise<Value> | undefined {
  return body && !bodyUsed && !body.locked ? readWhole(body, make) : undefined;
}

/** The same response with another body. @throws {TypeError} when it cannot be made anew. */
export function withBody(response: Response, body: ReadableStream<Uint8Array>): Response {
  // Made anew and not proxied: `text()`, `json()` and `instanceof` look at internal slots that only a real one has.
  return disguise(new (classOf(response))(body, response), response);
}

/** A response made by hand has no `url`, is not `redirected`, and lets its headers be changed: unlike a fetched one. */
function disguise(copy: Response, original: Response): Response {
  const own = (name: string, value: unknown) => Object.defineProperty(copy, name, { value, configurable: true });
  const clone = copy.clone;
  for (const name of ["url", "redirected", "type", "headers"] as const) own(name, original[name]);
  own("clone", () => disguise(Reflect.apply(clone, copy, []), original));
  return copy;
}
