/** Counts what happens to every accepted trace, settles its caller exactly once, and is the one door for losses. */
import { DeliveryError, type TraceLoggerError } from "../errors.ts";
import { LOSS_REASONS, type LossReason, type SkippedReceipt, type TraceLoss, type TraceReceipt } from "../receipts.ts";
import type { SpoolRef } from "./spool/spool.ts";

export interface LedgerHooks {
  /** A trace that stands on disk was delivered or lost: the disk need not keep it any longer. */
  readonly acknowledge: (ref: SpoolRef) => void;
  /** Told of every loss once. */
  readonly onLoss: (loss: TraceLoss) => void;
  /** Told whenever a trace has left the memory. */
  readonly onSettled: () => void;
}

/** One accepted trace in the ledger. The first call settles it; later ones do nothing. */
export interface Ticket {
  /** Where the trace stands on disk, `null` when only in memory. Changes when the disk is lost or comes back. */
  ref: SpoolRef | null;
  deliver(receipt: { readonly id: string; readonly url: string | null; readonly leftOut: readonly "choices"[] }): void;
  lose(
    loss: { readonly id: string | null; readonly reason: LossReason; readonly error: TraceLoggerError },
    trace: () => unknown,
  ): void;
  /** It stands on disk, and no longer in memory. It stays pending. */
  spool(id: string): void;
}

/** What became of the traces that were pending when the watch began. */
export interface Watch {
  /** Resolves when all of them are delivered, lost or no longer in our hands. */
  readonly done: Promise<void>;
  readonly counts: Readonly<Record<"delivered" | "lost" | "spooled" | "pending", number>>;
  /** Nobody looks at it any longer. */
  end(): void;
}

interface OpenWatch {
  /** Traces accepted before it: their number, and the place in the order on disk of those that are there. */
  readonly mark: number;
  readonly diskMark: number;
  delivered: number;
  lost: number;
  /** Gone to disk under the eyes of the watch, or into another process's hands: safe, and no longer waited for. */
  spooled: number;
  pending: number;
  readonly resolve: () => void;
}

type EndReceipt = Exclude<TraceReceipt, SkippedReceipt>;

/** A trace's number in the order of acceptance; on disk, in the order there. */
interface Place {
  readonly number: number;
  readonly isDisk: boolean;
}

export class Ledger {
  readonly #hooks: LedgerHooks;
  readonly #watches = new Set<OpenWatch>();
  #accepted = 0;
  #numbers = 0;
  #inMemory = 0;
  #delivered = 0;
  #choicesLeftOut = 0;
  readonly #lost: Record<LossReason, number>;
  /** Traces of ours that stood only on disk, ever, and how many of these have been read back since. */
  #spooled = 0;
  #readBack = 0;

  constructor(hooks: LedgerHooks) {
    this.#hooks = hooks;
    // `fromEntries` forgets which keys it was given; the list is the union itself.
    this.#lost = Object.fromEntries(LOSS_REASONS.map((reason) => [reason, 0])) as Record<LossReason, number>;
  }

  get pending(): number {
    return this.#inMemory + this.onDisk;
  }

  /** Traces of ours that stand only on disk. */
  get onDisk(): number {
    return this.#spooled - this.#readBack;
  }

  get totals() {
    return {
      accepted: this.#accepted,
      delivered: this.#delivered,
      pending: this.pending,
      spooled: this.onDisk,
      lost: { ...this.#lost },
      choicesLeftOut: this.#choicesLeftOut,
    };
  }

  accept(settled: (receipt: TraceReceipt) => void): Ticket {
    this.#accepted++;
    return this.#open({ number: ++this.#numbers, isDisk: false }, settled);
  }

  /** A trace comes back from disk: one of ours, or one that a dead process left, which is accepted only now. */
  readBack(from: "ours" | "adopted"): Ticket {
    if (from === "ours") return this.#open({ number: ++this.#readBack, isDisk: true });
    this.#accepted++;
    return this.#open({ number: ++this.#numbers, isDisk: false });
  }

  /** Traces of ours on disk were destroyed there: nothing is left of them but their number. */
  loseOnDisk(count: number, cause: unknown): void {
    const message = `${count} traces were destroyed on disk: see the spool's \`bad\` folder.`;
    const error = new DeliveryError(message, { code: "spool_lost", cause });
    for (let i = 0; i < count; i++) {
      this.readBack("ours").lose({ id: null, reason: "spool_lost", error }, () => null);
    }
  }

  /** Traces of ours on disk were taken over by another process: from here on they are among the accepted ones there. */
  handOver(count: number): void {
    this.#accepted -= count;
    for (let i = 0; i < count; i++) this.#tell({ number: ++this.#readBack, isDisk: true }, "spooled");
  }

  /** Watch everything that is pending now: the watermark of a flush. */
  watch(): Watch {
    let resolve = (): void => {};
    const done = new Promise<void>((resolvePromise) => {
      resolve = resolvePromise;
    });
    const marks = { mark: this.#numbers, diskMark: this.#spooled };
    const watch: OpenWatch = { ...marks, delivered: 0, lost: 0, spooled: 0, pending: this.pending, resolve };
    if (watch.pending === 0) resolve();
    else this.#watches.add(watch);
    return { done, counts: watch, end: () => this.#watches.delete(watch) };
  }

  #open(place: Place, settled = (_receipt: TraceReceipt): void => {}): Ticket {
    this.#inMemory++;
    return new OpenTicket(place, settled, this.#end);
  }

  readonly #end: OnEnd = ({ place, ref, settled }, receipt, trace) => {
    this.#inMemory--;
    if (receipt.status === "spooled") this.#spooled++;
    else if (ref !== null) this.#hooks.acknowledge(ref);
    if (receipt.status === "delivered") {
      this.#delivered++;
      this.#choicesLeftOut += receipt.leftOut.length;
    }
    if (receipt.status !== "lost") {
      settled(receipt);
      this.#tell(place, receipt.status);
      return;
    }
    const { id, reason, error } = receipt;
    this.#lost[reason]++;
    // First those who watch: `onLoss` is the host's, and may begin a flush, whose watch must not count this one.
    this.#tell(place, "lost");
    this.#hooks.onLoss({ id, reason, error, trace: trace?.() });
    settled(receipt);
  };

  #tell({ number, isDisk }: Place, outcome: EndReceipt["status"]): void {
    for (const watch of this.#watches) {
      if (number > (isDisk ? watch.diskMark : watch.mark)) continue;
      watch[outcome]++;
      watch.pending--;
      if (watch.pending > 0) continue;
      this.#watches.delete(watch);
      watch.resolve();
    }
    this.#hooks.onSettled();
  }
}

type OnEnd = (ticket: OpenTicket, receipt: EndReceipt, trace?: () => unknown) => void;

/** A class, not closures: a million of them are made. */
class OpenTicket implements Ticket {
  ref: SpoolRef | null = null;
  readonly place: Place;
  readonly settled: (receipt: TraceReceipt) => void;
  #onEnd: OnEnd | undefined;

  constructor(place: Place, settled: OpenTicket["settled"], onEnd: OnEnd) {
    this.place = place;
    this.settled = settled;
    this.#onEnd = onEnd;
  }

  deliver(receipt: Parameters<Ticket["deliver"]>[0]): void {
    this.#end({ status: "delivered", ...receipt });
  }

  lose(loss: Parameters<Ticket["lose"]>[0], trace: () => unknown): void {
    this.#end({ status: "lost", ...loss }, trace);
  }

  spool(id: string): void {
    this.#end({ status: "spooled", id });
  }

  #end(receipt: EndReceipt, trace?: () => unknown): void {
    const onEnd = this.#onEnd;
    this.#onEnd = undefined;
    onEnd?.(this, receipt, trace);
  }
}
