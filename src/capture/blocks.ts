/**
 * Memory for what is recorded of responses, used again and again: fresh memory costs a stream many times what copying
 * its chunks into it does.
 */
import type { Bytes } from "./bytes.ts";

/** Little, for streams that say little: there may be very many of them at once. */
export const BLOCK_BYTES = 8192;
/** Four megabytes in all: some hundred streams at once. What more of them need they give up again. */
const MAX_FREE_BLOCKS = 512;

const free: Bytes[] = [];

/** To be given back when it is no longer read. What stood in it still does. */
export function takeBlock(): Bytes {
  return free.pop() ?? new Uint8Array(BLOCK_BYTES);
}

export function giveBack(block: Bytes): void {
  if (free.length < MAX_FREE_BLOCKS) free.push(block);
}
