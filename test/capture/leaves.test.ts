/** A process that leaves at once after a call, by `process.exit`: with a spool, what was said is on disk all the same. */
import { execFile } from "node:child_process";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { openSpool } from "../../src/delivery/spool/spool.ts";
import { toCallMessage } from "../../src/transcript.ts";
import { decode, readAll, temporaryFolder } from "../delivery/spool/support.ts";
import { chunk, completion, endless, json, sse, startChatServer } from "./chat-server.ts";

const replies = {
  call: json(completion({ content: "Once" })),
  stream: sse(chunk({ content: "Once" })),
  midway: endless(chunk({ content: "Once" })),
};

test.each(["call", "stream", "midway"] as const)(
  "%s",
  async (kind) => {
    await using provider = await startChatServer();
    provider.script(replies[kind]);
    const dir = temporaryFolder();
    const program = resolve(import.meta.dirname, "programs/leaves.ts");
    const { NODE_OPTIONS: _, ...env } = process.env;
    // Nobody listens there.
    await promisify(execFile)("node", [program, provider.baseURL, "http://127.0.0.1:9", dir, kind], { env });
    const spool = openSpool({ dir });
    const records = readAll(spool);
    spool.close();
    expect(records.map(({ body }) => JSON.parse(decode(body)).messages)).toEqual([
      [
        { role: "user", content: "Tell me." },
        { role: "assistant", content: "Once" },
        ...(kind === "midway" ? [toCallMessage({ ended: "aborted" })] : []),
      ],
    ]);
  },
  30_000,
);
