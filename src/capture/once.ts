import { isPromise } from "../thenable.ts";

/**
 * Loads once, and gives back what was loaded itself as soon as it is there: an `import()` takes its time also when there
 * is nothing left to load, and so do promises of what is known. What could not be loaded is tried again.
 */
export function once<Loaded extends object>(load: () => Promise<Loaded>): () => Loaded | Promise<Loaded> {
  let known: Loaded | Promise<Loaded> | undefined;
  return () => {
    known ??= load().then(
      (loaded) => {
        known = loaded;
        return loaded;
      },
      (error: unknown) => {
        known = undefined;
        throw error;
      },
    );
    return known;
  };
}

/** What is made of something: at once when it is there, else as soon as it is. */
export function whenThere<Value, Made>(
  value: Value | Promise<Value>,
  make: (value: Value) => Made | Promise<Made>,
): Made | Promise<Made> {
  return isPromise(value) ? value.then(make) : make(value);
}

/** What is made, or this instead when making it fails, now or later. */
export function orElse<Made>(make: () => Made | Promise<Made>, instead: () => Made): Made | Promise<Made> {
  try {
    const made = make();
    return isPromise(made) ? made.catch(instead) : made;
  } catch {
    return instead();
  }
}

/** Whoever needs what is being loaded will hear of it when that fails: until then it is no unhandled rejection. */
export function loading<Value>(value: Value | Promise<Value>): Value | Promise<Value> {
  if (isPromise(value)) value.catch(() => {});
  return value;
}
