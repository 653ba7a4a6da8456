/** Store one trace so that the same one twice is a success, and another one under its name is refused. */
import type { Trace } from "../trace.ts";
import { Failure } from "./failure.ts";
import { type KeyLayout, type TraceKey, traceKey } from "./key.ts";
import { sharePage } from "./share-page.ts";
import { type Store, StoreError } from "./store.ts";

/** A trace that is in the store. */
export interface KeptTrace {
  readonly trace: Trace;
  readonly key: TraceKey;
  /** It was there already: the sender did not hear so the first time. */
  readonly duplicate: boolean;
}

export interface KeepOptions {
  readonly writePages: boolean;
  readonly layout: KeyLayout;
}

/**
 * @throws {Failure} `conflict` when another trace has this fingerprint, day and id, `storage` when the store fails. In
 *   both cases nothing that was stored is changed.
 */
export async function keepTrace(store: Store, trace: Trace, options: KeepOptions): Promise<KeptTrace> {
  const key = await traceKey(trace, options.layout);
  const text = JSON.stringify(trace);
  const taken = (await orFailure(store.put(key.json, text, "application/json"))) === "taken";
  if (taken && !(await isStored(store, key.json, trace))) throw conflict();
  // After the trace, and again when it is a duplicate: a sender who heard of a failed page repairs it by trying again.
  if (options.writePages) await orFailure(store.put(key.page, await sharePage(trace), "text/html; charset=utf-8"));
  return { trace, key, duplicate: taken };
}

async function isStored(store: Store, key: string, trace: Trace): Promise<boolean> {
  const stored = await orFailure(store.read(key));
  if (stored === undefined) throw new Failure("storage", "StorageError: What is stored under this name cannot be read");
  return canonical(parseStored(stored, key)) === canonical(trace);
}

/**
 * What the store gave back for a key, as a trace.
 *
 * @throws {Failure} `storage` for half a file, after a power cut or by another hand.
 */
export function parseStored(stored: string, key: string): Trace {
  try {
    return JSON.parse(stored);
  } catch {
    // The parser's own error would quote what was said.
    const cause = new StoreError(`${key} is not whole: restore or remove it`);
    throw new Failure("storage", "StorageError: What is stored under this name is damaged", { cause });
  }
}

/**
 * What a trace says, whatever the order of its fields. `choices` is the same in both of its wire forms: a sender may
 * have changed to the other form between two attempts.
 */
function canonical(trace: Partial<Trace>): string {
  const choices = Array.isArray(trace.choices) ? { ...trace.choices } : trace.choices;
  return JSON.stringify({ ...trace, choices }, (_, value: unknown) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
      : value,
  );
}

function conflict(): Failure {
  const message = "ValueError: Another trace with this system_fingerprint, day and id is stored; ids must be unique";
  return new Failure("conflict", message);
}

async function orFailure<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    if (cause instanceof Failure) throw cause;
    const told = cause instanceof StoreError ? cause.message : "StorageError: The trace could not be stored; try again";
    throw new Failure("storage", told, { cause });
  }
}
