/** What is kept of a body that passes by: how it begins and how it ends. */
import { copyJson, isObject, type JsonObject } from "../json.ts";
import { BLOCK_BYTES, giveBack, takeBlock } from "./blocks.ts";
import { type Bytes, concat, decode, sizeOf } from "./bytes.ts";
import { isEventStream } from "./call.ts";

/** How a body ended: read to its end, given up by its reader, or broken. */
export type BodyEnding =
  | { readonly how: "complete" }
  | { readonly how: "cancelled" }
  | { readonly how: "failed"; readonly error: unknown };

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
  return { ...whole(""), ending };
}

export interface ObserveOptions {
  /** How many bytes to keep: the first ones and the last ones, half and half. @default see {@link maxBytesOf} */
  readonly maxBytes: number | undefined;
  /** Called once. Never, when nobody reads the body to an end. */
  readonly onEnd: (body: ObservedBody) => void;
}

export interface Recording {
  /** The chunk is copied: it belongs to the reader, who may change it or give its memory away. */
  add(chunk: Bytes): void;
  /** Only the first end counts. */
  end(ending: BodyEnding): void;
}

/** What is looked at together: less is not worth it, and of more the reader would notice. */
const PART_BYTES = 2 ** 20;

/** Of a stream, its events joined, as much as a trace may hold; what is no stream its reader holds whole, too. */
const maxBytesOf = (isStream: boolean) => (isStream ? 6_000_000 : 2 ** 26);

export function startRecording({ maxBytes, onEnd }: ObserveOptions): Recording {
  let fresh = keepFirst(PART_BYTES);
  let long: ReturnType<typeof keepLong> | undefined;
  let ended = false;
  return {
    add(chunk) {
      if (ended) return;
      for (let rest = fresh.add(chunk); rest; rest = fresh.add(rest)) {
        const full = fresh;
        const part = full.pieces();
        long ??= keepLong(part, maxBytes);
        fresh = keepFirst(PART_BYTES);
        // Half an event goes before the one that comes.
        for (const half of long.add(part)) fresh.add(half);
        full.release();
      }
    },
    end(ending) {
      if (ended) return;
      ended = true;
      const part = fresh.pieces();
      const kept =
        !long && isShort(part, maxBytes) ? whole(decode(part)) : (long ?? keepLong(part, maxBytes)).end(part);
      fresh.release();
      onEnd({ ...kept, ending });
    },
  };
}

/** What has been read already, and its text, if whoever read it knows that, and what they made of it. */
export interface ReadBody {
  readonly chunks: readonly Bytes[];
  readonly text?: string;
  readonly value?: unknown;
  readonly ending: BodyEnding;
}

/** Record what has been read, all of it at once. */
export function recordRead({ chunks, text, value, ending }: ReadBody, options: ObserveOptions): void {
  if (isShort(chunks, options.maxBytes)) {
    // A copy, since they may change theirs: of long texts it costs far less than reading them again.
    const json = isObject(value) ? copyJson(value) : undefined;
    options.onEnd({ ...whole(text ?? decode(chunks)), json, ending });
    return;
  }
  const recording = startRecording(options);
  for (const chunk of chunks) recording.add(chunk);
  recording.end(ending);
}

/** What has been read to its end. */
export function readAll(chunks: readonly Bytes[], maxBytes: number | undefined): ObservedBody {
  let read = unseen({ how: "complete" });
  const onEnd = (body: ObservedBody) => {
    read = body;
  };
  recordRead({ chunks, ending: read.ending }, { maxBytes, onEnd });
  return read;
}

function isShort(pieces: readonly Bytes[], maxBytes = PART_BYTES): boolean {
  return sizeOf(pieces) <= maxBytes;
}

type Kept = Omit<ObservedBody, "ending">;

const whole = (text: string): Kept => ({ text, droppedBytes: 0, tailText: "" });

let condense: typeof import("./condense.ts").condense | undefined;

/** A body of many parts: its head and its tail. */
function keepLong([first = NOTHING]: readonly Bytes[], limit: number | undefined) {
  const isStream = isEventStream(decode([first.subarray(0, 100)]));
  const maxBytes = limit ?? maxBytesOf(isStream);
  const maxTailBytes = Math.floor(maxBytes / 2);
  const head = keepFirst(maxBytes - maxTailBytes);
  const tail = keepLast(maxTailBytes);
  const keep = (chunk: Bytes) => {
    const rest = head.add(chunk);
    if (rest) tail.add(rest);
  };
  return {
    /** Gives back what belongs before the next part. */
    add(part: readonly Bytes[]): readonly Bytes[] {
      if (isStream && condense) {
        const [events = NOTHING, half = NOTHING] = condense(concat(part));
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

const NOTHING = new Uint8Array();

/** The first bytes, no more than this, in few blocks: a copy of each small chunk by itself would cost far more. */
function keepFirst(maxBytes: number) {
  const full: Bytes[] = [];
  const lent: Bytes[] = [];
  let block = NOTHING;
  let blockBytes = 0;
  let room = maxBytes;
  let free = 0;
  const fill = (bytes: Bytes) => {
    block.set(bytes, blockBytes);
    blockBytes += bytes.byteLength;
    free -= bytes.byteLength;
    room -= bytes.byteLength;
  };
  const begin = (bytes: number) => {
    const known = bytes <= BLOCK_BYTES ? takeBlock() : undefined;
    if (known) lent.push(known);
    if (blockBytes > 0) full.push(block.subarray(0, blockBytes));
    // Of one's own they grow, to no more than what a lent one has.
    block = known ?? new Uint8Array(Math.max(bytes, Math.min(maxBytes - room, room, BLOCK_BYTES)));
    free = Math.min(block.byteLength, room);
    blockBytes = 0;
  };
  return {
    /** Gives back what is over. */
    add(chunk: Bytes): Bytes | undefined {
      // As it is, if it can be: a view of a part costs more than copying the bytes of a small chunk does.
      if (chunk.byteLength <= free) {
        fill(chunk);
        return undefined;
      }
      const fitting = Math.min(room, chunk.byteLength);
      const now = Math.min(fitting, free);
      if (now > 0) fill(chunk.subarray(0, now));
      if (now < fitting) {
        begin(fitting - now);
        fill(now === 0 && fitting === chunk.byteLength ? chunk : chunk.subarray(now, fitting));
      }
      return fitting < chunk.byteLength ? chunk.subarray(fitting) : undefined;
    },
    pieces: () => (blockBytes > 0 ? [...full, block.subarray(0, blockBytes)] : full),
    /** Its pieces are not to be read any more. */
    release: () => lent.forEach(giveBack),
  };
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
