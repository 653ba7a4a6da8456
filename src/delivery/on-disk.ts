/** The traces that stand on disk, in memory too or only there: written ahead, read back, adopted, and lost with it. */
import { DeliveryError } from "../errors.ts";
import type { TraceLoggerEvent } from "../receipts.ts";
import { Alarm, monotonicMs } from "./alarm.ts";
import { type ChoicesForm, formOf } from "./choices-form.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { Ledger } from "./ledger.ts";
import type { QueueLimits } from "./queue.ts";
import { lose, toQueued } from "./queued.ts";
import type { Spool, SpoolEvent, SpooledRecord, SpoolRef } from "./spool/spool.ts";

export type OpenDisk = (onEvent: (event: SpoolEvent) => void) => Spool;

export interface OnDiskParts {
  readonly open: OpenDisk;
  readonly ledger: Ledger;
  readonly dispatcher: Dispatcher;
  readonly queue: QueueLimits;
  /** Is the queue less full than this share of its limits? */
  readonly hasRoom: (share: number) => boolean;
  readonly onEvent: (event: TraceLoggerEvent) => void;
  /** Told when traces were brought back from disk. */
  readonly onChange: () => void;
}

/** Read back from disk while the memory is less than half full, a little at a time: reading holds up the host. */
const REFILL_BELOW = 0.5;
const REFILL_TRACES = 250;
const REFILL_BYTES = 4 * 1024 * 1024;
const REFILL_AGAIN_MS = { soonest: 5, latest: 1_000 };
/** How often dead processes' leavings are looked for. */
const LOOK_AROUND_MS = 15_000;

export class OnDisk {
  readonly #parts: OnDiskParts;
  readonly #spool: Spool;
  readonly #lookAround = new Alarm(() => this.#adopt());
  readonly #refillAgain = new Alarm(() => this.refill());
  #refillWaitMs = REFILL_AGAIN_MS.soonest;
  #isRefilling = false;
  #isStopped = false;

  constructor(parts: OnDiskParts) {
    this.#parts = parts;
    this.#spool = parts.open((event) => this.#onEvent(event));
    this.#lookAround.set(monotonicMs());
  }

  /** Traces of ours on disk, those included that are in memory too. */
  get count(): number {
    const { ledger, dispatcher } = this.#parts;
    return ledger.onDisk + dispatcher.traces.filter((trace) => trace.ticket.ref !== null).length;
  }

  /** On disk before `logTrace` returns; `handOut`: to be read back later. `null` when it cannot write. */
  writeAhead({ id, json }: { readonly id: string; readonly json: string }, handOut: boolean): SpoolRef | null {
    // A Buffer, since there is a spool only where there is Node.
    return this.#spool.append({ id, body: Buffer.from(json), acceptedAtMs: Date.now() }, { handOut });
  }

  acknowledge(ref: SpoolRef): void {
    this.#spool.acknowledge(ref);
  }

  /** Ask before calling safe what stands there. */
  verify(): void {
    this.#spool.verify();
  }

  /** Takes traces that stand only on disk into memory, when there is room. */
  refill(): void {
    if (this.#isStopped || this.#isRefilling || !this.#parts.hasRoom(REFILL_BELOW)) return;
    this.#isRefilling = true; // settling what is read comes back here
    const found = this.#readBack();
    const { records: waiting } = this.#spool.waiting();
    if (waiting === 0) this.#reconcile();
    this.#isRefilling = false;
    // The spool reads a bounded amount at a time, and may find none of it, or be unable to read for the moment.
    this.#refillWaitMs = found ? REFILL_AGAIN_MS.soonest : Math.min(this.#refillWaitMs * 2, REFILL_AGAIN_MS.latest);
    if (waiting > 0 && !this.#isStopped) this.#refillAgain.set(monotonicMs() + this.#refillWaitMs);
    if (found) this.#parts.onChange();
  }

  /** Nothing more is read back or adopted; what is in memory may still be written. */
  stop(): void {
    this.#isStopped = true;
    for (const alarm of [this.#lookAround, this.#refillAgain]) alarm.set(Number.POSITIVE_INFINITY);
  }

  close(): void {
    this.#spool.close();
  }

  #readBack(): boolean {
    const { maxTraces, maxBytes } = this.#parts.queue;
    const records = this.#spool.readBack({
      maxRecords: Math.min(REFILL_TRACES, Math.ceil(maxTraces / 4)),
      maxBytes: Math.min(REFILL_BYTES, maxBytes / 4),
    });
    for (const record of records) this.#takeBack(record);
    if (records.length > 0) this.#parts.dispatcher.cut();
    return records.length > 0;
  }

  #takeBack(record: SpooledRecord): void {
    const ticket = this.#parts.ledger.readBack(record.isAdopted ? "adopted" : "ours");
    const json = Buffer.from(record.body).toString("utf8");
    const form = formIn(json);
    ticket.ref = record.ref;
    const item = { id: record.id, json, bytes: record.body.length, form: form ?? "absent", ticket };
    const queued = toQueued(item, Number.POSITIVE_INFINITY);
    if (form === null) {
      const message = "What stands on disk is no trace: something else has written to the spool's folder.";
      const error = new DeliveryError(message, { code: "spool_lost" });
      queued.ticket.lose({ id: record.id, reason: "spool_lost", error }, () => json);
    } else if (record.isExpired) lose(queued, "expired", "The trace waited on disk longer than the spool's maxAgeMs.");
    else this.#parts.dispatcher.add(queued);
  }

  /** The disk holds nothing more of ours: what we still count there was destroyed. */
  #reconcile(): void {
    const { ledger } = this.#parts;
    ledger.loseOnDisk(ledger.onDisk, undefined);
  }

  #adopt(): void {
    const { hasMore } = this.#spool.adopt();
    this.refill();
    if (!this.#isStopped) this.#lookAround.set(monotonicMs() + (hasMore ? 100 : LOOK_AROUND_MS));
  }

  #onEvent(event: SpoolEvent): void {
    this.#parts.onEvent({ type: "spool", event });
    if (event.type === "directory-lost") this.#onDirectoryLost(event.isDeleted);
    // Not at once: the spool is in the middle of something.
    if (event.type === "recovered" || event.type === "directory-lost")
      queueMicrotask(() => this.#writeWhatIsNotOnDisk());
  }

  #onDirectoryLost(isDeleted: boolean): void {
    const { ledger, dispatcher } = this.#parts;
    const { onDisk } = ledger;
    // Another process has them, those in memory included: what we deliver of these it delivers again, which is harmless.
    if (isDeleted) {
      for (const trace of dispatcher.traces) trace.ticket.ref = null;
      ledger.loseOnDisk(onDisk, undefined);
    } else ledger.handOver(onDisk);
  }

  #writeWhatIsNotOnDisk(): void {
    if (this.#isStopped) return;
    for (const trace of this.#parts.dispatcher.traces) {
      const { ticket } = trace;
      ticket.ref ??= this.writeAhead(trace, false);
      if (ticket.ref === null) return;
      trace.expiresAtMs = Number.POSITIVE_INFINITY;
    }
  }
}

/** `null` for what is no JSON: the folder is open to others. */
function formIn(json: string): ChoicesForm | null {
  try {
    return formOf(json);
  } catch {
    return null;
  }
}
