/**
 * One of several processes that write one folder: `node file-store-writer.ts <folder> <name> <packed?>`. Says "ready", waits for a
 * message, stores `TRACES` traces that the others store too and as many under their ids that are its own, and sends the
 * statuses of both.
 */
import { createEndpoint } from "../../src/endpoint/create-endpoint.ts";
import { fileStore } from "../../src/endpoint/file-store.ts";

const TRACES = 300;
const [, , folder = "", name = "", packed] = process.argv;
const endpoint = createEndpoint({ store: fileStore(folder, { packed: packed === "true" }), sharePages: false });

async function statusOf(id: string, content: string): Promise<number> {
  const trace = { id, model: "m", created: 1_714_857_600, messages: [{ role: "user", content }] };
  const init = { method: "POST", body: JSON.stringify(trace), headers: { "content-type": "application/json" } };
  return (await endpoint(new Request("http://localhost/", init))).status;
}

async function run(): Promise<void> {
  const same: number[] = [];
  const own: number[] = [];
  for (let index = 0; index < TRACES; index++) {
    same.push(await statusOf(`same-${index}`, "the same text"));
    own.push(await statusOf(`own-${index}`, name));
  }
  process.send?.({ same, own }, () => process.disconnect());
}

process.once("message", () => void run());
process.send?.("ready");
