/**
 * `logTrace`, `flush`, `close`, `ready` in every order and overlapping, before an endpoint that answers as a script says:
 * the sums always agree, every call settles, the reports are true, and nothing is left running.
 */
import fc from "fast-check";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { nodeFs, type SpoolFs } from "../../src/delivery/spool/file-system.ts";
import { openSpool } from "../../src/delivery/spool/spool.ts";
import { type FlushReport, TraceLogger, type TraceLoggerOptions, type TraceReceipt } from "../../src/index.ts";
import { PretendProcesses, readAll, startSpool, temporaryFolder } from "../delivery/spool/support.ts";
import { expectBalance, type Reply, replies, said } from "../support.ts";
import { isLong } from "./support.ts";

/** What the endpoint does with a request, one after the other; in the end it stores everything. */
const DOINGS = {
  store: () => replies.stored("t"),
  storeLate: () => replies.stored("t"),
  storeAndReset: (): Reply => "reset",
  reset: (): Reply => "reset",
  hang: (): Reply => "hang",
  unavailable: () => replies.unavailable,
  throttle: () => replies.tooMany,
  wrongKey: () => replies.wrongKey,
  fail: () => replies.failed("ClientError: SlowDown"),
  reject: () => replies.failed("ValueError: Invalid timestamp"),
} as const;
type Doing = keyof typeof DOINGS;

type Step =
  | { readonly do: "log"; readonly isGood: boolean }
  | { readonly do: "flush" | "close"; readonly timeoutMs: number }
  | { readonly do: "ready" | "leave" | "breakDisk" | "mendDisk" }
  | { readonly do: "wait"; readonly ms: number };

interface Plan {
  readonly steps: readonly Step[];
  readonly doings: readonly Doing[];
  readonly overflow: "reject-newest" | "drop-oldest" | "wait";
  readonly maxBytes: number;
  readonly hasSpool: boolean;
  readonly redactsLater: boolean;
  readonly logsLosses: boolean;
  readonly wire: "single" | "batch";
}

const timeoutMs = fc.constantFrom(0, 1, 80, 700, 5_000);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.constant<Step>({ do: "log", isGood: true }) },
  { weight: 1, arbitrary: fc.constant<Step>({ do: "log", isGood: false }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("flush"), timeoutMs }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("close"), timeoutMs }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom("ready", "breakDisk", "mendDisk") }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("wait"), ms: fc.constantFrom(0, 1, 20, 100, 600, 3_000) }) },
);
const plan: fc.Arbitrary<Plan> = fc.record({
  steps: fc
    .tuple(fc.array(step, { maxLength: 40 }), fc.boolean())
    .map(([steps, leaves]): Step[] => (leaves ? [...steps, { do: "leave" }] : steps)),
  doings: fc.array(fc.constantFrom<Doing>(...(Object.keys(DOINGS) as Doing[])), { maxLength: 12 }), // its own keys
  overflow: fc.constantFrom("reject-newest", "drop-oldest", "wait"),
  maxBytes: fc.constantFrom(400, 1_000_000),
  hasSpool: fc.boolean(),
  redactsLater: fc.boolean(),
  logsLosses: fc.boolean(),
  wire: fc.constantFrom("single", "batch"),
});

/** An endpoint as a `fetch`, without sockets, so that time can be turned by hand. */
class ScriptedFetch {
  readonly stored = new Set<string>();
  readonly #doings: Doing[];

  constructor(doings: readonly Doing[]) {
    this.#doings = [...doings];
  }

  readonly fetch: typeof fetch = async (input, init) => {
    const request = new Request(input, init);
    const body = JSON.parse(await request.text());
    const traces: { id: string }[] = Array.isArray(body) ? body : [body];
    const doing = this.#doings.shift() ?? "store";
    const aborted = new Promise<never>((_resolve, reject) => {
      request.signal.addEventListener("abort", () => reject(request.signal.reason), { once: true });
    });
    aborted.catch(() => {});
    if (doing === "storeLate") await Promise.race([aborted, new Promise((resolve) => setTimeout(resolve, 150))]);
    if (doing.startsWith("store")) for (const { id } of traces) this.stored.add(id);
    const reply: Reply = DOINGS[doing]();
    if (reply === "hang") return aborted;
    if (reply === "reset") throw new TypeError("fetch failed");
    const { status, body: text = "" } = reply;
    const isList = Array.isArray(body) && status === 200;
    return new Response(isList ? JSON.stringify(traces.map(() => JSON.parse(JSON.parse(text).body))) : text, {
      status,
    });
  };
}

/** A logger, everything that was called on it, and what came of it. */
class Run {
  readonly #plan: Plan;
  readonly #dir = temporaryFolder();
  readonly #server: ScriptedFetch;
  readonly #logger: TraceLogger;
  readonly #receipts: TraceReceipt[] = [];
  /** Calls that have not settled. */
  readonly #open = new Set<string>();
  readonly #falseReports: FlushReport[] = [];
  readonly #lostIds: (string | null)[] = [];
  readonly #world = new PretendProcesses();
  #kill = (): void => {};
  #isDiskBroken = false;
  #wasDiskBroken = false;
  #isClosing = false;
  #count = 0;
  #calls = 0;
  #relogged = 0;

  constructor(plan: Plan) {
    this.#plan = plan;
    this.#server = new ScriptedFetch(plan.doings);
    this.#logger = new TraceLogger({
      endpoint: "http://scripted.test/",
      fetch: this.#server.fetch,
      wire: plan.wire,
      timeoutMs: 2_000,
      maxConcurrency: 2,
      batch: { maxTraces: 2, maxWaitMs: 50 },
      queue: { maxTraces: 4, maxBytes: plan.maxBytes, overflow: plan.overflow },
      onEvent: () => {},
      onLoss: ({ id }) => {
        this.#lostIds.push(id);
        if (plan.logsLosses && this.#relogged++ < 5) this.#log(true);
      },
      ...(plan.redactsLater ? { redact: (trace) => new Promise((resolve) => setTimeout(resolve, 30, trace)) } : {}),
      ...(plan.hasSpool ? { spool: this.#spool() } : {}),
    });
  }

  take(step: Step): Promise<unknown> | undefined {
    if (step.do === "log") this.#log(step.isGood);
    else if (step.do === "flush" || step.do === "close") this.#report(step.do, step.timeoutMs);
    else if (step.do === "ready") this.#watch("ready", this.#logger.ready());
    else if (step.do === "wait") return vi.advanceTimersByTimeAsync(step.ms);
    else if (step.do === "leave") this.#logger.leave();
    else {
      this.#isDiskBroken = step.do === "breakDisk";
      this.#wasDiskBroken ||= this.#isDiskBroken;
    }
    expectBalance(this.#logger.stats);
    return undefined;
  }

  async end(): Promise<void> {
    this.#report("close", 300);
    await vi.advanceTimersByTimeAsync(20_000);
    this.#watch("ready in the end", this.#logger.ready());
    await vi.advanceTimersByTimeAsync(0);
    expect([...this.#open]).toEqual([]);
    expect(this.#falseReports).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
    expectBalance(this.#logger.stats);
    this.#expectTruth();
  }

  #expectTruth(): void {
    const { stats } = this.#logger;
    const receipts = this.#receipts;
    const idsThatAre = (status: TraceReceipt["status"]) =>
      receipts.flatMap((receipt) => (receipt.status === status && "id" in receipt ? [receipt.id] : []));
    const left = this.#leftOnDisk();
    const { stored } = this.#server;
    expect(idsThatAre("delivered").filter((id) => id === null || !stored.has(id))).toEqual([]);
    expect(stats.accepted).toBe(receipts.length);
    if (this.#wasDiskBroken) {
      // An acknowledgement that could not be written is one trace that comes again, though it has arrived or was dropped.
      const unknown = left.filter((id) => !stored.has(id) && !this.#lostIds.includes(id));
      expect(stats.pending).toBeGreaterThanOrEqual(unknown.length);
      expect(stats.pending).toBeLessThanOrEqual(left.length);
    } else {
      expect(stats.pending).toBe(left.length);
      expect(left.filter((id) => idsThatAre("delivered").includes(id))).toEqual([]);
    }
    expect(this.#lostIds).toHaveLength(Object.values(stats.lost).reduce((sum, count) => sum + count, 0));
    // What had to be read back is delivered or left, and has no second receipt.
    const somewhere = new Set([...stored, ...left, ...this.#lostIds]);
    expect(idsThatAre("spooled").filter((id) => !somewhere.has(id))).toEqual([]);
    if (!this.#plan.hasSpool) expect(stats.delivered).toBe(idsThatAre("delivered").length);
  }

  #log(isGood: boolean): void {
    const id = `trace-${this.#count++}`;
    const trace = said(`said in ${id}`, { id });
    const logged = this.#logger.logTrace(isGood ? trace : { ...trace, messages: [] });
    this.#watch(id, logged, (receipt) => this.#receipts.push(receipt));
  }

  #report(what: "flush" | "close", timeoutMs: number): void {
    const { pending } = this.#logger.stats;
    const isFirst = what === "flush" || !this.#isClosing;
    if (what === "close") this.#isClosing = true;
    this.#watch(`${what} ${this.#count}`, this.#logger[what]({ timeoutMs }), (report) => {
      if (isFirst && sumOf(report) !== pending) this.#falseReports.push(report);
    });
  }

  #watch<T>(call: string, promise: Promise<T>, then: (result: T) => void = () => {}): void {
    const name = `${call} (${this.#calls++})`;
    this.#open.add(name);
    void promise.then((result) => {
      this.#open.delete(name);
      then(result);
    });
  }

  #spool(): TraceLoggerOptions["spool"] {
    const { processes, pid } = this.#world.start();
    this.#kill = () => this.#world.dead.add(pid);
    const isBroken = () => this.#isDiskBroken;
    return {
      dir: this.#dir,
      retryAfterMs: 10,
      open: (options, deps) => openSpool(options, { ...deps, processes, io: fallibleFs(isBroken) }),
    };
  }

  /** What the next process finds. */
  #leftOnDisk(): string[] {
    if (!this.#plan.hasSpool) return [];
    this.#kill();
    return readAll(startSpool(this.#world, { dir: this.#dir }).spool).map(({ id }) => id);
  }
}

function sumOf({ delivered, pending, spooled, lost }: FlushReport): number {
  return delivered + pending + spooled + lost;
}

function fallibleFs(isBroken: () => boolean): SpoolFs {
  return {
    ...nodeFs,
    write(fd, bytes, position) {
      if (isBroken()) throw Object.assign(new Error("no space left"), { code: "ENOSPC" });
      return nodeFs.write(fd, bytes, position);
    },
  };
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(0.5);
});
afterEach(() => {
  vi.useRealTimers();
});

test("whatever is called in whatever order, the sums agree, every call settles, and nothing is left running", async () => {
  await import("../../src/delivery/attempt.ts"); // loading takes real time, which stands still below
  await import("../../src/delivery/batch-posts.ts");
  const listeners = () => process.listenerCount("exit") + process.listenerCount("beforeExit");
  const before = listeners();
  await fc.assert(
    fc.asyncProperty(plan, async (plan) => {
      const run = new Run(plan);
      for (const step of plan.steps) await run.take(step);
      await run.end();
      expect(listeners()).toBe(before);
    }),
    { numRuns: isLong ? 10_000 : 500 },
  );
});
