import { monotonicMs } from "./delivery/alarm.ts";
import { ChoicesNegotiation, decodeTrace } from "./delivery/choices-form.ts";
import { Deferred, type DeferredWork } from "./delivery/deferred.ts";
import { lazyAttempt, singlePosts } from "./delivery/deliver.ts";
import { Dispatcher } from "./delivery/dispatcher.ts";
import { type EndsWithProcess, finishOnSignals, forgetAtEnd, remindAtEnd } from "./delivery/exit.ts";
import { Ledger, type Ticket } from "./delivery/ledger.ts";
import { encodeChecked, type Prepared, prepare } from "./delivery/prepare.ts";
import type { QueuedTrace } from "./delivery/queue.ts";
import { DeliveryError, type DeliveryErrorCode } from "./errors.ts";
import { type ResolvedOptions, resolveOptions, type TraceLoggerOptions } from "./options.ts";
import type {
  FlushReport,
  LossReason,
  SkippedReceipt,
  TraceLoggerEvent,
  TraceLoggerStats,
  TraceLoss,
  TraceReceipt,
} from "./receipts.ts";
import { type DeferringTraceSink, deferTrace } from "./sink.ts";
import type { TraceInput } from "./trace.ts";

/** How long `flush` or `close` may take. */
export interface WaitOptions {
  /** Milliseconds. @default 30_000 for `flush`, 8_000 for `close` */
  readonly timeoutMs?: number | undefined;
}

const FLUSH_TIMEOUT_MS = 30_000;
const CLOSE_TIMEOUT_MS = 8_000;
/** How long a process that has ended otherwise is kept for traces that the endpoint does not take. */
const NATURAL_END_TIMEOUT_MS = 30_000;
/** `ready` waits while the queue is fuller than this share of its limits. */
const READY_BELOW = 0.75;

/**
 * Takes traces, and delivers each of them once and whole. `logTrace`, `flush` and `close` never throw and never
 * reject: what went wrong is in what they give back.
 */
export class TraceLogger implements DeferringTraceSink, EndsWithProcess, AsyncDisposable {
  readonly #options: ResolvedOptions;
  readonly #ledger: Ledger;
  readonly #dispatcher: Dispatcher;
  readonly #negotiation = new ChoicesNegotiation();
  readonly #deferred = new Deferred();
  /** Accepted, and in the hands of an asynchronous `redact`. */
  readonly #redacting = new Map<Ticket, TraceInput>();
  readonly #whenReady: (() => void)[] = [];
  readonly #whenIdle: (() => void)[] = [];
  #closing: Promise<FlushReport> | undefined;
  #isClosed = false;
  #endIsNear = false;
  #skipped = 0;
  #requests = 0;
  #choicesLeftOut = 0;
  #hasPrinted = false;
  #stopSignals: (() => void) | undefined;

  /** @throws {TraceLoggerError} `invalid_option` when an option has the wrong type or range. */
  constructor(options?: TraceLoggerOptions) {
    this.#options = resolveOptions(options);
    const { batch, maxConcurrency, maxAgeMs } = this.#options;
    this.#ledger = new Ledger({ onLoss: (loss) => this.#tellLoss(loss), onIdle: () => this.#onIdle() });
    const attempt = lazyAttempt(this.#options);
    this.#dispatcher = new Dispatcher(
      { batch, maxConcurrency, maxAgeMs },
      {
        deliver: singlePosts({
          attempt: (json, signal) => {
            this.#requests++;
            return attempt(json, signal);
          },
          negotiation: this.#negotiation,
          onForm: (form) => this.#tellEvent({ type: "choices_form", form }),
        }),
        parcel: () => ({ maxTraces: 1, maxBytes: Number.POSITIVE_INFINITY }),
        onEvent: (event) => this.#tellEvent(event),
      },
    );
    if (this.#options.handleSignals) this.#stopSignals = finishOnSignals(() => this.close());
  }

  /**
   * Log one conversation. The input is copied before this returns: changing it afterwards changes nothing.
   *
   * The promise settles when the fate of the trace is known, which may take as long as an outage; there is no need to
   * await it. Never throws, never rejects.
   */
  logTrace(input: TraceInput): Promise<TraceReceipt> {
    const skipped = this.#skipReason();
    if (skipped) {
      this.#skipped++;
      return Promise.resolve<SkippedReceipt>({ status: "skipped", reason: skipped });
    }
    return new Promise((resolve) => this.#accept(input, resolve));
  }

  /** @internal Built-in capture hands over the work of building a trace; see `deferTrace` in sink.ts. */
  [deferTrace](work: DeferredWork): void {
    if (this.#options.enabled) this.#deferred.add(work);
  }

  /**
   * Wait until every trace that was accepted before this call has been delivered or lost, at most `timeoutMs`.
   * Overlapping calls each wait for their own. What is still pending then stays queued.
   */
  async flush(options: WaitOptions = {}): Promise<FlushReport> {
    return withDeadline(options.timeoutMs ?? FLUSH_TIMEOUT_MS, (passed) => this.#drain(passed));
  }

  /**
   * Take no more traces, deliver what there is for at most `timeoutMs`, then report the rest lost. Later calls get the
   * report of the first.
   */
  close(options: WaitOptions = {}): Promise<FlushReport> {
    this.#closing ??= withDeadline(options.timeoutMs ?? CLOSE_TIMEOUT_MS, (passed) => this.#close(passed));
    return this.#closing;
  }

  /** `await using logger = new TraceLogger()`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Resolves when there is room for more: await it between traces to log no faster than the endpoint takes. */
  ready(): Promise<void> {
    if (this.#hasRoom(READY_BELOW)) return Promise.resolve();
    return new Promise((resolve) => this.#whenReady.push(resolve));
  }

  /** A snapshot. Always: `accepted = delivered + pending + (sum of lost)`. */
  get stats(): TraceLoggerStats {
    return {
      ...this.#ledger.totals,
      skipped: this.#skipped,
      requests: this.#requests,
      pendingBytes: this.#dispatcher.load.bytes,
      choicesLeftOut: this.#choicesLeftOut,
      gate: this.#dispatcher.phase,
    };
  }

  /** @internal Called when the process has nothing else left to do. */
  async deliverRest(): Promise<void> {
    if (this.#endIsNear) await this.close({ timeoutMs: 0 });
    this.#endIsNear = true;
    await this.flush({ timeoutMs: NATURAL_END_TIMEOUT_MS });
  }

  /** @internal Called when the process ends at once. */
  leave(): void {
    this.#deferred.runNow();
    const { pending } = this.#ledger;
    if (pending === 0) return;
    if (!this.#options.onLoss) this.#print(`the process ended with ${pending} undelivered traces in memory.`);
    this.#loseRest("exit", "The process ended before the trace was delivered.");
  }

  #onBusy(): void {
    remindAtEnd(this);
    const { waitUntil } = this.#options;
    if (waitUntil) guard(() => waitUntil(new Promise<void>((resolve) => this.#whenIdle.push(resolve))));
  }

  #onIdle(): void {
    forgetAtEnd(this);
    for (const resolve of this.#whenIdle.splice(0)) resolve();
  }

  #skipReason(): SkippedReceipt["reason"] | null {
    const { enabled, sampleRate } = this.#options;
    if (!enabled) return "disabled";
    return sampleRate < 1 && Math.random() >= sampleRate ? "sampled_out" : null;
  }

  #accept(input: TraceInput, settled: (receipt: TraceReceipt) => void): void {
    const ticket = this.#ledger.accept((receipt) => {
      this.#afterSettling(receipt);
      settled(receipt);
    });
    if (this.#isClosed) {
      loseInput(input, ticket, { reason: "closed", message: "logTrace was called after close()." });
      return;
    }
    if (this.#ledger.pending === 1) this.#onBusy();
    const prepared = prepare(input, this.#options);
    if (!(prepared instanceof Promise)) {
      this.#enqueue(prepared, ticket);
      return;
    }
    this.#redacting.set(ticket, input);
    void prepared.then((later) => {
      if (this.#redacting.delete(ticket)) this.#enqueue(later, ticket);
    });
  }

  #enqueue(prepared: Prepared, ticket: Ticket): void {
    const encoded =
      "loss" in prepared ? prepared : encodeChecked(prepared.trace, this.#negotiation.accepted, this.#options);
    if ("loss" in encoded) {
      ticket.lose(encoded.loss, () => encoded.trace);
      return;
    }
    const decode = () => decodeTrace(encoded.json);
    const trace = { ...encoded, ticket, decode, refused: new Set<never>(), acceptedAtMs: monotonicMs() };
    const queued: QueuedTrace = { ...trace, failures: 0, deliveredAtFailure: -1 };
    if (this.#makeRoom(encoded.bytes)) this.#dispatcher.add(queued);
    else lose(queued, "queue_full", "The queue is full: see the `queue` option, and `ready()`.");
  }

  #makeRoom(bytes: number): boolean {
    while (!this.#hasRoom(1, bytes)) {
      const evicted = this.#options.queue.overflow === "drop-oldest" ? this.#dispatcher.evictOldest() : undefined;
      if (!evicted) return false;
      lose(evicted, "queue_full", "Dropped to make room for a newer trace: see `queue.overflow`.");
    }
    return true;
  }

  #hasRoom(share: number, moreBytes = 0): boolean {
    const { traces, bytes } = this.#dispatcher.load;
    const { maxTraces, maxBytes } = this.#options.queue;
    return traces < maxTraces * share && bytes + moreBytes <= maxBytes * share;
  }

  #afterSettling(receipt: TraceReceipt): void {
    if (receipt.status === "delivered") this.#choicesLeftOut += receipt.leftOut.length;
    if (this.#whenReady.length === 0 || !this.#hasRoom(READY_BELOW)) return;
    for (const resolve of this.#whenReady.splice(0)) resolve();
  }

  async #drain(passed: Promise<void>): Promise<FlushReport> {
    const release = this.#dispatcher.hold();
    const building = this.#deferred.finish();
    // Not awaited when there is nothing to build: the watermark is then exactly where flush was called.
    if (building) await Promise.race([building, passed]);
    const watch = this.#ledger.watch();
    this.#dispatcher.cut();
    await Promise.race([watch.done, passed]);
    release();
    const { delivered, pending, lost } = watch.counts;
    return { delivered, pending, spooled: 0, lost, lastError: this.#dispatcher.lastTrouble };
  }

  async #close(passed: Promise<void>): Promise<FlushReport> {
    await Promise.race([this.#deferred.finish(), passed]);
    this.#isClosed = true;
    this.#dispatcher.expedite();
    const report = await this.#drain(passed);
    this.#loseRest("closed", "Not delivered when close() ran out of time.");
    this.#stopSignals?.();
    return { ...report, pending: 0, lost: report.lost + report.pending };
  }

  /** Ends all work, and reports everything that is pending lost. */
  #loseRest(reason: "closed" | "exit", message: string): void {
    const cause = this.#dispatcher.lastTrouble ?? undefined;
    for (const trace of this.#dispatcher.stop()) lose(trace, reason, message, cause);
    const redacting = [...this.#redacting];
    this.#redacting.clear();
    for (const [ticket, input] of redacting) loseInput(input, ticket, { reason, message });
  }

  #tellLoss(loss: TraceLoss): void {
    const { onLoss } = this.#options;
    if (onLoss) guard(() => onLoss(loss));
    else this.#print(`a trace was lost (${loss.reason}): ${loss.error.message} Pass \`onLoss\` to keep such traces.`);
  }

  #tellEvent(event: TraceLoggerEvent): void {
    const { onEvent } = this.#options;
    if (onEvent) guard(() => onEvent(event));
    else if (event.type === "held") this.#print(event.error.message);
  }

  /** The only output of ours: one line, once, when nobody listens. */
  #print(message: string): void {
    if (this.#hasPrinted) return;
    this.#hasPrinted = true;
    // biome-ignore lint/suspicious/noConsole: the one place of the client that prints.
    console.error(`[tracelogger] ${message}`);
  }
}

/** A user's callback must not break delivery, whatever it does. */
function guard(callback: () => unknown): void {
  try {
    const result = callback();
    if (result instanceof Promise) result.catch(() => {});
  } catch {
    // The host's own mistake, in its own callback: there is nobody to tell but the host.
  }
}

function lose(trace: QueuedTrace, code: DeliveryErrorCode & LossReason, message: string, cause?: unknown): void {
  trace.ticket.lose({ id: trace.id, reason: code, error: new DeliveryError(message, { code, cause }) }, trace.decode);
}

function loseInput(input: TraceInput, ticket: Ticket, why: { reason: "closed" | "exit"; message: string }): void {
  const error = new DeliveryError(why.message, { code: why.reason });
  ticket.lose({ id: null, reason: why.reason, error }, () => input);
}

async function withDeadline<T>(timeoutMs: number, work: (passed: Promise<void>) => Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const passed = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs);
  });
  try {
    return await work(passed);
  } finally {
    clearTimeout(timer);
  }
}
