/** A process that leaves at once after a call, by `process.exit`: with a spool, what was said is on disk all the same. */
import { execFile } from "node:child_process";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { openSpool } from "../../src/delivery/spool/spool.ts";
import { decode, readAll, temporaryFolder } from "../delivery/spool/support.ts";
import { chunk, completion, json, sse, startChatServer } from "./chat-server.ts";

test.each(["call", "stream"])(
  "a %s",
  async (kind) => {
    await using provider = await startChatServer();
    provider.script(kind === "call" ? json(completion({ content: "Once" })) : sse(chunk({ content: "Once" })));
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
      ],
    ]);
  },
  30_000,
);
