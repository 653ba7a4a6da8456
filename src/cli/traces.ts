/** Traces in files: one JSON value (a trace, or a list of traces), or one JSON object a line (NDJSON); `-` is stdin. */
import { createReadStream, openSync } from "node:fs";
import { explain, UserError } from "./explain.ts";

/** What was found where: `file:3` is line 3, or the third of a list. A trace, or why there is none to be read. */
export type Found = FoundTrace | { readonly where: string; readonly refusal: string };

export interface FoundTrace {
  readonly where: string;
  readonly input: unknown;
}

/**
 * All traces of these files, read as they are asked for: a file of lines may be larger than the memory. A `UserError` tells
 * what cannot be read; of files that cannot be opened before anything is given out.
 */
export function readTraces(files: readonly string[]): AsyncIterable<Found> {
  return inSources(files.map(open));
}

/** Stands for a line that cannot be read. */
const NO_JSON = "?";

interface Source {
  readonly name: string;
  readonly bytes: AsyncIterable<Buffer>;
}

function open(file: string): Source {
  if (file === "-") return { name: "stdin", bytes: process.stdin };
  try {
    return { name: file, bytes: createReadStream(file, { fd: openSync(file, "r") }) };
  } catch (error) {
    throw unreadable(file, error);
  }
}

function unreadable(name: string, cause: unknown): UserError {
  return new UserError(`Cannot read ${name}: ${explain(cause)}`, { cause });
}

async function* inSources(sources: readonly Source[]): AsyncGenerator<Found> {
  for (const { name, bytes } of sources) yield* inLines(name, linesOf(name, bytes));
}

/** Lines are given out at once where the first is a value and not the last. Whatever else it is must be read whole. */
async function* inLines(name: string, lines: AsyncIterable<Line>): AsyncGenerator<Found> {
  const held: Line[] = [];
  let isNdjson = false;
  for await (const line of lines) {
    if (isNdjson) yield toFound(name, line);
    else if (held.push(line) === 2 && held[0]?.value) {
      isNdjson = true;
      for (const each of held) yield toFound(name, each);
    }
  }
  if (!isNdjson) yield* inWhole(name, held);
}

function inWhole(name: string, lines: readonly Line[]): Found[] {
  const whole = lines.length === 1 ? lines[0]?.value : joined(lines);
  if (whole && Array.isArray(whole.value))
    return whole.value.map((input: unknown, index) => ({ where: `${name}:${index + 1}`, input }));
  if (whole) return [{ where: name, input: whole.value }];
  // Where no line is a value, that is told once: it may be one value of thousands of lines that is torn.
  const told = lines.some(({ value }) => value) ? lines : lines.slice(0, 1);
  return told.map((line) => toFound(name, line));
}

function toFound(name: string, { number, text, value }: Line): Found {
  const where = `${name}:${number}`;
  if (value) return { where, input: value.value };
  return {
    where,
    refusal:
      text === undefined
        ? `${where} is no UTF-8. Save the file in this encoding.`
        : `${where} is no JSON. Each line must be one trace, or the whole file one value.`,
  };
}

interface Line {
  readonly number: number;
  /** `undefined` where it is not UTF-8. */
  readonly text: string | undefined;
  /** `null` where it is no JSON by itself. */
  readonly value: { readonly value: unknown } | null;
}

/** The lines that are not empty. Cut at `\n` alone: what else counts as the end of a line may stand in JSON's strings. */
async function* linesOf(name: string, bytes: AsyncIterable<Buffer>): AsyncGenerator<Line> {
  let number = 1;
  let begun: Buffer[] = [];
  try {
    for await (const chunk of bytes) {
      let start = 0;
      for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, start)) {
        yield* lineOf(number++, [...begun, chunk.subarray(start, end)]);
        begun = [];
        start = end + 1;
      }
      begun.push(chunk.subarray(start));
    }
  } catch (error) {
    throw unreadable(name, error);
  }
  yield* lineOf(number, begun);
}

function lineOf(number: number, pieces: readonly Buffer[]): Line[] {
  const text = decoded(Buffer.concat(pieces));
  return text?.trim() === "" ? [] : [{ number, text, value: text === undefined ? null : parsed(text) }];
}

/** Without the byte order mark that programs on Windows begin files with. */
function decoded(bytes: Buffer): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function parsed(text: string): Line["value"] {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return null;
  }
}

function joined(lines: readonly Line[]): Line["value"] {
  try {
    return { value: JSON.parse(lines.map(({ text = NO_JSON }) => text).join("\n")) };
  } catch {
    return null; // also where it is longer than a string can be
  }
}
