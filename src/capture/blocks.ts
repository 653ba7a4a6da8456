/**
 * Memory for what is recorded of responses, used again and again: fresh memory costs a stream several times what copying
 * its chunks into it does.
 */
import type { Bytes } from "./bytes.ts";

export const BLOCK_BYTES = 65_536;
/** A megabyte in all. Who finds none left makes do with memory of their own. */
const MAX_BLOCKS = 16;

const free: Bytes[] = [];
let made = 0;
// A recording that nobody ends takes its blocks with it. The class is absent in some embedded runtimes.
const lost = typeof FinalizationRegistry === "function" ? new FinalizationRegistry<undefined>(() => made--) : undefined;

/** A block that is given back when it is no longer read; none when too many are in use. What stood in it still does. */
export function takeBlock(): Bytes | undefined {
  const block = free.pop();
  if (block || made === MAX_BLOCKS) return block;
  made++;
  const fresh = new Uint8Array(BLOCK_BYTES);
  lost?.register(fresh, undefined);
  return fresh;
}

export function giveBack(block: Bytes): void {
  free.push(block);
}
