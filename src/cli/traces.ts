/** Traces in files: one JSON value (a trace, or a list of traces), or one JSON object a line (NDJSON); `-` is stdin. */
import { readFileSync } from "node:fs";
import { explain, UserError } from "./explain.ts";

/** One trace as it was found, and where: `file:3` is line 3, or the third of a list. */
export interface FoundTrace {
  readonly where: string;
  readonly input: unknown;
}

/** Reads all traces of these files. What is no JSON is told to `refuse`. Throws a `UserError` at what cannot be read. */
export function readTraces(files: readonly string[], refuse: (message: string) => void = refuseAll): FoundTrace[] {
  return files.flatMap((file) => inText(readText(file), { name: file === "-" ? "stdin" : file, refuse }));
}

function refuseAll(message: string): never {
  throw new UserError(message);
}

function readText(file: string): string {
  try {
    return readFileSync(file === "-" ? 0 : file, "utf8");
  } catch (error) {
    throw new UserError(`Cannot read ${file}: ${explain(error)}`, { cause: error });
  }
}

interface Source {
  readonly name: string;
  refuse(message: string): void;
}

function inText(text: string, { name, refuse }: Source): FoundTrace[] {
  const whole = parsed(text);
  if (whole) {
    if (!Array.isArray(whole.value)) return [{ where: name, input: whole.value }];
    return whole.value.map((input: unknown, index) => ({ where: `${name}:${index + 1}`, input }));
  }
  let isLines = false;
  return text.split("\n").flatMap((line, index) => {
    if (line.trim() === "") return [];
    const where = `${name}:${index + 1}`;
    const found = parsed(line);
    isLines ||= found !== null;
    if (found) return [{ where, input: found.value }];
    // Where the first line is none, none is: that is told once.
    (isLines ? refuse : refuseAll)(`${where} is no JSON. Each line must be one trace, or the whole file one value.`);
    return [];
  });
}

function parsed(text: string): { readonly value: unknown } | null {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return null;
  }
}
