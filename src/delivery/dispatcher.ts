/**
 * The loop: cut batches from the queue, pass them through the gate, send, settle or put back. It knows `deliver`,
 * never HTTP. Nothing here is awaited by a caller: it runs on one alarm, and an answer's arrival.
 */
import { DeliveryError, type TraceLoggerError } from "../errors.ts";
import type { LossReason, TraceLoggerEvent } from "../receipts.ts";
import { Alarm, monotonicMs } from "./alarm.ts";
import { decodeTrace } from "./choices-form.ts";
import type { Deliver, Delivery } from "./deliver.ts";
import { Driver, STRANDED_MS } from "./driver.ts";
import {
  abandoned,
  answered,
  expedited,
  type GateAnswer,
  type GateState,
  openGate,
  started,
  startsAtMs,
} from "./gate.ts";
import { type QueuedTrace, type QueueLimits, TraceQueue } from "./queue.ts";
import type { Trouble } from "./verdict.ts";

export interface DispatcherOptions {
  readonly batch: QueueLimits & { readonly maxWaitMs: number };
  readonly maxConcurrency: number;
  readonly maxAgeMs: number;
}

export interface DispatcherParts {
  readonly deliver: Deliver;
  /** What may leave in one request: one trace, unless the endpoint takes batches. */
  readonly parcel: () => QueueLimits;
  readonly onEvent: (event: TraceLoggerEvent) => void;
}

/** A trace that failed so often while others passed is given up: waiting cannot help it. */
const POISON_FAILURES = 8;

/** What left in one request. */
interface InFlight {
  readonly parcel: readonly QueuedTrace[];
  readonly bytes: number;
  readonly startedAtMs: number;
  readonly driver: Driver | undefined;
}

export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #parts: DispatcherParts;
  readonly #queue = new TraceQueue();
  readonly #inFlight = new Map<AbortController, InFlight>();
  readonly #alarm = new Alarm(() => this.#ring());
  readonly #drivers = new Set<Driver>();
  #gate: GateState;
  #cutAtMs = Number.POSITIVE_INFINITY;
  #inFlightBytes = 0;
  #delivered = 0;
  #lastTrouble: TraceLoggerError | null = null;

  constructor(options: DispatcherOptions, parts: DispatcherParts) {
    this.#options = options;
    this.#parts = parts;
    this.#gate = openGate(options.maxConcurrency);
  }

  /** Traces that wait or are in flight, and their bytes. */
  get load(): { readonly traces: number; readonly bytes: number } {
    let traces = this.#queue.size;
    for (const { parcel } of this.#inFlight.values()) traces += parcel.length;
    return { traces, bytes: this.#queue.bytes + this.#inFlightBytes };
  }

  get phase(): GateState["phase"] {
    return this.#gate.phase;
  }

  /** The newest trouble, `null` when the last answer was a success. */
  get lastTrouble(): TraceLoggerError | null {
    return this.#lastTrouble;
  }

  add(trace: QueuedTrace): void {
    this.#queue.add(trace);
    const { batch } = this.#options;
    const { traces, bytes } = this.#queue.filling;
    if (traces >= batch.maxTraces || bytes >= batch.maxBytes) this.#cutAtMs = Number.NEGATIVE_INFINITY;
    else if (traces === 1) this.#cutAtMs = monotonicMs() + batch.maxWaitMs;
    else return; // the alarm is set already
    this.#arm();
  }

  /** Everything that waits may leave now. */
  cut(): void {
    this.#cutAtMs = Number.NEGATIVE_INFINITY;
    this.#alarm.ringSoon();
  }

  /** Someone waits: the process stays alive for it. Gives back the release. */
  hold(): () => void {
    return this.#alarm.hold();
  }

  /**
   * Sends on behalf of one who waits, until `over`, and ends when all that was begun for it has come back. For runtimes
   * that drop what a request has begun together with the request: see driver.ts.
   */
  async drive(over: Promise<unknown>): Promise<void> {
    const driver = new Driver(over);
    this.#drivers.add(driver);
    this.#cutAtMs = Number.NEGATIVE_INFINITY;
    while (!driver.isOver) {
      const strandedAtMs = this.#takeOver(driver);
      await driver.sleep(Math.min(this.#send(driver), strandedAtMs));
    }
    this.#drivers.delete(driver);
    this.#arm();
    await driver.landed;
  }

  /** Last chance before a close: a closed gate lets one probe through at once. */
  expedite(): void {
    this.#gate = expedited(this.#gate, monotonicMs());
    this.cut();
  }

  /** The traces that wait or are in flight. */
  get traces(): QueuedTrace[] {
    return [...[...this.#inFlight.values()].flatMap(({ parcel }) => parcel), ...this.#queue.all];
  }

  /** The oldest waiting trace, to make room for a newer one. */
  evictOldest(): QueuedTrace | undefined {
    return this.#queue.takeOldest();
  }

  /** Ends the work, in flight and waiting, and hands over every trace that has not been settled. */
  stop(): QueuedTrace[] {
    this.#alarm.set(Number.POSITIVE_INFINITY);
    const left = [...this.#inFlight].flatMap(([controller, flight]) => {
      controller.abort(new DOMException("The logger was closed", "AbortError"));
      return this.#abandon(controller, flight);
    });
    return [...left, ...this.#queue.remove(() => true)];
  }

  /** Nobody waits for this request any more. */
  #abandon(controller: AbortController, { parcel, bytes }: InFlight): readonly QueuedTrace[] {
    this.#inFlight.delete(controller);
    this.#inFlightBytes -= bytes;
    this.#gate = abandoned(this.#gate);
    return parcel;
  }

  /** Those who wait send by themselves; nobody knows how long the request lives in which an alarm rings. */
  #ring(): void {
    if (this.#drivers.size === 0) this.#alarm.set(this.#send(undefined));
    else for (const driver of this.#drivers) driver.wake();
  }

  #arm(): void {
    this.#alarm.set(this.#nextMs());
  }

  /** Starts what may start; gives back when to look again. */
  #send(driver: Driver | undefined): number {
    const nowMs = monotonicMs();
    if (this.#cutAtMs <= nowMs) this.#queue.cut();
    if (this.#gate.phase !== "open") this.#expire(nowMs);
    while (this.#queue.due > 0 && startsAtMs(this.#gate) <= nowMs) this.#start(nowMs, driver);
    return this.#nextMs();
  }

  #nextMs(): number {
    if (this.#queue.filling.traces === 0) this.#cutAtMs = Number.POSITIVE_INFINITY;
    const startMs = this.#queue.due > 0 ? startsAtMs(this.#gate) : Number.POSITIVE_INFINITY;
    return Math.min(this.#cutAtMs, startMs);
  }

  /** Puts back what others have begun and left; gives back when to look again. */
  #takeOver(driver: Driver): number {
    const strandedMs = monotonicMs() - STRANDED_MS;
    let firstMs = Number.POSITIVE_INFINITY;
    for (const [controller, flight] of this.#inFlight) {
      if (flight.driver === driver) continue;
      if (flight.startedAtMs > strandedMs) firstMs = Math.min(firstMs, flight.startedAtMs);
      // Not aborted: it is not ours, and may have arrived.
      else for (const trace of this.#abandon(controller, flight)) this.#queue.putBack(trace);
    }
    return firstMs + STRANDED_MS;
  }

  #start(nowMs: number, driver: Driver | undefined): void {
    const parcel: QueuedTrace[] = [];
    for (const trace of this.#queue.take(this.#parts.parcel())) {
      if (nowMs > trace.expiresAtMs) this.#loseExpired(trace);
      else parcel.push(trace);
    }
    if (parcel.length === 0) return;
    const controller = new AbortController();
    const bytes = parcel.reduce((sum, trace) => sum + trace.bytes, 0);
    this.#gate = started(this.#gate, nowMs);
    this.#inFlight.set(controller, { parcel, bytes, startedAtMs: nowMs, driver });
    this.#inFlightBytes += bytes;
    const { epoch } = this.#gate;
    const landed = this.#parts.deliver(parcel, controller.signal).then((deliveries) => {
      // Stopped or taken over meanwhile: the parcel has been handed over, and what the answer says comes too late.
      if (!this.#inFlight.delete(controller)) return;
      this.#inFlightBytes -= bytes;
      this.#land(parcel, deliveries, epoch);
      if (!driver || this.#drivers.size > 0) this.#ring();
    });
    driver?.began(landed);
  }

  #land(parcel: readonly QueuedTrace[], deliveries: readonly Delivery[], epoch: number): void {
    this.#tellGate(deliveries, epoch);
    parcel.forEach((trace, index) => {
      const delivery = deliveries[index];
      if (delivery) this.#settle(trace, delivery);
      else this.#queue.putBack(trace); // a short reply: whatever was not answered for is sent again
    });
  }

  #settle(trace: QueuedTrace, { verdict, form, isShared = false }: Delivery): void {
    switch (verdict.kind) {
      case "delivered":
        this.#delivered++;
        trace.ticket.deliver({ id: trace.id, url: verdict.url, leftOut: form === "none" ? ["choices"] : [] });
        break;
      case "rejected":
        lose(trace, verdict.tooLarge ? "too_large" : "rejected", verdict.error);
        break;
      default:
        if (isShared || !this.#isPoison(trace, verdict)) this.#queue.putBack(trace);
    }
  }

  /** Counts a failure only when others have passed since the last one, so that an outage is nobody's fault. */
  #isPoison(trace: QueuedTrace, { kind, error: cause }: Trouble): boolean {
    if (kind !== "retry" || this.#delivered === trace.deliveredAtFailure) return false;
    trace.deliveredAtFailure = this.#delivered;
    if (++trace.failures < POISON_FAILURES) return false;
    const message = `The trace failed ${POISON_FAILURES} times while others passed: ${cause.message}`;
    lose(trace, "poison", new DeliveryError(message, { code: "poison", cause }));
    return true;
  }

  #tellGate(deliveries: readonly Delivery[], epoch: number): void {
    const nowMs = monotonicMs();
    const before = this.#gate;
    const trouble = troubleOf(deliveries);
    const kind: GateAnswer["kind"] = trouble?.kind ?? "passed";
    const retryAfterMs = trouble?.retryAfterMs ?? 0;
    this.#gate = answered(before, { kind, epoch, retryAfterMs, nowMs, random: Math.random() });
    this.#lastTrouble = trouble?.error ?? null;
    if (this.#gate.epoch === before.epoch) return;
    const { phase, reopenAtMs } = this.#gate;
    if (!trouble || phase === "open") this.#parts.onEvent({ type: "recovered" });
    else {
      const retryInMs = Math.max(0, reopenAtMs - nowMs);
      this.#parts.onEvent({ type: phase === "held" ? "held" : "backing_off", error: trouble.error, retryInMs });
    }
  }

  #expire(nowMs: number): void {
    for (const trace of this.#queue.remove(({ expiresAtMs }) => nowMs > expiresAtMs)) this.#loseExpired(trace);
  }

  #loseExpired(trace: QueuedTrace): void {
    const message = `The trace could not be delivered within maxAgeMs (${this.#options.maxAgeMs} ms).`;
    lose(trace, "expired", new DeliveryError(message, { code: "expired", cause: this.#lastTrouble ?? undefined }));
  }
}

/** A few failing traces of a list are their own trouble: the endpoint is in it when none of them passes. */
function troubleOf(deliveries: readonly Delivery[]): Trouble | undefined {
  const troubles = deliveries.map(({ verdict }) => verdict).filter(isTrouble);
  return troubles.length === deliveries.length ? troubles[0] : troubles.find(({ kind }) => kind !== "retry");
}

function isTrouble(verdict: Delivery["verdict"]): verdict is Trouble {
  return verdict.kind !== "delivered" && verdict.kind !== "rejected";
}

function lose(trace: QueuedTrace, reason: LossReason, error: TraceLoggerError): void {
  trace.ticket.lose({ id: trace.id, reason, error }, () => decodeTrace(trace.json));
}
