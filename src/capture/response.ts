/** A response whose body is watched, and that shows its user no difference. */
import type { WatchOptions } from "./body-watch.ts";
import { isNodeStream, watchNodeStream } from "./node-stream.ts";
import { unseen } from "./recording.ts";
import { passForParent, turnInto } from "./turn-into.ts";
import { readWhole, relayWatched, watchStream } from "./watched-stream.ts";

/**
 * The same response with its body watched. A body that cannot be watched (none, or not a stream we know) ends at once,
 * as empty: the call is traced all the same.
 */
export function watchResponse(response: Response, options: WatchOptions): Response {
  const { body } = response;
  try {
    if (body instanceof ReadableStream) {
      const isWatched = readsInTheOpen(response) && watchStream(body, options);
      if (!isWatched) return withBody(response, relayWatched(body, options));
      turnInto(response, WatchedResponse);
      return response;
    }
    // node-fetch gives a stream where there can be no body; clients do not read that one.
    if (isNodeStream(body) && ![204, 205, 304].includes(response.status)) {
      watchNodeStream(body, options);
      return response;
    }
  } catch {
    // A response that cannot be made anew (a foreign class) goes to its user untouched.
  }
  options.onEnd(unseen({ how: "complete" }));
  return response;
}

/** The ways most bodies are read: what is read by them needs no watching, which costs more than the reading does. */
class WatchedResponse extends Response {
  override text(): Promise<string> {
    return readWholeOf(this, (text) => text) ?? super.text();
  }

  override json(): Promise<unknown> {
    return readWholeOf(this, (text): unknown => JSON.parse(text)) ?? super.json();
  }
}

passForParent(WatchedResponse);

/** Undefined where the class itself knows what to say, of a body that is read already. */
function readWholeOf<Value>({ body, bodyUsed }: Response, make: (text: string) => Value): Promise<Value> | undefined {
  return body && !bodyUsed && !body.locked ? readWhole(body, make) : undefined;
}

const inTheOpen = new WeakMap<typeof Response, boolean>();

/**
 * Whether the methods of this class of response read their body by the public methods of its stream, as Node's do:
 * elsewhere nobody would see what they read.
 *
 * @throws when there can be no response of this class with a body of ours.
 */
function readsInTheOpen(response: Response): boolean {
  const Class = response.constructor as typeof Response; // what `instanceof` tells its user
  const known = inTheOpen.get(Class);
  if (known !== undefined) return known;
  const isOpen =
    calls("getReader", (probe) => void new Class(probe).text().catch(() => {})) &&
    calls("tee", (probe) => void new Class(probe).clone()); // undici's from version 8 on does not
  inTheOpen.set(Class, isOpen);
  return isOpen;
}

/** Is this method of a stream called by what is done with the stream? */
function calls(method: "getReader" | "tee", use: (probe: ReadableStream) => void): boolean {
  let isCalled = false;
  const value = () => {
    isCalled = true;
    throw new Error("only a probe");
  };
  try {
    use(Object.defineProperty(new ReadableStream(), method, { value }));
  } catch (error) {
    if (!isCalled) throw error;
  }
  return isCalled;
}

/** The same response with another body. @throws {TypeError} when it cannot be made anew. */
export function withBody(response: Response, body: ReadableStream<Uint8Array>): Response {
  // Made anew and not proxied: `text()`, `json()` and `instanceof` look at internal slots that only a real one has.
  const Class = response.constructor as typeof Response; // what `instanceof` tells its user
  return disguise(new Class(body, response), response);
}

/** A response made by hand has no `url`, is not `redirected`, and lets its headers be changed: unlike a fetched one. */
function disguise(copy: Response, original: Response): Response {
  const own = (name: string, value: unknown) => Object.defineProperty(copy, name, { value, configurable: true });
  const clone = copy.clone;
  for (const name of ["url", "redirected", "type", "headers"] as const) own(name, original[name]);
  own("clone", () => disguise(Reflect.apply(clone, copy, []), original));
  return copy;
}
