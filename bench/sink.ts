/**
 * A loopback endpoint in a process of its own, so that its work is not counted. Prints its URL; sends what it has counted
 * whenever it is sent a message. `node bench/sink.ts [behaviour] [numbers]`:
 * - `store` (default): stores at once
 * - `slow MS`: stores after so many milliseconds
 * - `rate PER_SECOND BURST`: stores what a token bucket lets through, 429 to the rest
 * - `outage KIND MS`: answers with trouble for so long after the first request, then stores
 */
import { createServer, type ServerResponse } from "node:http";

export interface Counts {
  readonly requests: number;
  /** Different traces stored, and how often one was stored again. */
  readonly stored: number;
  readonly again: number;
  /** Requests that were not answered with success. */
  readonly wasted: number;
  /** When the first request came and the last answer was given, by the wall clock. */
  readonly firstRequestAtMs: number;
  readonly lastAnswerAtMs: number;
}

/** Kinds of trouble, for `outage`. */
export const TROUBLES = {
  "503": (response) => response.writeHead(503).end(),
  "429": (response) => response.writeHead(429).end('{"message":"Too Many Requests"}'),
  resets: (response) => response.socket?.destroy(),
  hang: () => {},
  "200-500": (response) =>
    response
      .writeHead(200)
      .end(
        JSON.stringify({ statusCode: 500, body: '{"outcome":"failure","error":"ClientError: SlowDown","url":null}' }),
      ),
} satisfies Record<string, (response: ServerResponse) => unknown>;

type Reply = "store" | ((response: ServerResponse) => unknown);

const BEHAVIOURS: Record<string, (...numbers: string[]) => () => Reply | Promise<Reply>> = {
  store: () => () => "store",
  slow: (ms) => () => new Promise((resolve) => setTimeout(() => resolve("store"), Number(ms))),
  rate: (perSecond, burst) => {
    let tokens = Number(burst);
    let lastMs = performance.now();
    return () => {
      const nowMs = performance.now();
      tokens = Math.min(Number(burst), tokens + ((nowMs - lastMs) * Number(perSecond)) / 1000);
      lastMs = nowMs;
      if (tokens < 1) return TROUBLES["429"];
      tokens--;
      return "store";
    };
  },
  outage: (kind, ms) => {
    const trouble = Object.entries(TROUBLES).find(([name]) => name === kind)?.[1] ?? TROUBLES["503"];
    let endsAtMs: number | undefined;
    return () => {
      endsAtMs ??= performance.now() + Number(ms);
      return performance.now() < endsAtMs ? trouble : "store";
    };
  },
};

function main([behaviour = "store", ...numbers]: string[]): void {
  const answer = JSON.stringify({ outcome: "success", error: null, url: null });
  const ids = new Set<string>();
  const counts = { requests: 0, again: 0, wasted: 0, firstRequestAtMs: 0, lastAnswerAtMs: 0 };
  const replyOf = BEHAVIOURS[behaviour]?.(...numbers);
  if (!replyOf) throw new Error(`There is no behaviour "${behaviour}".`);
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (text) => {
      body += text;
    });
    request.on("end", async () => {
      counts.requests++;
      counts.firstRequestAtMs ||= Date.now();
      const reply = await replyOf();
      counts.lastAnswerAtMs = Date.now();
      if (reply !== "store") {
        counts.wasted++;
        reply(response);
        return;
      }
      // Its id stands in it once; parsing a million traces would cost the client its processor.
      const id = /"id":"([^"]*)"/.exec(body)?.[1] ?? "";
      if (ids.has(id)) counts.again++;
      ids.add(id);
      response.writeHead(200, { "content-type": "application/json" }).end(answer);
    });
  });
  server.listen(0, "127.0.0.1", () => {
    const address = server.address();
    if (typeof address === "object") console.log(`http://127.0.0.1:${address?.port}/prod`);
  });
  process.on("message", () => process.send?.({ ...counts, stored: ids.size } satisfies Counts));
  process.on("disconnect", () => process.exit());
}

if (import.meta.main) main(process.argv.slice(2));
