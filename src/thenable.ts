/** By its shape: `fetch` and redactors may be of another realm (Jest), whose promises are no instances of ours. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}

/** The same of what is a promise, whosesoever, or no thenable at all. */
export function isPromise<Value>(value: Value | Promise<Value>): value is Promise<Value> {
  return isThenable(value);
}
