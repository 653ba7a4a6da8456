import { fork } from "node:child_process";
import { once } from "node:events";

/** Starts a server of ours in a process of its own, so that its work is not counted. */
export async function start(script: "sink.ts" | "provider.ts"): Promise<{ url: string; [Symbol.dispose](): void }> {
  const child = fork(new URL(script, import.meta.url), { stdio: ["ignore", "pipe", "inherit", "ipc"] });
  if (!child.stdout) throw new Error(`${script} has no stdout`);
  const [line] = await once(child.stdout, "data");
  return { url: String(line).trim(), [Symbol.dispose]: () => child.disconnect() };
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

export function mean(values: number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
