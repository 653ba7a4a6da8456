/**
 * Everything between `logTrace` and the endpoint, joined: prepare, keep (in memory, on disk), dispatch, settle. It knows
 * an `Attempt`, not HTTP; what concerns the disk is in on-disk.ts.
 */
import type { FlushReport, TraceLoggerEvent, TraceLoss, TraceReceipt } from "../receipts.ts";
import { isRequestBound } from "../runtime.ts";
import { isPromise } from "../thenable.ts";
import type { Attempt } from "./attempt.ts";
import { ChoicesNegotiation } from "./choices-form.ts";
import { type DeliverParts, lazyBatchPosts, type Parcel, singlePosts } from "./deliver.ts";
import { Dispatcher, type DispatcherOptions } from "./dispatcher.ts";
import { Ledger, type Ticket } from "./ledger.ts";
import { OnDisk, type OpenDisk } from "./on-disk.ts";
import { encodeChecked, type Prepared, type PrepareOptions, prepare } from "./prepare.ts";
import type { QueueLimits } from "./queue.ts";
import { type Item, lose, loseInput, toQueued } from "./queued.ts";
import type { SpoolRef } from "./spool/spool.ts";

export interface DeliveryOptions extends DispatcherOptions, PrepareOptions {
  readonly queue: QueueLimits & { readonly overflow: "reject-newest" | "drop-oldest" | "wait" };
  readonly wire: "single" | "batch";
}

export interface DeliveryParts {
  readonly attempt: Attempt;
  readonly openSpool: OpenDisk | undefined;
  readonly onLoss: (loss: TraceLoss) => void;
  readonly onEvent: (event: TraceLoggerEvent) => void;
  /** Told whenever a trace was delivered, lost, put on disk or brought back from there. */
  readonly onChange: () => void;
}

/**
 * What stands on disk is taken into memory only as far as the next second or so may need it: a host that logs a million
 * traces then does not feel them.
 */
const BESIDE_DISK: QueueLimits = { maxTraces: 1_000, maxBytes: 8 * 1024 * 1024 };

export class Delivery {
  readonly #options: DeliveryOptions;
  readonly #parts: DeliveryParts;
  readonly #ledger: Ledger;
  readonly #dispatcher: Dispatcher;
  readonly #negotiation = new ChoicesNegotiation();
  /** Accepted, and in the hands of an asynchronous `redact`. */
  readonly #redacting = new Map<Ticket, unknown>();
  /** With `overflow: "wait"`: accepted, and outside the full queue. */
  #outside: Item[] = [];
  readonly #disk: OnDisk | undefined;
  /** What may wait in memory as long as there is another place for the rest. */
  readonly #comfortable: QueueLimits;
  #isStopped = false;
  requests = 0;

  constructor(options: DeliveryOptions, parts: DeliveryParts) {
    this.#options = options;
    this.#parts = parts;
    this.#ledger = new Ledger({
      acknowledge: (ref) => this.#disk?.acknowledge(ref),
      onLoss: parts.onLoss,
      onSettled: () => this.#onSettled(),
    });
    const { attempt, onEvent } = parts;
    const deliverParts: DeliverParts = {
      attempt: (...args) => {
        this.requests++;
        return attempt(...args);
      },
      negotiation: this.#negotiation,
      onForm: (form) => onEvent({ type: "choices_form", form }),
    };
    const isBatch = options.wire === "batch";
    const parcel: Parcel = isBatch ? { ...options.batch } : { maxTraces: 1, maxBytes: Number.POSITIVE_INFINITY };
    const deliver = isBatch ? lazyBatchPosts(deliverParts, parcel) : singlePosts(deliverParts);
    this.#dispatcher = new Dispatcher(options, { deliver, parcel: () => parcel, onEvent });
    this.#comfortable = parts.openSpool ? smaller(options.queue, BESIDE_DISK) : options.queue;
    this.#disk =
      parts.openSpool &&
      new OnDisk({
        open: parts.openSpool,
        ledger: this.#ledger,
        dispatcher: this.#dispatcher,
        queue: this.#comfortable,
        hasRoom: (share) => this.hasRoom(share),
        onEvent,
        onChange: parts.onChange,
      });
  }

  get stats() {
    const { traces, bytes } = this.#dispatcher.load;
    const gate = this.#dispatcher.phase;
    return { ...this.#ledger.totals, requests: this.requests, gate, inQueue: traces, pendingBytes: bytes };
  }

  get pending(): number {
    return this.#ledger.pending;
  }

  /** Takes one trace. `settled` is called once. */
  accept(input: unknown, settled: (receipt: TraceReceipt) => void, truncate = false): void {
    const ticket = this.#ledger.accept(settled);
    const prepared = prepare(input, this.#options);
    if (!isPromise(prepared)) {
      this.#keep(prepared, ticket, truncate);
      return;
    }
    this.#redacting.set(ticket, input);
    void prepared.then((later) => {
      if (this.#redacting.delete(ticket)) this.#keep(later, ticket, truncate);
    });
  }

  /** Refuses one trace, because the logger is closed. */
  refuse(input: unknown, settled: (receipt: TraceReceipt) => void): void {
    loseInput(input, this.#ledger.accept(settled), { reason: "closed", message: "logTrace was called after close()." });
  }

  /** Is the queue less full than this share of its limits, with so much more in it? */
  hasRoom(share: number, moreBytes = 0, { maxTraces, maxBytes } = this.#comfortable): boolean {
    const { traces, bytes } = this.#dispatcher.load;
    return traces < maxTraces * share && bytes + moreBytes <= maxBytes * share;
  }

  /** Deliver what is pending now, until `passed`; then `end` what is left, if asked to. */
  async drain(passed: Promise<void>, end = (): void => {}): Promise<FlushReport> {
    const release = this.#dispatcher.hold();
    const watch = this.#ledger.watch();
    this.#disk?.refill();
    const over = Promise.race([watch.done, passed]);
    if (isRequestBound()) await Promise.race([this.#dispatcher.drive(over), passed]);
    else {
      this.#dispatcher.cut();
      await over;
    }
    release();
    const lastError = this.#dispatcher.lastTrouble;
    this.#disk?.verify();
    end();
    watch.end();
    const { delivered, lost, spooled, pending } = watch.counts;
    const onDisk = Math.min(pending, this.#disk?.count ?? 0);
    return { delivered, lost, spooled: spooled + onDisk, pending: pending - onDisk, lastError };
  }

  /** A closed gate lets one request through at once: the last chance before a close. */
  expedite(): void {
    this.#dispatcher.expedite();
  }

  /** Ends all work at once, synchronously: what is or gets on disk stays there, everything else is reported lost. */
  stop(reason: "closed" | "exit", message: string): void {
    if (this.#isStopped) return;
    this.#disk?.verify();
    this.#isStopped = true;
    this.#disk?.stop();
    const cause = this.#dispatcher.lastTrouble ?? undefined;
    for (const trace of [...this.#dispatcher.stop(), ...this.#outside.splice(0)]) {
      if ((trace.ticket.ref ?? this.#writeAhead(trace, true)) !== null) trace.ticket.spool(trace.id);
      else lose(trace, reason, message, cause);
    }
    const redacting = [...this.#redacting];
    this.#redacting.clear();
    for (const [ticket, input] of redacting) loseInput(input, ticket, { reason, message });
    this.#disk?.close();
  }

  #keep(prepared: Prepared, ticket: Ticket, truncate: boolean): void {
    const limits = { maxTraceBytes: this.#options.maxTraceBytes, truncate };
    const encoded = "loss" in prepared ? prepared : encodeChecked(prepared.trace, this.#negotiation.accepted, limits);
    if ("loss" in encoded) {
      ticket.lose(encoded.loss, () => encoded.trace);
      return;
    }
    const isRoom = this.hasRoom(1, encoded.bytes);
    const ref = this.#writeAhead(encoded, !isRoom);
    if (!isRoom && ref !== null) ticket.spool(encoded.id);
    else {
      ticket.ref = ref;
      this.#enqueue({ ...encoded, ticket });
    }
  }

  #writeAhead(trace: { readonly id: string; readonly json: string }, handOut: boolean): SpoolRef | null {
    return this.#disk?.writeAhead(trace, handOut) ?? null;
  }

  #enqueue(item: Item): void {
    if (this.#makeRoom(item.bytes)) this.#add(item);
    else if (this.#options.queue.overflow === "wait") this.#outside.push(item);
    else lose(item, "queue_full", "The queue is full: see the `queue` option, and `ready()`.");
  }

  #makeRoom(bytes: number): boolean {
    while (!this.hasRoom(1, bytes, this.#options.queue)) {
      const evicted = this.#options.queue.overflow === "drop-oldest" ? this.#dispatcher.evictOldest() : undefined;
      if (!evicted) return false;
      lose(evicted, "queue_full", "Dropped to make room for a newer trace: see `queue.overflow`.");
    }
    return true;
  }

  #add(item: Item): void {
    this.#dispatcher.add(toQueued(item, this.#options.maxAgeMs));
  }

  #onSettled(): void {
    while (this.#outside[0] && this.hasRoom(1, this.#outside[0].bytes, this.#options.queue)) {
      const [item] = this.#outside.splice(0, 1);
      if (item) this.#add(item);
    }
    this.#disk?.refill();
    this.#parts.onChange();
  }
}

function smaller(one: QueueLimits, other: QueueLimits): QueueLimits {
  return {
    maxTraces: Math.min(one.maxTraces, other.maxTraces),
    maxBytes: Math.min(one.maxBytes, other.maxBytes),
  };
}
