/** The traces that wait, first in, first out, counted in bytes and items. Knows nothing of time or requests. */
import type { ChoicesForm } from "./choices-form.ts";
import type { Ticket } from "./ledger.ts";

/** A trace on its way: encoded once, sent as often as it takes. */
export interface QueuedTrace {
  readonly id: string;
  /** The JSON, with `choices` in `form`. A string: many small buffers would cost the collector more. */
  readonly json: string;
  /** Bytes of the JSON in UTF-8. */
  readonly bytes: number;
  readonly form: ChoicesForm;
  /** Forms in which the endpoint refused this trace. */
  refused: readonly ChoicesForm[];
  /** When it is given up, by the clock of alarm.ts. */
  expiresAtMs: number;
  /** Times it failed while others passed; see the poison rule in dispatcher.ts. */
  failures: number;
  /** Deliveries of the logger when it failed last. */
  deliveredAtFailure: number;
  readonly ticket: Ticket;
}

export interface QueueLimits {
  readonly maxTraces: number;
  readonly maxBytes: number;
}

export class TraceQueue {
  /** The batch that is filling, and those that have been cut and may leave. */
  readonly #filling = new Fifo();
  readonly #due = new Fifo();

  get size(): number {
    return this.#filling.size + this.#due.size;
  }

  get bytes(): number {
    return this.#filling.bytes + this.#due.bytes;
  }

  get due(): number {
    return this.#due.size;
  }

  /** Size of the batch that is filling. */
  get filling(): { readonly traces: number; readonly bytes: number } {
    return { traces: this.#filling.size, bytes: this.#filling.bytes };
  }

  add(trace: QueuedTrace): void {
    this.#filling.push(trace);
  }

  /** Everything that waits now may leave. */
  cut(): void {
    for (let next = this.#filling.shift(); next; next = this.#filling.shift()) this.#due.push(next);
  }

  /** To the end of the line, not to its head: one bad trace must not hold up the others. */
  putBack(trace: QueuedTrace): void {
    this.#due.push(trace);
  }

  /** The next traces that are due, as many as fit in one request; at least one where any is due. */
  take(limits: QueueLimits): QueuedTrace[] {
    const taken: QueuedTrace[] = [];
    let bytes = 0;
    for (let next = this.#due.first; next; next = this.#due.first) {
      bytes += next.bytes;
      if (taken.length > 0 && (taken.length >= limits.maxTraces || bytes > limits.maxBytes)) break;
      this.#due.shift();
      taken.push(next);
    }
    return taken;
  }

  /** The one that waits longest, due or not. */
  takeOldest(): QueuedTrace | undefined {
    return this.#due.shift() ?? this.#filling.shift();
  }

  get all(): QueuedTrace[] {
    return [...this.#due.all, ...this.#filling.all];
  }

  /** Takes out every trace for which `test` holds. */
  remove(test: (trace: QueuedTrace) => boolean): QueuedTrace[] {
    return [...this.#due.remove(test), ...this.#filling.remove(test)];
  }
}

class Fifo {
  #items: (QueuedTrace | undefined)[] = [];
  #head = 0;
  #bytes = 0;

  get size(): number {
    return this.#items.length - this.#head;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get first(): QueuedTrace | undefined {
    return this.#items[this.#head];
  }

  push(trace: QueuedTrace): void {
    this.#items.push(trace);
    this.#bytes += trace.bytes;
  }

  shift(): QueuedTrace | undefined {
    const first = this.first;
    if (!first) return undefined;
    this.#items[this.#head++] = undefined; // let go of it: the slot stays until the array is compacted
    this.#bytes -= first.bytes;
    if (this.#head === this.#items.length || (this.#head > 1024 && this.#head * 2 > this.#items.length)) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return first;
  }

  get all(): QueuedTrace[] {
    return this.#items.slice(this.#head).filter((item) => item !== undefined);
  }

  remove(test: (trace: QueuedTrace) => boolean): QueuedTrace[] {
    const waiting = this.all;
    const removed = waiting.filter(test);
    if (removed.length === 0) return removed;
    const gone = new Set(removed);
    this.#items = waiting.filter((trace) => !gone.has(trace));
    this.#head = 0;
    this.#bytes -= removed.reduce((sum, trace) => sum + trace.bytes, 0);
    return removed;
  }
}
