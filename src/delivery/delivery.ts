/**
 * Everything between `logTrace` and the endpoint, joined: prepare, keep (in memory, on disk), dispatch, settle. It knows
 * an `Attempt`, not HTTP, and a `Spool`, not a file system.
 */
import { DeliveryError, type DeliveryErrorCode } from "../errors.ts";
import type { FlushReport, LossReason, TraceLoggerEvent, TraceLoss, TraceReceipt } from "../receipts.ts";
import { Alarm, monotonicMs } from "./alarm.ts";
import type { Attempt } from "./attempt.ts";
import { type ChoicesForm, ChoicesNegotiation, decodeTrace, formOf } from "./choices-form.ts";
import { type DeliverParts, lazyBatchPosts, type Parcel, singlePosts } from "./deliver.ts";
import { Dispatcher, type DispatcherOptions } from "./dispatcher.ts";
import { Ledger, type Ticket } from "./ledger.ts";
import { encodeChecked, type Prepared, type PrepareOptions, prepare } from "./prepare.ts";
import type { QueuedTrace, QueueLimits } from "./queue.ts";
import type { Spool, SpoolEvent, SpooledRecord, SpoolRef } from "./spool/spool.ts";

export interface DeliveryOptions extends DispatcherOptions, PrepareOptions {
  readonly queue: QueueLimits & { readonly overflow: "reject-newest" | "drop-oldest" | "wait" };
  readonly wire: "single" | "batch";
}

export interface DeliveryParts {
  readonly attempt: Attempt;
  readonly openSpool: ((onEvent: (event: SpoolEvent) => void) => Spool) | undefined;
  readonly onLoss: (loss: TraceLoss) => void;
  readonly onEvent: (event: TraceLoggerEvent) => void;
  /** Told whenever a trace was delivered, lost, put on disk or brought back from there. */
  readonly onChange: () => void;
}

/** A trace that is written, and its caller. */
interface Item {
  readonly id: string;
  readonly json: string;
  readonly bytes: number;
  readonly form: ChoicesForm;
  readonly ticket: Ticket;
  readonly ref: SpoolRef | null;
}

/** Read back from disk while the memory is less than half full, a little at a time: reading holds up the host. */
const REFILL_BELOW = 0.5;
const REFILL_TRACES = 250;
const REFILL_BYTES = 4 * 1024 * 1024;
const REFILL_AGAIN_MS = { soonest: 5, latest: 1_000 };
/** How often dead processes' leavings are looked for. */
const LOOK_AROUND_MS = 15_000;

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
  readonly #spool: Spool | undefined;
  readonly #lookAround = new Alarm(() => this.#adopt());
  readonly #refillAgain = new Alarm(() => this.#refill());
  #refillWaitMs = REFILL_AGAIN_MS.soonest;
  #isRefilling = false;
  #isStopped = false;
  requests = 0;
  choicesLeftOut = 0;

  constructor(options: DeliveryOptions, parts: DeliveryParts) {
    this.#options = options;
    this.#parts = parts;
    this.#ledger = new Ledger({ onLoss: parts.onLoss, onSettled: () => this.#onSettled() });
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
    this.#spool = parts.openSpool?.((event) => this.#onSpoolEvent(event));
    if (this.#spool) this.#lookAround.set(monotonicMs());
  }

  get stats() {
    const { traces, bytes } = this.#dispatcher.load;
    const gate = this.#dispatcher.phase;
    const { requests, choicesLeftOut } = this;
    return { ...this.#ledger.totals, requests, choicesLeftOut, gate, inQueue: traces, pendingBytes: bytes };
  }

  get pending(): number {
    return this.#ledger.pending;
  }

  /** Takes one trace. `settled` is called once. */
  accept(input: unknown, settled: (receipt: TraceReceipt) => void, truncate = false): void {
    const ticket = this.#ledger.accept((receipt) => {
      if (receipt.status === "delivered") this.choicesLeftOut += receipt.leftOut.length;
      settled(receipt);
    });
    const prepared = prepare(input, this.#options);
    if (!(prepared instanceof Promise)) {
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
  hasRoom(share: number, moreBytes = 0): boolean {
    const { traces, bytes } = this.#dispatcher.load;
    const { maxTraces, maxBytes } = this.#options.queue;
    return traces < maxTraces * share && bytes + moreBytes <= maxBytes * share;
  }

  /** Deliver what is pending now, until `passed`; then `end` what is left, if asked to. */
  async drain(passed: Promise<void>, end = (): void => {}): Promise<FlushReport> {
    const release = this.#dispatcher.hold();
    const watch = this.#ledger.watch();
    this.#refill();
    this.#dispatcher.cut();
    await Promise.race([watch.done, passed]);
    release();
    const lastError = this.#dispatcher.lastTrouble;
    end();
    watch.end();
    const { delivered, lost, spooled, pending } = watch.counts;
    const onDisk = this.#spool ? Math.min(pending, this.#ledger.onDisk + this.#onDiskToo()) : 0;
    return { delivered, lost, spooled: spooled + onDisk, pending: pending - onDisk, lastError };
  }

  /** A closed gate lets one request through at once: the last chance before a close. */
  expedite(): void {
    this.#dispatcher.expedite();
  }

  /** Ends all work at once, synchronously: what is or gets on disk stays there, everything else is reported lost. */
  stop(reason: "closed" | "exit", message: string): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    for (const alarm of [this.#lookAround, this.#refillAgain]) alarm.set(Number.POSITIVE_INFINITY);
    const cause = this.#dispatcher.lastTrouble ?? undefined;
    for (const trace of [...this.#dispatcher.stop(), ...this.#outside.splice(0)]) {
      if ((trace.ref ?? this.#writeAhead(trace, true)) !== null) trace.ticket.spool(trace.id);
      else lose(trace, reason, message, cause);
    }
    const redacting = [...this.#redacting];
    this.#redacting.clear();
    for (const [ticket, input] of redacting) loseInput(input, ticket, { reason, message });
    this.#spool?.close();
  }

  /** Traces that are in memory and on disk. */
  #onDiskToo(): number {
    return this.#dispatcher.traces.filter((trace) => trace.ref !== null).length;
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
    else this.#enqueue({ ...encoded, ticket, ref });
  }

  /** On disk before `logTrace` returns. `null` without a spool, or when it cannot write. */
  #writeAhead({ id, json }: { id: string; json: string }, handOut: boolean): SpoolRef | null {
    if (!this.#spool) return null;
    // A Buffer, since there is a spool only where there is Node.
    return this.#spool.append({ id, body: Buffer.from(json), acceptedAtMs: Date.now() }, { handOut });
  }

  #enqueue(item: Item): void {
    if (this.#makeRoom(item.bytes)) this.#dispatcher.add(this.#toQueued(item));
    else if (this.#options.queue.overflow === "wait") this.#outside.push(item);
    else lose(item, "queue_full", "The queue is full: see the `queue` option, and `ready()`.");
  }

  #makeRoom(bytes: number): boolean {
    while (!this.hasRoom(1, bytes)) {
      const evicted = this.#options.queue.overflow === "drop-oldest" ? this.#dispatcher.evictOldest() : undefined;
      if (!evicted) return false;
      lose(evicted, "queue_full", "Dropped to make room for a newer trace: see `queue.overflow`.");
    }
    return true;
  }

  #toQueued({ ticket, ...item }: Item): QueuedTrace {
    const decode = () => decodeTrace(item.json);
    // On disk the spool's own, longer limit holds; it is checked when a trace is read back.
    const expiresAtMs = item.ref === null ? monotonicMs() + this.#options.maxAgeMs : Number.POSITIVE_INFINITY;
    // Delivered or lost for good: the disk need not keep it any longer.
    const acknowledge = (): void => {
      if (queued.ref !== null) this.#spool?.acknowledge(queued.ref);
    };
    const acknowledging: Ticket = {
      ...ticket,
      deliver: (receipt) => {
        acknowledge();
        ticket.deliver(receipt);
      },
      lose: (loss, trace) => {
        acknowledge();
        ticket.lose(loss, trace);
      },
    };
    const state = { refused: new Set<ChoicesForm>(), failures: 0, deliveredAtFailure: -1 };
    const queued: QueuedTrace = { ...item, ...state, ticket: acknowledging, decode, expiresAtMs };
    return queued;
  }

  #onSettled(): void {
    while (this.#outside[0] && this.hasRoom(1, this.#outside[0].bytes)) {
      const [item] = this.#outside.splice(0, 1);
      if (item) this.#dispatcher.add(this.#toQueued(item));
    }
    this.#refill();
    this.#parts.onChange();
  }

  /** Takes traces that stand only on disk into memory, when there is room. */
  #refill(): void {
    const spool = this.#spool;
    if (!spool || this.#isStopped || this.#isRefilling || !this.hasRoom(REFILL_BELOW)) return;
    this.#isRefilling = true; // settling what is read comes back here
    const found = this.#readBack(spool);
    const { records: waiting } = spool.waiting();
    if (waiting === 0) this.#reconcile();
    this.#isRefilling = false;
    // The spool reads a bounded amount at a time, and may find none of it, or be unable to read for the moment.
    this.#refillWaitMs = found ? REFILL_AGAIN_MS.soonest : Math.min(this.#refillWaitMs * 2, REFILL_AGAIN_MS.latest);
    if (waiting > 0 && !this.#isStopped) this.#refillAgain.set(monotonicMs() + this.#refillWaitMs);
    if (found) this.#parts.onChange();
  }

  #readBack(spool: Spool): boolean {
    const { maxTraces, maxBytes } = this.#options.queue;
    const records = spool.readBack({
      maxRecords: Math.min(REFILL_TRACES, Math.ceil(maxTraces / 4)),
      maxBytes: Math.min(REFILL_BYTES, maxBytes / 4),
    });
    for (const record of records) this.#takeBack(record);
    if (records.length > 0) this.#dispatcher.cut();
    return records.length > 0;
  }

  #takeBack(record: SpooledRecord): void {
    const ticket = this.#ledger.readBack(record.isAdopted ? "adopted" : "ours");
    const json = Buffer.from(record.body).toString("utf8");
    const { id, ref } = record;
    const form = formIn(json);
    const queued = this.#toQueued({ id, json, bytes: record.body.length, form: form ?? "absent", ticket, ref });
    if (form === null) loseUnreadable(queued);
    else if (record.isExpired) lose(queued, "expired", "The trace waited on disk longer than the spool's maxAgeMs.");
    else this.#dispatcher.add(queued);
  }

  /** The disk holds nothing more of ours: what we still count there was destroyed. */
  #reconcile(): void {
    this.#ledger.loseOnDisk(this.#ledger.onDisk, undefined);
  }

  #adopt(): void {
    const hasMore = this.#spool?.adopt().hasMore;
    this.#refill();
    if (!this.#isStopped) this.#lookAround.set(monotonicMs() + (hasMore ? 100 : LOOK_AROUND_MS));
  }

  #onSpoolEvent(event: SpoolEvent): void {
    this.#parts.onEvent({ type: "spool", event });
    if (event.type === "directory-lost") this.#onDirectoryLost(event.isDeleted);
    // Not at once: the spool is in the middle of something.
    if (event.type === "recovered" || event.type === "directory-lost")
      queueMicrotask(() => this.#writeWhatIsNotOnDisk());
  }

  #onDirectoryLost(isDeleted: boolean): void {
    const { onDisk } = this.#ledger;
    // Another process has them, those in memory included: what we deliver of these it delivers again, which is harmless.
    if (isDeleted) {
      for (const trace of this.#dispatcher.traces) trace.ref = null;
      this.#ledger.loseOnDisk(onDisk, undefined);
    } else this.#ledger.handOver(onDisk);
  }

  #writeWhatIsNotOnDisk(): void {
    if (this.#isStopped) return;
    for (const trace of this.#dispatcher.traces) {
      trace.ref ??= this.#writeAhead(trace, false);
      if (trace.ref === null) return;
      trace.expiresAtMs = Number.POSITIVE_INFINITY;
    }
  }
}

function lose(
  item: Pick<QueuedTrace, "id" | "json" | "ticket">,
  code: DeliveryErrorCode & LossReason,
  message: string,
  cause?: unknown,
): void {
  const error = new DeliveryError(message, { code, cause });
  item.ticket.lose({ id: item.id, reason: code, error }, () => decodeTrace(item.json));
}

/** `null` for what is no JSON: the folder is open to others. */
function formIn(json: string): ChoicesForm | null {
  try {
    return formOf(json);
  } catch {
    return null;
  }
}

function loseUnreadable({ id, json, ticket }: QueuedTrace): void {
  const message = "What stands on disk is no trace: something else has written to the spool's folder.";
  ticket.lose({ id, reason: "spool_lost", error: new DeliveryError(message, { code: "spool_lost" }) }, () => json);
}

function loseInput(input: unknown, ticket: Ticket, why: { reason: "closed" | "exit"; message: string }): void {
  const error = new DeliveryError(why.message, { code: why.reason });
  ticket.lose({ id: null, reason: why.reason, error }, () => input);
}
