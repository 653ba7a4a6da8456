/** Counts what happens to every accepted trace, settles its caller exactly once, and is the one door for losses. */
import type { TraceLoggerError } from "../errors.ts";
import { LOSS_REASONS, type LossReason, type TraceLoss, type TraceReceipt } from "../receipts.ts";

export interface LedgerHooks {
  /** Told of every loss once. */
  readonly onLoss: (loss: TraceLoss) => void;
  /** The last pending trace was settled. */
  readonly onIdle: () => void;
}

/** One accepted trace in the ledger. The first call settles it; later ones do nothing. */
export interface Ticket {
  deliver(receipt: { readonly id: string; readonly url: string | null; readonly leftOut: readonly "choices"[] }): void;
  lose(
    loss: { readonly id: string | null; readonly reason: LossReason; readonly error: TraceLoggerError },
    trace: () => unknown,
  ): void;
}

/** What became of the traces that were pending when the watch began. */
export interface Watch {
  /** Resolves when none of them is pending any more. */
  readonly done: Promise<void>;
  readonly counts: { readonly delivered: number; readonly lost: number; readonly pending: number };
}

interface OpenWatch {
  readonly mark: number;
  delivered: number;
  lost: number;
  pending: number;
  readonly resolve: () => void;
}

export class Ledger {
  readonly #hooks: LedgerHooks;
  readonly #watches = new Set<OpenWatch>();
  #accepted = 0;
  #pending = 0;
  #delivered = 0;
  readonly #lost: Record<LossReason, number>;

  constructor(hooks: LedgerHooks) {
    this.#hooks = hooks;
    // `fromEntries` forgets which keys it was given; the list is the union itself.
    this.#lost = Object.fromEntries(LOSS_REASONS.map((reason) => [reason, 0])) as Record<LossReason, number>;
  }

  get delivered(): number {
    return this.#delivered;
  }

  get pending(): number {
    return this.#pending;
  }

  get totals() {
    return { accepted: this.#accepted, delivered: this.#delivered, pending: this.#pending, lost: { ...this.#lost } };
  }

  accept(settled: (receipt: TraceReceipt) => void): Ticket {
    const number = ++this.#accepted;
    this.#pending++;
    let open = true;
    const settle = (receipt: TraceReceipt, count: () => void): void => {
      if (!open) return;
      open = false;
      this.#pending--;
      count();
      settled(receipt);
      this.#tellWatches(number, receipt.status === "delivered" ? "delivered" : "lost");
      if (this.#pending === 0) this.#hooks.onIdle();
    };
    return {
      deliver: (receipt) => settle({ status: "delivered", ...receipt }, () => this.#delivered++),
      lose: (loss, trace) =>
        settle({ status: "lost", ...loss }, () => {
          this.#lost[loss.reason]++;
          this.#hooks.onLoss({ ...loss, trace: trace() });
        }),
    };
  }

  /** Watch everything that is pending now: the watermark of a flush. */
  watch(): Watch {
    let resolve = (): void => {};
    const done = new Promise<void>((resolvePromise) => {
      resolve = resolvePromise;
    });
    const watch: OpenWatch = { mark: this.#accepted, delivered: 0, lost: 0, pending: this.#pending, resolve };
    if (watch.pending === 0) resolve();
    else this.#watches.add(watch);
    return { done, counts: watch };
  }

  #tellWatches(number: number, outcome: "delivered" | "lost"): void {
    for (const watch of this.#watches) {
      if (number > watch.mark) continue;
      watch[outcome]++;
      watch.pending--;
      if (watch.pending > 0) continue;
      this.#watches.delete(watch);
      watch.resolve();
    }
  }
}
