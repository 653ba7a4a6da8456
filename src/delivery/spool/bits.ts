/** A growing set of small integers at one bit each. */
export class Bits {
  #bytes = new Uint8Array(0);

  has(index: number): boolean {
    return ((this.#bytes[index >>> 3] ?? 0) & (1 << (index & 7))) !== 0;
  }

  /** False if it was there already. */
  add(index: number): boolean {
    const at = index >>> 3;
    if (at >= this.#bytes.length) this.#grow(at + 1);
    const before = this.#bytes[at] ?? 0;
    const after = before | (1 << (index & 7));
    this.#bytes[at] = after;
    return after !== before;
  }

  #grow(least: number): void {
    const grown = new Uint8Array(Math.max(least, Math.ceil(this.#bytes.length * 1.25), 64));
    grown.set(this.#bytes);
    this.#bytes = grown;
  }
}
