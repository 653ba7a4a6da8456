/** What is kept of a body that passes by: how it begins and how it ends. */
import { copyJson, isObject, type JsonObject } from "../json.ts";
import { BLOCK_BYTES, type Block, giveBack, takeBlock } from "./blocks.ts";
import { type Bytes, decode, joined, sizeOf } from "./bytes.ts";
import { isEventStream } from "./call.ts";

/** How a body ended: read to its end, given up by its reader, or broken. */
export type BodyEnding =
  | { readonly how: "complete" }
  | { readonly how: "cancelled" }
  | { readonly how: "failed"; readonly error: unknown };

export const COMPLETE: BodyEnding = { how: "complete" };

/** What passed. */
export interface ObservedBody {
  readonly text: string;
  /** What it is as JSON, if its reader has found out. */
  readonly json?: JsonObject | undefined;
  /** Bytes that passed but were not kept, because of `maxBytes`. */
  readonly droppedBytes: number;
  /** What came last, when bytes were dropped before it. */
  readonly tailText: string;
  readonly ending: BodyEnding;
}

/** A body of which nothing was seen. */
export function unseen(ending: BodyEnding): ObservedBody {
  return whole("", ending);
}

/** What is looked at together: less is not worth it, and of more the reader would notice. */
const PART_BYTES = 2 ** 20;

/** Of a stream, its events joined, as much as a trace may hold; what is no stream its reader holds whole, too. */
const maxBytesOf = (isStream: boolean) => (isStream ? 6_000_000 : 2 ** 26);

const NOTHING = new Uint8Array();

/** The first bytes, no more than this, in few blocks: a copy of each small chunk by itself would cost far more. */
class FirstBytes {
  /** Of the last block: its memory, what comes next there, and for how much there is room. */
  #memory = NOTHING;
  #next = 0;
  #freeBytes = 0;
  /** Of all that may come, what is not in a block yet. */
  #roomBytes: number;
  #blocks: Block[] = [];

  constructor(maxBytes: number) {
    this.#roomBytes = maxBytes;
  }

  /** Gives back what is over. */
  fill(chunk: Bytes): Bytes | undefined {
    // As it is, if it can be: a view of a part costs more than copying the bytes of a small chunk does.
    if (chunk.byteLength <= this.#freeBytes) {
      this.#copy(chunk);
      return undefined;
    }
    let at = 0;
    while (at < chunk.byteLength) {
      if (this.#freeBytes === 0 && !this.#begin()) return chunk.subarray(at);
      const part = chunk.subarray(at, at + this.#freeBytes);
      this.#copy(part);
      at += part.byteLength;
    }
    return undefined;
  }

  #copy(bytes: Bytes): void {
    this.#memory.set(bytes, this.#next);
    this.#next += bytes.byteLength;
    this.#freeBytes -= bytes.byteLength;
  }

  #begin(): boolean {
    if (this.#roomBytes === 0) return false;
    const block = takeBlock();
    this.#blocks.push(block);
    this.#memory = block.memory;
    this.#next = block.start;
    this.#freeBytes = Math.min(BLOCK_BYTES, this.#roomBytes);
    this.#roomBytes -= this.#freeBytes;
    return true;
  }

  pieces(): readonly Bytes[] {
    const last = this.#blocks.at(-1);
    return this.#blocks.map((block) =>
      block.memory.subarray(block.start, block === last ? this.#next : block.start + BLOCK_BYTES),
    );
  }

  /** Its pieces are not to be read any more, and it takes nothing, or so many bytes anew. */
  release(roomBytes = 0): void {
    this.#blocks.forEach(giveBack);
    this.#blocks = [];
    this.#freeBytes = 0;
    this.#roomBytes = roomBytes;
  }
}

/**
 * One object, and not one more for what is looked at together: each would have to be found in the processor's memory for
 * every chunk. And of methods, not of closures: see `FollowedCall`.
 */
export class Recording extends FirstBytes {
  readonly #maxBytes: number | undefined;
  #long: ReturnType<typeof keepLong> | undefined;

  /** @param maxBytes how many bytes to keep: the first ones and the last ones, half and half. @default see {@link maxBytesOf} */
  constructor(maxBytes: number | undefined) {
    super(PART_BYTES);
    this.#maxBytes = maxBytes;
  }

  /** The chunk is copied: it belongs to the reader, who may change it or give its memory away. */
  add(chunk: Bytes): void {
    for (let rest = this.fill(chunk); rest; rest = this.fill(rest)) this.#lookAtPart();
  }

  #lookAtPart(): void {
    const part = this.pieces();
    this.#long ??= keepLong(part, this.#maxBytes);
    const halves = this.#long.add(part);
    this.release(PART_BYTES);
    // Half an event goes before the one that comes.
    for (const half of halves) this.fill(half);
  }

  /** Once, and nothing is to be added after it: its memory is others' then. */
  end(ending: BodyEnding): ObservedBody {
    const maxBytes = this.#maxBytes;
    const part = this.pieces();
    const long = this.#long ?? (isShort(part, maxBytes) ? undefined : keepLong(part, maxBytes));
    const body = long ? { ...long.end(part), ending } : whole(decode(part), ending);
    this.release();
    return body;
  }
}

/** What has been read already, and its text, if whoever read it knows that, and what they made of it. */
export interface ReadBody {
  readonly chunks: readonly Bytes[];
  readonly text?: string;
  readonly value?: unknown;
  readonly ending: BodyEnding;
}

/** Record what has been read, all of it at once. */
export function recordRead({ chunks, text, value, ending }: ReadBody, maxBytes: number | undefined): ObservedBody {
  if (isShort(chunks, maxBytes)) {
    // A copy, since they may change theirs: of long texts it costs far less than reading them again.
    const json = isObject(value) ? copyJson(value) : undefined;
    return whole(text ?? decode(chunks), ending, json);
  }
  const recording = new Recording(maxBytes);
  for (const chunk of chunks) recording.add(chunk);
  return recording.end(ending);
}

function isShort(pieces: readonly Bytes[], maxBytes = PART_BYTES): boolean {
  return sizeOf(pieces) <= maxBytes;
}

type Kept = Omit<ObservedBody, "ending">;

const whole = (text: string, ending: BodyEnding, json?: JsonObject): ObservedBody => ({
  text,
  json,
  droppedBytes: 0,
  tailText: "",
  ending,
});

let condense: typeof import("./condense.ts").condense | undefined;

/** A body of many parts: its head and its tail. */
function keepLong([first = NOTHING]: readonly Bytes[], limit: number | undefined) {
  const isStream = isEventStream(decode([first.subarray(0, 100)]));
  const maxBytes = limit ?? maxBytesOf(isStream);
  const maxTailBytes = Math.floor(maxBytes / 2);
  const head = new FirstBytes(maxBytes - maxTailBytes);
  const tail = keepLast(maxTailBytes);
  const keep = (chunk: Bytes) => {
    const rest = head.fill(chunk);
    if (rest) tail.add(rest);
  };
  return {
    /** Gives back what belongs before the next part. */
    add(part: readonly Bytes[]): readonly Bytes[] {
      if (isStream && condense) {
        const [events = NOTHING, half = NOTHING] = condense(joined(part));
        keep(events);
        // Of an event that is longer than a part there is no whole one to wait for.
        if (half.byteLength < PART_BYTES / 2) return [half];
        keep(half);
        return [];
      }
      if (isStream) loadCondense();
      for (const piece of part) keep(piece);
      return [];
    },
    end(part: readonly Bytes[]): Kept {
      for (const piece of part) keep(piece);
      const { droppedBytes, kept } = tail.end();
      const isWhole = droppedBytes === 0;
      const text = decode([...head.pieces(), ...(isWhole ? kept : [])]);
      head.release();
      return { text, droppedBytes, tailText: isWhole ? "" : decode(kept) };
    },
  };
}

function loadCondense() {
  import("./condense.ts").then(
    (loaded) => {
      condense = loaded.condense;
    },
    () => {}, // then it stays as long as it is
  );
}

/** The last bytes, no more than this, in the chunks they came in. */
function keepLast(maxBytes: number) {
  let chunks: Bytes[] = [];
  let first = 0;
  let bytes = 0;
  let droppedBytes = 0;
  return {
    add(chunk: Bytes) {
      const fitting = chunk.slice(Math.max(0, chunk.byteLength - maxBytes));
      droppedBytes += chunk.byteLength - fitting.byteLength;
      chunks.push(fitting);
      bytes += fitting.byteLength;
      while (bytes > maxBytes) {
        const oldest = chunks[first] ?? NOTHING;
        const dropped = Math.min(bytes - maxBytes, oldest.byteLength);
        bytes -= dropped;
        droppedBytes += dropped;
        // The list itself is cut only now and then: that moves all of it.
        chunks[first] = oldest.subarray(dropped);
        if (dropped === oldest.byteLength) chunks[first++] = NOTHING;
      }
      if (first > 1024 && first > chunks.length / 2) {
        chunks = chunks.slice(first);
        first = 0;
      }
    },
    end: () => ({ droppedBytes, kept: chunks.slice(first) }),
  };
}
