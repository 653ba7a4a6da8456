/** The traces that stand on disk, in memory too or only there: written ahead, and what becomes of them with the disk. */
import type { TraceLoggerEvent } from "../receipts.ts";
import type { ReadBack, ReadBackParts } from "./read-back.ts";
import type { Spool, SpoolEvent, SpoolRef } from "./spool/spool.ts";

export type OpenDisk = (onEvent: (event: SpoolEvent) => void) => Spool;

export interface OnDiskParts extends ReadBackParts {
  readonly open: OpenDisk;
  readonly onEvent: (event: TraceLoggerEvent) => void;
}

export class OnDisk {
  readonly #parts: OnDiskParts;
  readonly #spool: Spool;
  /** Loaded on demand: who has no spool need not carry it. */
  #readBack: ReadBack | undefined;
  #isStopped = false;

  constructor(parts: OnDiskParts) {
    this.#parts = parts;
    const spool = parts.open((event) => this.#onEvent(event));
    this.#spool = spool;
    import("./read-back.ts").then(
      (loaded) => {
        if (!this.#isStopped) this.#readBack = new loaded.ReadBack(spool, parts);
      },
      // What stands on disk is left to the next process.
      (cause) => parts.onEvent({ type: "spool", event: { type: "degraded", cause } }),
    );
  }

  /** Traces of ours on disk, those included that are in memory too. */
  get count(): number {
    const { ledger, dispatcher } = this.#parts;
    return ledger.onDisk + dispatcher.traces.filter((trace) => trace.ticket.ref !== null).length;
  }

  /** On disk before `logTrace` returns; `handOut`: to be read back later. `null` when it cannot write. */
  writeAhead({ id, json }: { readonly id: string; readonly json: string }, handOut: boolean): SpoolRef | null {
    return this.#spool.append({ id, body: json, acceptedAtMs: Date.now() }, { handOut });
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
    this.#readBack?.refill();
  }

  /** Nothing more is read back or adopted; what is in memory may still be written. */
  stop(): void {
    this.#isStopped = true;
    this.#readBack?.stop();
  }

  close(): void {
    this.#spool.close();
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
