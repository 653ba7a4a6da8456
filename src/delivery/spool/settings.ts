import { invalidOption, invalidValue } from "../../errors.ts";
import { type Processes, systemProcesses } from "../../processes.ts";
import type { SpoolEvent } from "./events.ts";
import { nodeFs, type SpoolFs } from "./file-system.ts";

export interface SpoolOptions {
  /** The root folder, shared by all processes that deliver to the same endpoint. Made when absent, for this user only. */
  readonly dir: string;
  /** Most bytes of traces this process keeps on disk, adopted ones included. @default 1 GiB */
  readonly maxBytes?: number | undefined;
  /** Traces older than this come back marked `isExpired`. @default 7 days */
  readonly maxAgeMs?: number | undefined;
  /**
   * When the disk itself must have the trace: `always` before `append` returns, `interval` within a second, off this
   * thread; `never` whenever the operating system likes. A killed process loses nothing with any of them: this is for
   * power loss. @default "interval"
   */
  readonly fsync?: "always" | "interval" | "never" | undefined;
  /** A segment file is closed at this size; it is deleted when all its traces are delivered. @default 8 MiB */
  readonly segmentBytes?: number | undefined;
  /** An owner silent for so long is taken for dead, where its process cannot be looked up. @default 2 minutes */
  readonly staleAfterMs?: number | undefined;
  /** After a failed write, the next is tried no sooner than this. @default 1 second */
  readonly retryAfterMs?: number | undefined;
}

/** The spool's outside world. */
export interface SpoolDeps {
  readonly io: SpoolFs;
  readonly processes: Processes;
  /** The wall clock, for ages and heartbeats. */
  readonly now: () => number;
  /** A clock that never jumps, for waiting. */
  readonly monotonicMs: () => number;
  /** Calls the function again and again without holding the process open; gives back how to stop. */
  readonly every: (intervalMs: number, call: () => void) => () => void;
  readonly onEvent: (event: SpoolEvent) => void;
}

/** The options with every default filled in. */
export type SpoolSettings = Required<{ [K in keyof SpoolOptions]: NonNullable<SpoolOptions[K]> }>;

const LEAST: Readonly<Record<keyof SpoolOptions, 0 | 1 | undefined>> = {
  dir: undefined,
  fsync: undefined,
  maxBytes: 1,
  maxAgeMs: 1,
  segmentBytes: 1,
  staleAfterMs: 0,
  retryAfterMs: 0,
};

/** @throws {TraceLoggerError} `invalid_option` */
function check(options: SpoolOptions): void {
  for (const [name, value] of Object.entries<unknown>({ ...options })) {
    if (!Object.hasOwn(LEAST, name))
      throw invalidOption(`There is no option \`spool.${name}\`. There are: ${Object.keys(LEAST).join(", ")}, open.`);
    const least = LEAST[name as keyof SpoolOptions]; // as just looked up
    const isNumber = typeof value === "number" && least !== undefined && value >= least;
    if (least !== undefined && value !== undefined && !isNumber)
      throw invalidValue(`spool.${name}`, `a number from ${least}`, value);
  }
  if (![undefined, "always", "interval", "never"].includes(options.fsync))
    throw invalidValue("spool.fsync", '"always", "interval" or "never"', options.fsync);
}

/** @throws {TraceLoggerError} `invalid_option` */
export function settingsOf(options: SpoolOptions): SpoolSettings {
  check(options);
  const maxBytes = options.maxBytes ?? 1024 ** 3;
  return {
    dir: options.dir,
    maxBytes,
    maxAgeMs: options.maxAgeMs ?? 7 * 24 * 3600 * 1000,
    fsync: options.fsync ?? "interval",
    segmentBytes: Math.min(options.segmentBytes ?? 8 * 1024 ** 2, maxBytes / 8),
    staleAfterMs: options.staleAfterMs ?? 120_000,
    retryAfterMs: options.retryAfterMs ?? 1000,
  };
}

export const defaultDeps: SpoolDeps = {
  io: nodeFs,
  processes: systemProcesses,
  now: Date.now,
  monotonicMs: () => performance.now(),
  every(intervalMs, call) {
    const timer = setInterval(call, intervalMs);
    timer.unref();
    return () => clearInterval(timer);
  },
  onEvent: () => {},
};
