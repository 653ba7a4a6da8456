/**
 * A process that leaves at once after a call, by `process.exit`: with a spool, what was said is on disk all the same. One
 * that ends by itself delivers it.
 */
import { execFile } from "node:child_process";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { openSpool } from "../../src/delivery/spool/spool.ts";
import { toCallMessage } from "../../src/transcript.ts";
import { decode, readAll, temporaryFolder } from "../delivery/spool/support.ts";
import { scriptedEndpoint } from "../support.ts";
import { chunk, completion, endless, json, sse, startChatServer } from "./chat-server.ts";

const replies = {
  call: json(completion({ content: "Once" })),
  stream: sse(chunk({ content: "Once" })),
  midway: endless(chunk({ content: "Once" })),
};

async function run(...args: string[]): Promise<void> {
  const program = resolve(import.meta.dirname, "programs/leaves.ts");
  const { NODE_OPTIONS: _, ...env } = process.env;
  await promisify(execFile)("node", [program, ...args], { env });
}

test.each(["call", "stream", "midway"] as const)(
  "%s",
  async (kind) => {
    await using provider = await startChatServer();
    provider.script(replies[kind]);
    const dir = temporaryFolder();
    await run(provider.baseURL, "http://127.0.0.1:9", kind, dir); // nobody listens there
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

test.each(["ends", "worker"])(
  "%s",
  async (kind) => {
    await using provider = await startChatServer();
    provider.script(replies.call);
    await using endpoint = await scriptedEndpoint();
    await run(provider.baseURL, endpoint.url, kind);
    expect(endpoint.stored).toMatchObject([{ messages: [{ content: "Tell me." }, { content: "Once" }] }]);
  },
  30_000,
);
