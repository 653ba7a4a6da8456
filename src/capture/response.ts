/** A response whose body is watched, and that shows its user no difference. */
import { isNodeStream, observeNodeStream, observeWebStream, readsInTheOpen, type WatchOptions } from "./observe.ts";

/**
 * The same response with its body watched. A body that cannot be watched (none, or not a stream we know) ends at once,
 * as empty: the call is traced all the same.
 */
export function observeResponse(response: Response, watch: WatchOptions): Response {
  const { body } = response;
  try {
    if (body instanceof ReadableStream) {
      const isOpen = readsInTheOpen(response);
      const relay = observeWebStream(body, watch);
      return isOpen ? response : withBody(response, relay());
    }
    // node-fetch gives a stream where there can be no body; clients do not read that one.
    if (isNodeStream(body) && ![204, 205, 304].includes(response.status)) {
      observeNodeStream(body, watch);
      return response;
    }
  } catch {
    // A response that cannot be made anew (an odd status, a foreign class) goes to its user untouched.
  }
  watch.onEnd({ chunks: [], droppedBytes: 0, tail: [], ending: { how: "complete" } });
  return response;
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
