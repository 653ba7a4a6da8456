import { existsSync, readFileSync } from "node:fs";
import * as z from "zod";

const recording = z.object({
  id: z.string().min(1),
  source: z.string(),
  provider: z.string(),
  api: z.string(),
  stream: z.boolean(),
  status: z.int(),
  request: z.record(z.string(), z.unknown()),
  /** The body as text; SSE as it came when `stream`. */
  response_body: z.string(),
});

/** One exchange with a provider, as the corpus keeps it (`shared/corpus/README.md`). */
export type Recording = z.output<typeof recording>;

/** Is the answer an event stream? Some providers answer with JSON though they were asked to stream. */
export function isEventStream({ stream, response_body }: Recording): boolean {
  return stream && !response_body.trimStart().startsWith("{");
}

/** Recorded traffic is other people's: it is read where it lies and never copied into the project. */
const SHARED_CORPUS = new URL("../../../shared/corpus/openai-style.jsonl", import.meta.url);

/** The file to replay: `CORPUS_FILE` when set, else the shared corpus; undefined where there is none. */
export function corpusFile(): string | URL | undefined {
  const named = process.env["CORPUS_FILE"];
  if (named) return named;
  return existsSync(SHARED_CORPUS) ? SHARED_CORPUS : undefined;
}

/** Every recording of a JSONL file. */
export function loadRecordings(file: string | URL): Recording[] {
  const lines = readFileSync(file, "utf8").split("\n");
  return lines.filter((line) => line.trim() !== "").map((line) => recording.parse(JSON.parse(line)));
}
