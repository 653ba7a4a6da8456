/**
 * Logs traces and ends in the way that it is told, with the logger or without it: apart from that, the two are the same
 * program. Each id is on stdout as soon as `logTrace` has returned.
 */
import { writeSync } from "node:fs";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import type { TraceLogger } from "../../../src/index.ts";

export interface EndsPlan {
  readonly way: keyof typeof ways;
  readonly name: string;
  readonly endpoint: string;
  /** `none`: the same program without us. */
  readonly logger: "none" | "memory" | "spool";
  readonly dir: string;
  readonly options?: object;
}

const TRACES = 20;
const plan: EndsPlan = isMainThread ? JSON.parse(process.argv[2] ?? "") : workerData;

const say = (line: string): void => void writeSync(1, `${line}\n`);

async function openLogger(): Promise<TraceLogger | undefined> {
  if (plan.logger === "none") return undefined;
  const { TraceLogger: Logger } = await import("../../../src/index.ts");
  const { openSpool } = await import("../../../src/delivery/spool/spool.ts");
  const spool = plan.logger === "spool" ? { spool: { dir: plan.dir, open: openSpool } } : {};
  return new Logger({ endpoint: plan.endpoint, batch: { maxWaitMs: 1 }, ...spool, ...plan.options });
}

let count = 0;
function log(logger: TraceLogger | undefined): void {
  const id = `${plan.name}-${count++}`;
  void logger?.logTrace({ id, model: "m", messages: [{ role: "user", content: "what was said" }] });
  say(id);
}

function stayAlive(): NodeJS.Timeout {
  return setInterval(() => {}, 1_000);
}

const later = (work: () => void): void => void setTimeout(work, 5);

function ready(): void {
  stayAlive();
  say("ready");
  parentPort?.postMessage("ready");
}

/** The worker runs this program again, in the way that stands behind the colon. */
function work(then: (worker: Worker) => void = () => {}): void {
  const worker = new Worker(new URL(import.meta.url), { workerData: { ...plan, way: plan.way.split(": ")[1] } });
  worker.on("exit", (code) => say(`the worker ended with ${code}`));
  worker.on("message", () => then(worker));
}

const ways = {
  "the end": () => {},
  "the end with an exit code": () => {
    process.exitCode = 5;
  },
  "process.exit": () => process.exit(3),
  "process.exit in a timer": () => later(() => process.exit(3)),
  "process.exit in beforeExit": () => process.on("beforeExit", () => process.exit(4)),
  "process.exit in an exit listener": () => process.on("exit", () => process.exit(9)),
  "an exit code from an exit listener": () =>
    process.on("exit", (code) => {
      say(`exit ${code}`);
      process.exitCode = 8;
    }),
  "more traces in beforeExit": (logger) => process.once("beforeExit", () => log(logger)),
  "more traces in an exit listener": (logger) => process.on("exit", () => log(logger)),
  "an uncaught exception": () => {
    throw new Error("the host's own");
  },
  "an uncaught exception in a timer": () =>
    later(() => {
      throw new Error("the host's own");
    }),
  "an uncaught exception that the host handles": () => {
    process.on("uncaughtException", (error) => {
      say(`caught: ${error.message}`);
      process.exit(6);
    });
    throw new Error("the host's own");
  },
  "an unhandled rejection": () => void Promise.reject(new Error("the host's own")),
  "an unhandled rejection that the host handles": () => {
    process.on("unhandledRejection", () => say("handled"));
    void Promise.reject(new Error("the host's own"));
  },
  "an await that never ends": () => new Promise(() => {}),
  "a signal of its own": () => {
    stayAlive();
    process.kill(process.pid, "SIGTERM");
  },
  waits: ready,
  "a handler of the host that ends it": (logger) => {
    process.on("SIGTERM", () => void Promise.resolve(logger?.close()).then(() => process.exit(7)));
    ready();
  },
  "a handler of the host that lives on": (logger) => {
    const alive = stayAlive();
    process.once("SIGTERM", () => {
      // Once more round the loop, after what the logger does when it has closed.
      void Promise.resolve(logger?.close()).then(() =>
        later(() => {
          clearInterval(alive);
          say("lived on");
        }),
      );
    });
    say("ready");
  },
  "a worker: the end": () => work(),
  "a worker: process.exit": () => work(),
  "a worker: an uncaught exception": () => work(),
  "a worker: waits": () => work((worker) => void worker.terminate()),
  "the main thread ends a worker: waits": () => work(() => process.exit(2)),
} satisfies Record<string, (logger: TraceLogger | undefined) => unknown>;

const isParent = plan.way.includes(": ");
const logger = isParent ? undefined : await openLogger();
if (!isParent) for (let i = 0; i < TRACES; i++) log(logger);
await ways[plan.way](logger);
