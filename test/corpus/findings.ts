/** Findings are sentences; these make most of them. */
import { isDeepStrictEqual } from "node:util";

export function differs(what: string, got: unknown, expected: unknown): string[] {
  return isDeepStrictEqual(got, expected) ? [] : [`${what} ${show(got)} instead of ${show(expected)}`];
}

const MAX_SHOWN = 300;

export function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= MAX_SHOWN ? text : `${text.slice(0, MAX_SHOWN)}… (${text.length} characters)`;
}
