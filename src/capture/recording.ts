/** What is kept of a body that passes by: its first bytes and its last ones, and how it ended. */
import { type Bytes, concat, sizeOf } from "./bytes.ts";
import { isEventStream } from "./call.ts";

/** How a body ended: read to its end, given up by its reader, or broken. */
export type BodyEnding =
  | { readonly how: "complete" }
  | { readonly how: "cancelled" }
  | { readonly how: "failed"; readonly error: unknown };

/** What passed. */
export interface ObservedBody {
  readonly chunks: readonly Bytes[];
  /** Bytes that passed but were not kept, because of `maxBytes`. */
  readonly droppedBytes: number;
  /** What came last, when bytes were dropped before it. */
  readonly tail: readonly Bytes[];
  readonly ending: BodyEnding;
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
const BLOCK_BYTES = 2 ** 20;

/** Of a stream, its events joined, as much as a trace may hold; what is no stream its reader holds whole, too. */
const maxBytesOf = (isStream: boolean) => (isStream ? 6_000_000 : 2 ** 26);

export function startRecording({ maxBytes, onEnd }: ObserveOptions): Recording {
  let fresh = keepFirst(BLOCK_BYTES);
  let long: ReturnType<typeof keepLong> | undefined;
  let ended = false;
  return {
    add(chunk) {
      if (ended) return;
      for (let rest = fresh.add(chunk); rest; rest = fresh.add(rest)) {
        const block = fresh.end();
        long ??= keepLong(block, maxBytes);
        fresh = keepFirst(BLOCK_BYTES);
        // Half an event goes before the one that comes.
        for (const half of long.add(block)) fresh.add(half);
      }
    },
    end(ending) {
      if (ended) return;
      ended = true;
      const block = fresh.end();
      const isShort = !long && sizeOf(block) <= (maxBytes ?? BLOCK_BYTES);
      onEnd({ ...(isShort ? whole(block) : (long ?? keepLong(block, maxBytes)).end(block)), ending });
    },
  };
}

type Kept = Omit<ObservedBody, "ending">;

const whole = (chunks: readonly Bytes[]): Kept => ({ chunks, droppedBytes: 0, tail: [] });

let condense: typeof import("./condense.ts").condense | undefined;

/** A body of many blocks: its head and its tail. */
function keepLong([first = NOTHING]: readonly Bytes[], limit: number | undefined) {
  const isStream = isEventStream(new TextDecoder().decode(first.subarray(0, 100)));
  const maxBytes = limit ?? maxBytesOf(isStream);
  const maxTailBytes = Math.floor(maxBytes / 2);
  const head = keepFirst(maxBytes - maxTailBytes);
  const tail = keepLast(maxTailBytes);
  const keep = (chunk: Bytes) => {
    const rest = head.add(chunk);
    if (rest) tail.add(rest);
  };
  return {
    /** Gives back what belongs before the next block. */
    add(block: readonly Bytes[]): readonly Bytes[] {
      if (isStream && condense) {
        const [events = NOTHING, half = NOTHING] = condense(concat(block));
        keep(events);
        // Of an event that is longer than a block there is no whole one to wait for.
        if (half.byteLength < BLOCK_BYTES / 2) return [half];
        keep(half);
        return [];
      }
      if (isStream) loadCondense();
      for (const chunk of block) keep(chunk);
      return [];
    },
    end(block: readonly Bytes[]): Kept {
      for (const chunk of block) keep(chunk);
      const chunks = head.end();
      const { droppedBytes, kept } = tail.end();
      return droppedBytes === 0 ? whole([...chunks, ...kept]) : { chunks, droppedBytes, tail: kept };
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
const MAX_BLOCK_BYTES = 65_536;

/** The first bytes, no more than this, in blocks that grow: a copy of each small chunk by itself would cost far more. */
function keepFirst(maxBytes: number) {
  const full: Bytes[] = [];
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
        full.push(block);
        const kept = maxBytes - room;
        block = new Uint8Array(Math.max(fitting - now, Math.min(kept, room, MAX_BLOCK_BYTES)));
        free = block.byteLength;
        blockBytes = 0;
        fill(chunk.subarray(now, fitting));
      }
      return fitting < chunk.byteLength ? chunk.subarray(fitting) : undefined;
    },
    end: () => [...full, block.subarray(0, blockBytes)].filter(({ byteLength }) => byteLength > 0),
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
