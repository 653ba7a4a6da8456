/** What the fault suite shares: the size of a run, the oracle, a server on raw sockets, child processes. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished } from "vitest";
import { openSpool } from "../../src/delivery/spool/spool.ts";
import { TraceLogger, type TraceLoggerOptions, type TraceReceipt } from "../../src/index.ts";
import { eventually, expectBalance, type ScriptedEndpoint, said } from "../support.ts";

/** `FAULTS=long` runs the numbers that are promised, else enough of them to notice a fault. */
export const isLong = process.env["FAULTS"] === "long";

/** A deadline for what another process does: for machines with much else to do, not an expectation. */
export const SLOW_MS = 200_000;

/** A logger, and what became of each trace that was logged through it. */
export function observed(options: TraceLoggerOptions) {
  const logger = new TraceLogger({ onLoss: () => {}, batch: { maxWaitMs: 1 }, ...options });
  const receipts = new Map<string, TraceReceipt>();
  let count = 0;
  const log = (text = `t${count}`): void => {
    const id = `trace-${count++}`;
    void logger.logTrace(said(text, { id })).then((receipt) => receipts.set(id, receipt));
  };
  onTestFinished(() => void logger.close({ timeoutMs: 0 }));
  /** The oracle: the sums agree, and the server holds exactly what was reported delivered. */
  const expectTruth = (storedIds: Iterable<string>): void => {
    expectBalance(logger.stats);
    const delivered = [...receipts].filter(([, { status }]) => status === "delivered").map(([id]) => id);
    expect([...new Set(storedIds)].sort()).toEqual(delivered.sort());
    expect(logger.stats.delivered).toBe(delivered.length);
  };
  return { logger, log, receipts, expectTruth };
}

const success = JSON.stringify({ outcome: "success", error: null, url: null });

/** The bytes of a good answer. */
export const goodAnswer = `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${success.length}\r\n\r\n${success}`;

/** A server without manners: `behave` gets each request whole, with the socket to do to as it likes. */
export async function rawServer(behave: (socket: Socket, count: number) => void) {
  const storedIds: string[] = [];
  const sockets = new Set<Socket>();
  let requests = 0;
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket)).on("error", () => {});
    let text = "";
    socket.setEncoding("utf8").on("data", (chunk) => {
      text += chunk;
      const [head = "", body] = text.split("\r\n\r\n");
      const length = Number(/content-length: (\d+)/i.exec(head)?.[1]);
      if (body === undefined || Buffer.byteLength(body) < length) return;
      text = "";
      const write = socket.write.bind(socket);
      const stored = (): boolean => {
        storedIds.push(JSON.parse(body).id);
        return write(goodAnswer);
      };
      store.set(socket, stored);
      behave(socket, ++requests);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo; // it listens on TCP
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { url: `http://127.0.0.1:${port}/prod`, storedIds, sockets, requests: () => requests };
}

const store = new WeakMap<Socket, () => boolean>();

/** Stores the request that has just come on this socket, and says so. */
export function storeIt(socket: Socket): void {
  store.get(socket)?.();
}

/** A program of `test/faults/programs`, and the lines that it has written. */
export class Program {
  readonly process: ChildProcess;
  readonly lines: string[] = [];
  readonly ended: Promise<unknown[]>;

  constructor(name: string, plan: object, as: { readonly uid?: number } = {}) {
    const script = fileURLToPath(new URL(`programs/${name}.ts`, import.meta.url));
    const { NODE_OPTIONS: _, ...env } = process.env;
    this.process = spawn(process.execPath, [script, JSON.stringify(plan)], {
      stdio: ["ignore", "pipe", "inherit"],
      env,
      ...as,
    });
    this.ended = once(this.process, "close");
    const { stdout } = this.process;
    if (stdout) createInterface({ input: stdout }).on("line", (line) => this.lines.push(line));
    onTestFinished(() => void this.process.kill("SIGKILL"));
  }

  async kill(): Promise<void> {
    this.process.kill("SIGKILL");
    await this.ended;
  }
}

/** The ids that these programs have logged. */
export const idsOf = (programs: readonly Program[]): string[] =>
  programs.flatMap(({ lines }) => lines.filter((line) => /^\w+-\d+$/.test(line)));

export const storedIn = ({ stored }: ScriptedEndpoint): string[] => stored.map(({ id }) => id);

/** The next process: delivers what is left, until nothing is. */
export async function deliverTheRest(endpoint: ScriptedEndpoint, dir: string): Promise<void> {
  const logger = new TraceLogger({ endpoint: endpoint.url, spool: { dir, open: openSpool }, batch: { maxWaitMs: 1 } });
  await eventually(async () => {
    await logger.flush();
    expect(logger.stats.pending).toBe(0);
    expect(readdirSync(dir).filter((name) => name !== "bad")).toHaveLength(1); // its own
  }, SLOW_MS);
  await logger.close();
}

/** The directory under the spool's root that belongs to the one process there. */
export const homeIn = (dir: string): string =>
  join(dir, readdirSync(dir).find((name) => name.startsWith("v1-")) ?? "none");

/** A file system of 1 MiB; `undefined` where this user may not mount one. */
export function mountSmallDisk(): string | undefined {
  const dir = mkdtempSync(join(tmpdir(), "spool-tmpfs-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", dir], { stdio: "ignore" });
  } catch {
    rmSync(dir, { recursive: true });
    return undefined;
  }
  onTestFinished(() => {
    execFileSync("umount", ["-l", dir]);
    rmSync(dir, { recursive: true });
  });
  return dir;
}

/** Fails when a trace is missing from what the server holds. */
export function expectNoneMissing(acceptedIds: readonly string[], storedIds: Iterable<string>): void {
  const stored = new Set(storedIds);
  expect(acceptedIds.filter((id) => !stored.has(id))).toEqual([]);
}
