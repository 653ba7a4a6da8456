/** After `close` nothing of ours is left: no timer, socket, listener or open file, and the process ends by itself. */
import { expect, test } from "vitest";
import { temporaryFolder } from "../delivery/spool/support.ts";
import { type Reply, replies, scriptedEndpoint } from "../support.ts";
import type { ClosesPlan, Held } from "./programs/closes.ts";
import { Program } from "./support.ts";

test.each<[string, Reply | undefined, Partial<ClosesPlan>]>([
  ["everything delivered", undefined, {}],
  ["nothing ever logged", undefined, { traces: 0 }],
  ["an endpoint in trouble", replies.unavailable, {}],
  ["a wrong key", replies.wrongKey, {}],
  ["requests under way", "hang", {}],
  ["a full queue", "hang", { traces: 500, options: { queue: { maxTraces: 20 } } }],
  [
    "traces waiting outside the queue",
    "hang",
    { traces: 500, options: { queue: { maxTraces: 20, overflow: "wait" } } },
  ],
  ["batches", "hang", { options: { wire: "batch" } }],
])("%s", async (_name, reply, more) => {
  await using endpoint = await scriptedEndpoint(() => reply);
  const plans = [{}, { dir: temporaryFolder() }].map(
    (where): ClosesPlan => ({ endpoint: endpoint.url, traces: 30, timeoutMs: 300, ...where, ...more }),
  );
  const programs = plans.map((plan) => new Program("closes", plan));
  for (const program of programs) {
    expect(await program.ended).toEqual([0, null]);
    expect(program.lines).toHaveLength(1); // it was not held open
    const { before, after }: { before: Held; after: Held } = JSON.parse(program.lines[0] ?? "");
    expect(after).toEqual(before);
  }
});
