/** A process that makes calls when it is told to, and answers when they are made: of wrapper-instructions.ts. */
import { type Calls, makeCalls, startClient } from "./wrapper-calls.ts";

const [kind = "", baseURL = ""] = process.argv.slice(2);
const client = startClient(kind, baseURL, "http://127.0.0.1:9"); // nothing is sent there

process.on("message", async (calls: Calls) => {
  process.send?.(await makeCalls(client, calls));
});
process.on("disconnect", () => process.exit());
process.send?.("ready");
