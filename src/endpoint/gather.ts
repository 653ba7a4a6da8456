/** The puts that the traces of a batch make, each for itself, handed to the store together. */
import type { NewEntry, Store } from "./store.ts";

interface WaitingPut extends NewEntry {
  readonly resolve: (outcome: "created" | "taken") => void;
  readonly reject: (error: unknown) => void;
}

/**
 * The same store, whose puts of one turn of the event loop go to `putMany` in one call. A store without `putMany` is
 * given back as it is.
 */
export function gathering(store: Store): Store {
  if (store.putMany === undefined) return store;
  let waiting: WaitingPut[] = [];
  const handOver = () => {
    const puts = waiting;
    waiting = [];
    void putTogether(store, puts);
  };
  return {
    put: (key, content, contentType) =>
      new Promise((resolve, reject) => {
        // The traces of a batch advance in step, so whoever puts in this turn stands in the queue before `handOver`.
        if (waiting.push({ key, content, contentType, resolve, reject }) === 1) queueMicrotask(handOver);
      }),
    read: (key) => store.read(key),
    list: (prefix) => store.list(prefix),
  };
}

/** Settles every put, whatever the store does. */
async function putTogether(store: Store, puts: readonly WaitingPut[]): Promise<void> {
  try {
    const outcomes = (await store.putMany?.(puts)) ?? [];
    for (const [index, { resolve, reject }] of puts.entries()) {
      const outcome = outcomes[index];
      if (outcome?.status === "fulfilled") resolve(outcome.value);
      else reject(outcome?.reason ?? new Error("putMany gave back fewer outcomes than it was given entries"));
    }
  } catch (error) {
    for (const { reject } of puts) reject(error);
  }
}
