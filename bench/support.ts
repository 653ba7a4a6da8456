import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import type { Counts } from "./sink.ts";

export interface Started extends Disposable {
  readonly url: string;
  /** What a sink has counted. */
  counts(): Promise<Counts>;
}

/** Starts a server of ours in a process of its own, so that its work is not counted. */
export async function start(script: "sink.ts" | "provider.ts", ...args: (string | number)[]): Promise<Started> {
  const child = fork(new URL(script, import.meta.url), args.map(String), {
    stdio: ["ignore", "pipe", "inherit", "ipc"],
    execArgv: [], // a profiler looks at the client
  });
  const url = await firstLine(child);
  return {
    url,
    async counts() {
      child.send("counts");
      const [counts] = await once(child, "message");
      return counts;
    },
    [Symbol.dispose]: () => child.disconnect(),
  };
}

/** Runs one of our programs to its end; gives back when that was, by the wall clock, and what it printed as JSON. */
export async function run(script: string, args: readonly (string | number)[], execArgv: readonly string[] = []) {
  const child = fork(new URL(script, import.meta.url), args.map(String), {
    stdio: ["ignore", "pipe", "inherit", "ipc"],
    execArgv: [...execArgv],
  });
  let printed = "";
  child.stdout?.setEncoding("utf8").on("data", (text) => {
    printed += text;
  });
  let endedAtMs = 0;
  child.on("exit", () => {
    endedAtMs = Date.now();
  });
  await once(child, "close");
  return { endedAtMs, printed };
}

async function firstLine({ stdout }: ChildProcess): Promise<string> {
  if (!stdout) throw new Error("The child has no stdout.");
  const [line] = await once(stdout, "data");
  return String(line).trim();
}

export const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

export const rssMiB = () => process.memoryUsage.rss() / 1024 ** 2;

/** Looks at the memory again and again. */
export function watchRss() {
  let peak = rssMiB();
  const look = () => {
    peak = Math.max(peak, rssMiB());
  };
  const timer = setInterval(look, 20);
  timer.unref();
  return { look, peakMiB: () => Math.round(peak), stop: () => clearInterval(timer) };
}

/** A conversation whose JSON has about `bytes` bytes. */
export function traceOf(bytes: number) {
  const half = "Lorem ipsum dolor sit amet. ".repeat(Math.ceil(bytes / 56)).slice(0, Math.max(0, (bytes - 220) / 2));
  return {
    model: "gpt-5",
    messages: [
      { role: "user" as const, content: half },
      { role: "assistant" as const, content: half },
    ],
  };
}

export function median(values: number[]): number {
  return quantile(values, 0.5);
}

export function quantile(values: number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** By how much something of this ratio is more than the other. */
export function percentMore(ratio: number): string {
  return `${((ratio - 1) * 100).toFixed(1)} %`;
}
