/**
 * Where the lines of a pack lie, and which of them may have a given name. Names are kept as 32 bits of a hash, in typed
 * arrays: 20 to 40 bytes a line, so that a million traces take some tens of megabytes. Whoever finds a line here reads
 * it to see whether it is the one.
 */

/** Bytes of a file: from `start` to before `end`. */
export interface Line {
  readonly start: number;
  readonly end: number;
}

const FIRST_CAPACITY = 256;

export class LineIndex {
  #lines = 0;
  #end = 0;
  #starts = new Float64Array(FIRST_CAPACITY);
  /** 0 for a line without a name. */
  #hashes = new Uint32Array(FIRST_CAPACITY);
  /** Open addressing: 1 + the number of a line, 0 where free; twice as many slots as lines. */
  #slots = new Uint32Array(2 * FIRST_CAPACITY);

  get lines(): number {
    return this.#lines;
  }

  /** Where the next line begins. */
  get end(): number {
    return this.#end;
  }

  /** The next line, which ends before `end`. One without a name is passed over by every search. */
  add(name: string | undefined, end: number): void {
    if (this.#lines === this.#starts.length) this.#grow();
    const line = this.#lines++;
    this.#starts[line] = this.#end;
    this.#end = end;
    if (name === undefined) return;
    this.#hashes[line] = hashOf(name);
    this.#enter(line);
  }

  /** Lines that may have this name, the earliest first. */
  *find(name: string): Generator<Line> {
    const hash = hashOf(name);
    for (let slot = this.#first(hash); this.#slots[slot]; slot = this.#next(slot)) {
      const line = (this.#slots[slot] ?? 0) - 1;
      if (this.#hashes[line] === hash) yield this.#at(line);
    }
  }

  #at(line: number): Line {
    const start = this.#starts[line] ?? 0;
    return { start, end: line + 1 < this.#lines ? (this.#starts[line + 1] ?? 0) : this.#end };
  }

  #enter(line: number): void {
    let slot = this.#first(this.#hashes[line] ?? 0);
    while (this.#slots[slot]) slot = this.#next(slot);
    this.#slots[slot] = line + 1;
  }

  #first(hash: number): number {
    return hash & (this.#slots.length - 1); // a power of two
  }

  #next(slot: number): number {
    return (slot + 1) & (this.#slots.length - 1);
  }

  #grow(): void {
    const capacity = 2 * this.#starts.length;
    const [starts, hashes] = [new Float64Array(capacity), new Uint32Array(capacity)];
    starts.set(this.#starts);
    hashes.set(this.#hashes);
    this.#starts = starts;
    this.#hashes = hashes;
    this.#slots = new Uint32Array(2 * capacity);
    for (let line = 0; line < this.#lines; line++) if (hashes[line]) this.#enter(line); // in order: the earliest stay first
  }
}

/** FNV-1a over UTF-16 units, mixed so that its low bits, which choose the slot, depend on all of it. Never 0. */
function hashOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < name.length; index++) hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193);
  hash ^= hash >>> 15;
  hash = Math.imul(hash, 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0 || 1;
}
