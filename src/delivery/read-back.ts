/** Traces that stand only on disk come back into memory when there is room, and what dead processes left comes in. */
import { DeliveryError } from "../errors.ts";
import { Alarm, monotonicMs } from "./alarm.ts";
import { type ChoicesForm, formOf } from "./choices-form.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { Ledger } from "./ledger.ts";
import type { QueueLimits } from "./queue.ts";
import { lose, toQueued } from "./queued.ts";
import type { Spool, SpooledRecord } from "./spool/spool.ts";

export interface ReadBackParts {
  readonly ledger: Ledger;
  readonly dispatcher: Dispatcher;
  readonly queue: QueueLimits;
  /** Is the queue less full than this share of its limits? */
  readonly hasRoom: (share: number) => boolean;
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

export class ReadBack {
  readonly #spool: Spool;
  readonly #parts: ReadBackParts;
  readonly #lookAround = new Alarm(() => this.#adopt());
  readonly #refillAgain = new Alarm(() => this.refill());
  #refillWaitMs = REFILL_AGAIN_MS.soonest;
  #isRefilling = false;
  #isStopped = false;

  /** Looks around at once. */
  constructor(spool: Spool, parts: ReadBackParts) {
    this.#spool = spool;
    this.#parts = parts;
    this.#lookAround.set(monotonicMs());
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

  stop(): void {
    this.#isStopped = true;
    for (const alarm of [this.#lookAround, this.#refillAgain]) alarm.set(Number.POSITIVE_INFINITY);
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
}

/** `null` for what is no JSON: the folder is open to others. */
function formIn(json: string): ChoicesForm | null {
  try {
    return formOf(json);
  } catch {
    return null;
  }
}
