/** As Jest runs it: JavaScript's own classes are the realm's, while what comes from Node is of another one. */
import { mkdtempSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { compileFunction, createContext, runInContext } from "node:vm";
import { expect, test } from "vitest";
import type * as SpoolModule from "../../src/delivery/spool/spool.ts";
import type * as Endpoint from "../../src/endpoint/index.ts";
import type * as Server from "../../src/endpoint/node.ts";
import type * as Package from "../../src/index.ts";
import { scriptedEndpoint } from "../support.ts";

const require = createRequire(import.meta.url);
const ofJavaScript: readonly string[] = runInContext("Object.getOwnPropertyNames(globalThis)", createContext());
const ofNode = Object.getOwnPropertyNames(globalThis).filter((name) => !ofJavaScript.includes(name));

/** A global object of its own, with what Jest's `testEnvironment: "node"` takes over from Node. */
const realm = createContext(
  Object.fromEntries([...ofNode, "Uint8Array", "ArrayBuffer"].map((name) => [name, Reflect.get(globalThis, name)])),
);

function load<Loaded>(name: string, parsingContext = realm): Loaded {
  const path = fileURLToPath(new URL(`../../dist/${name}.cjs`, import.meta.url));
  const module = { exports: {} };
  const parameters = ["module", "exports", "require", "__filename"];
  const run = compileFunction(readFileSync(path, "utf8"), parameters, { filename: path, parsingContext });
  run(module, module.exports, require, path);
  return module.exports as Loaded; // what that file exports
}

const { TraceLogger, tracingFetch } = load<typeof Package>("index");
const trace = { model: "gpt-5", messages: [{ role: "user" as const, content: "hello" }] };
const newFolder = () => join(mkdtempSync(join(tmpdir(), "tracelogger-")), "a/b");

test("Node's errors are of another realm", () => {
  expect(runInContext("Error", realm)).not.toBe(Error);
});

test.each([false, true])("the endpoint stores into files, packed: %s", async (packed) => {
  const { fileStore } = load<typeof Endpoint>("endpoint");
  const { startServer } = load<typeof Server>("endpoint-node");
  const server = await startServer({ store: fileStore(newFolder(), { packed }), port: 0 });
  const logger = new TraceLogger({ endpoint: server.url });
  const sent = logger.logTrace(trace);
  await logger.close({ timeoutMs: 3_000 });
  const receipt = await sent;
  expect(receipt).toMatchObject({ status: "delivered" });
  expect(await (await fetch(`${server.url}/no-such-page`)).status).toBe(404);
  await server.close();
});

test("a spool keeps what the endpoint does not take, and delivers it later", async () => {
  const { openSpool } = load<typeof SpoolModule>("spool");
  const spool = { dir: newFolder(), open: openSpool };
  const before = new TraceLogger({ endpoint: "http://127.0.0.1:9", spool });
  void before.logTrace(trace);
  expect(await before.close({ timeoutMs: 100 })).toMatchObject({ spooled: 1, lost: 0 });
  await using endpoint = await scriptedEndpoint();
  const after = new TraceLogger({ endpoint: endpoint.url, spool });
  void after.logTrace(trace);
  await expect.poll(() => endpoint.stored.length).toBe(2);
  await after.close(); // not by `await using`: in Node 22 another realm has no Symbol.asyncDispose
});

test("errors of another realm are told with their names, codes and causes", async () => {
  await using endpoint = await scriptedEndpoint();
  const logger = new TraceLogger({ endpoint: endpoint.url });
  const fetch = tracingFetch(logger, { captureErrors: true });
  await expect(fetch("http://127.0.0.1:9/chat/completions", { method: "POST", body: "{}" })).rejects.toThrow();
  await logger.close();
  expect(endpoint.stored[0]?.messages.at(-1)?.content).toContain('"name":"TypeError"');
  expect(endpoint.stored[0]?.messages.at(-1)?.content).toContain("/error/cause");
});

test("a spool is opened by the name of its folder also where there is a document, as in Electron", async () => {
  const names = Object.getOwnPropertyNames(realm).map((name) => [name, Reflect.get(realm, name)]);
  const document = { currentScript: null, baseURI: "http://localhost/" };
  const { TraceLogger } = load<typeof Package>("index", createContext({ ...Object.fromEntries(names), document }));
  const logger = new TraceLogger({ endpoint: "http://127.0.0.1:9", spool: newFolder() });
  void logger.logTrace(trace);
  expect(await logger.close({ timeoutMs: 100 })).toMatchObject({ spooled: 1, lost: 0 });
});
