/** By its shape: `fetch` and redactors may be of another realm (Jest), whose promises are no instances of ours. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}
