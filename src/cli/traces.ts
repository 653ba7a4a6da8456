/** Traces in files: one JSON value (a trace, or a list of traces), or one JSON object a line (NDJSON); `-` is stdin. */
import { readFileSync } from "node:fs";
import { explain, UserError } from "./explain.ts";

/** One trace as it was found, and where: `file:3` is line 3, or the third of a list. */
export interface FoundTrace {
  readonly where: string;
  readonly input: unknown;
}

/** Reads all traces of these files. Throws a `UserError` at what cannot be read or is no JSON. */
export function readTraces(files: readonly string[]): FoundTrace[] {
  return files.flatMap((file) => inText(readText(file), file === "-" ? "stdin" : file));
}

function readText(file: string): string {
  try {
    return readFileSync(file === "-" ? 0 : file, "utf8");
  } catch (error) {
    throw new UserError(`Cannot read ${file}: ${explain(error)}`, { cause: error });
  }
}

function inText(text: string, name: string): FoundTrace[] {
  const whole = parsed(text);
  if (whole) {
    if (!Array.isArray(whole.value)) return [{ where: name, input: whole.value }];
    return whole.value.map((input: unknown, index) => ({ where: `${name}:${index + 1}`, input }));
  }
  return text.split("\n").flatMap((line, index) => {
    if (line.trim() === "") return [];
    const where = `${name}:${index + 1}`;
    const found = parsed(line);
    if (!found) throw new UserError(`${where} is no JSON. Each line must be one trace, or the whole file one value.`);
    return [{ where, input: found.value }];
  });
}

function parsed(text: string): { readonly value: unknown } | null {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return null;
  }
}
