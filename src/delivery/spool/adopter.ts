import { readDirectory } from "./adoption.ts";
import { attempt } from "./file-system.ts";
import type { Home } from "./home.ts";
import type { ReadCursor } from "./read-cursor.ts";
import type { Reader } from "./reader.ts";
import type { Segments } from "./segments.ts";
import type { SpoolDeps } from "./settings.ts";

/** What `adopt` found. */
export interface Adoption {
  readonly directories: number;
  readonly records: number;
  /** There was more than fits into one call: call again soon. */
  readonly hasMore: boolean;
}

export interface AdopterParts {
  readonly deps: SpoolDeps;
  readonly home: Home;
  readonly segments: Segments;
  readonly reader: Reader;
  readonly cursor: ReadCursor;
}

const budgetMs = 20;

/** Takes over what dead processes have left. */
export class Adopter {
  readonly #parts: AdopterParts;

  constructor(parts: AdopterParts) {
    this.#parts = parts;
  }

  adopt(): Adoption {
    const { home, deps } = this.#parts;
    const abandoned = home.findAbandoned();
    const untilMs = deps.monotonicMs() + budgetMs;
    let directories = 0;
    let records = 0;
    for (const name of abandoned) {
      const found = this.#takeOver(name);
      if (found === undefined) continue;
      directories++;
      records += found;
      if (deps.monotonicMs() > untilMs) return { directories, records, hasMore: directories < abandoned.length };
    }
    return { directories, records, hasMore: false };
  }

  /** How many records; nothing when another process was quicker. */
  #takeOver(name: string): number | undefined {
    const taken = this.#parts.home.take(name);
    if (taken === undefined) return undefined;
    let records = 0;
    for (const directory of taken) records += this.#load(directory);
    this.#parts.deps.onEvent({ type: "adopted", directory: name, records });
    return records;
  }

  #load(directory: string): number {
    const { segments, reader, cursor, deps } = this.#parts;
    const found = readDirectory(directory, {
      io: deps.io,
      newSegment: (files) => segments.make(files, true),
      onStranger: (path) => void cursor.moveAside(path, "unknown-file"),
    });
    let records = 0;
    for (const segment of found) {
      segments.add(segment);
      records += segment.waiting;
      reader.skipRemains(segment);
      if (!segments.removeIfDone(segment)) reader.add(segment);
    }
    if (found.length === 0) attempt(() => deps.io.removeDirectory(directory));
    return records;
  }
}
