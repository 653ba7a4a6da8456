/** Counts what happens to every accepted trace, settles its caller exactly once, and is the one door for losses. */
import { DeliveryError, type TraceLoggerError } from "../errors.ts";
import { LOSS_REASONS, type LossReason, type TraceLoss, type TraceReceipt } from "../receipts.ts";

export interface LedgerHooks {
  /** Told of every loss once. */
  readonly onLoss: (loss: TraceLoss) => void;
  /** Told whenever a trace has left the memory. */
  readonly onSettled: () => void;
}

/** One accepted trace in the ledger. The first call settles it; later ones do nothing. */
export interface Ticket {
  deliver(receipt: { readonly id: string; readonly url: string | null; readonly leftOut: readonly "choices"[] }): void;
  lose(
    loss: { readonly id: string | null; readonly reason: LossReason; readonly error: TraceLoggerError },
    trace: () => unknown,
  ): void;
  /** It stands on disk, and no longer in memory. It stays pending. */
  spool(id: string): void;
  /** Called when it is delivered or lost, before anybody else is told. */
  onEnd?: () => unknown;
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

/** A trace's place in the order of acceptance, or in the order on disk. */
type Place = { readonly number: number } | { readonly diskNumber: number };

export class Ledger {
  readonly #hooks: LedgerHooks;
  readonly #watches = new Set<OpenWatch>();
  #accepted = 0;
  #numbers = 0;
  #inMemory = 0;
  #delivered = 0;
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
    };
  }

  accept(settled: (receipt: TraceReceipt) => void): Ticket {
    this.#accepted++;
    return this.#open({ number: ++this.#numbers }, settled);
  }

  /** A trace comes back from disk: one of ours, or one that a dead process left, which is accepted only now. */
  readBack(from: "ours" | "adopted"): Ticket {
    if (from === "ours") return this.#open({ diskNumber: ++this.#readBack }, () => {});
    this.#accepted++;
    return this.#open({ number: ++this.#numbers }, () => {});
  }

  /** Traces of ours on disk were destroyed there: nothing is left of them but their number. */
  loseOnDisk(count: number, cause: unknown): void {
    const message = `${count} traces were destroyed on disk: look into the spool's \`bad\` folder for remains.`;
    const error = new DeliveryError(message, { code: "spool_lost", cause });
    for (let i = 0; i < count; i++) {
      this.readBack("ours").lose({ id: null, reason: "spool_lost", error }, () => null);
    }
  }

  /** Traces of ours on disk were taken over by another process: from here on they are among the accepted ones there. */
  handOver(count: number): void {
    this.#accepted -= count;
    for (let i = 0; i < count; i++) this.#tell({ diskNumber: ++this.#readBack }, "spooled");
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

  #open(place: Place, settled: (receipt: TraceReceipt) => void): Ticket {
    this.#inMemory++;
    let isOpen = true;
    const close = (): boolean => {
      const wasOpen = isOpen;
      isOpen = false;
      if (wasOpen) this.#inMemory--;
      return wasOpen;
    };
    const ticket: Ticket = {
      deliver: (receipt) => {
        if (!close()) return;
        ticket.onEnd?.();
        this.#delivered++;
        settled({ status: "delivered", ...receipt });
        this.#tell(place, "delivered");
      },
      lose: (loss, trace) => {
        if (!close()) return;
        ticket.onEnd?.();
        this.#lost[loss.reason]++;
        // First those who watch: `onLoss` is the host's, and may begin a flush, whose watch must not count this one.
        this.#tell(place, "lost");
        this.#hooks.onLoss({ ...loss, trace: trace() });
        settled({ status: "lost", ...loss });
      },
      spool: (id) => {
        if (!close()) return;
        this.#spooled++;
        settled({ status: "spooled", id });
        this.#tell(place, "spooled");
      },
    };
    return ticket;
  }

  #tell(place: Place, outcome: "delivered" | "lost" | "spooled"): void {
    for (const watch of this.#watches) {
      if (!isWatched(place, watch)) continue;
      watch[outcome]++;
      watch.pending--;
      if (watch.pending > 0) continue;
      this.#watches.delete(watch);
      watch.resolve();
    }
    this.#hooks.onSettled();
  }
}

function isWatched(place: Place, watch: OpenWatch): boolean {
  return "number" in place ? place.number <= watch.mark : place.diskNumber <= watch.diskMark;
}
