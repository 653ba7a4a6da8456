/** Which process owns something on disk, and whether it still runs. Node only: loaded on demand, never by the core. */
import { createHash } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import * as process from "node:process";
import { errnoOf } from "./errno.ts";

/** A process, so named that no other one is taken for it. */
export interface Owner {
  /** Which boot of which machine and which container (PID namespace): process ids mean something only within it. */
  readonly place: string;
  readonly pid: number;
  /** When the process started, by the kernel's count: tells it from a later one with the same id. "0" if unknown. */
  readonly startedAt: string;
}

/** What is asked of the operating system about processes; tests put their own here. */
export interface Processes {
  self(): Owner;
  /** `unknown` where only a heartbeat can tell: another container or machine, or no `/proc`. */
  isRunning(owner: Owner): "yes" | "no" | "unknown";
}

export const systemProcesses: Processes = {
  self() {
    return { place: placeOfThisProcess(), pid: process.pid, startedAt: statOf(process.pid)?.startedAt ?? "0" };
  },
  isRunning(owner) {
    if (owner.place !== placeOfThisProcess()) return "unknown";
    if (owner.startedAt === "0") return canBeSignalled(owner.pid) ? "unknown" : "no";
    const stat = statOf(owner.pid);
    return stat !== undefined && stat.startedAt === owner.startedAt && !stat.isDead ? "yes" : "no";
  },
};

let place: string | undefined;

function placeOfThisProcess(): string {
  place ??= createHash("sha256").update(describePlace()).digest("hex").slice(0, 12);
  return place;
}

function describePlace(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8") + readlinkSync("/proc/self/ns/pid");
  } catch {
    return hostname(); // not Linux
  }
}

/** Fields of `/proc/PID/stat` (proc_pid_stat(5)); nothing when there is no such process, or no `/proc`. */
function statOf(pid: number): { readonly isDead: boolean; readonly startedAt: string } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field, the command in parentheses, may itself hold blanks and parentheses.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const [state, startedAt] = [fields[0], fields[19]];
    return state === undefined || startedAt === undefined ? undefined : { isDead: "ZXx".includes(state), startedAt };
  } catch {
    return undefined;
  }
}

function canBeSignalled(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errnoOf(error) !== "ESRCH";
  }
}
