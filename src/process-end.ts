/** Listens to how the host's process ends, or no longer, where that can be heard: in Next's edge runtime `on` is there, and throws. */
export function listenToEnd(how: "on" | "off", event: "beforeExit" | "exit", listener: () => void): void {
  try {
    globalThis.process?.[how]?.(event, listener);
  } catch {
    // Whoever waits there flushes: no end of a process is told.
  }
}
