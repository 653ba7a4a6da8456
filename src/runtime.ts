/** In what the runtimes differ that the core runs in. */

/** Does a request take along what it has begun, fetches and timers, when it ends? See delivery/driver.ts. */
export function isRequestBound(): boolean {
  return "EdgeRuntime" in globalThis || globalThis.navigator?.userAgent === "Cloudflare-Workers";
}

/** Listens to how the host's process ends, or no longer, where that can be heard: in Next's edge runtime `on` is there, and throws. */
export function listenToEnd(how: "on" | "off", event: "beforeExit" | "exit", listener: () => void): void {
  try {
    globalThis.process?.[how]?.(event, listener);
  } catch {
    // Whoever waits there flushes: no end of a process is told.
  }
}
