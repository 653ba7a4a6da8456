/** A JSON object whose fields are not known yet. */
export type JsonObject = { readonly [key: string]: unknown };

/** A JSON object that is being made. */
export type JsonFields = { [key: string]: unknown };

/** `__proto__` is a field like others in JSON, but assignment takes it for something else. */
export function setField(fields: JsonFields, key: string, value: unknown): void {
  if (key === "__proto__")
    Object.defineProperty(fields, key, { value, enumerable: true, writable: true, configurable: true });
  else fields[key] = value;
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What stands there; undefined where there is no such place. */
export function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce((at, key) => (typeof at === "object" && at !== null ? Reflect.get(at, key) : undefined), value);
}

/** Of parsed JSON. Undefined for what is nested too deeply. */
export function copyJson(value: JsonObject): JsonObject | undefined {
  try {
    return copyOf(value) as JsonObject; // of an object it makes an object
  } catch {
    return undefined; // the stack was too short
  }
}

function copyOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(copyOf);
  if (!isObject(value)) return value;
  // Together, which is faster than one after the other; and `__proto__` is a field like others then.
  const copy: JsonFields = { ...value };
  for (const key of Object.keys(copy)) {
    const field = copy[key];
    if (typeof field === "object") copy[key] = copyOf(field);
  }
  return copy;
}
