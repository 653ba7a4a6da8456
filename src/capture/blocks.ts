/**
 * Memory for what is recorded of responses, used again and again: fresh memory costs a stream many times what copying
 * its chunks into it does.
 */
import type { Bytes } from "./bytes.ts";

/** Little, for streams that say little: there may be very many of them at once. */
export const BLOCK_BYTES = 8192;
/** Four megabytes: some hundred streams at once. What more of them need they give up again. */
const MAX_BLOCKS = 512;

/** So many bytes of this memory, from here on. */
export interface Block {
  readonly memory: Bytes;
  readonly start: number;
}

/**
 * All of it is one array: one for each block would have to be found in the processor's memory anew for every chunk, when
 * many streams take turns. The system gives what of it is used, no more.
 */
let shared: Bytes | undefined;
let cutBlocks = 0;
const free: Block[] = [];

/** To be given back when it is no longer read. What stood in it still does. */
export function takeBlock(): Block {
  const known = free.pop();
  if (known) return known;
  if (cutBlocks === MAX_BLOCKS) return { memory: new Uint8Array(BLOCK_BYTES), start: 0 };
  shared ??= new Uint8Array(MAX_BLOCKS * BLOCK_BYTES);
  return { memory: shared, start: cutBlocks++ * BLOCK_BYTES };
}

export function giveBack(block: Block): void {
  // Those of the one array, and others in place of what it has lost: a body that nobody ends gives nothing back.
  if (block.memory === shared || free.length < MAX_BLOCKS) free.push(block);
}
