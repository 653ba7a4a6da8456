/** `send`, `check` and `drain`, as real processes. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setImmediate } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test, vi } from "vitest";
import { openSpool } from "../../src/delivery/spool/spool.ts";
import { TraceLogger } from "../../src/index.ts";
import { temporaryFolder } from "../delivery/spool/support.ts";
import { replies, said, scriptedEndpoint } from "../support.ts";

vi.setConfig({ testTimeout: 60_000 }); // a process each, from source

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

async function tracelogger(args: readonly string[], stdin = "") {
  const child = spawn(process.execPath, [MAIN, ...args]);
  const printed = { out: "", err: "" };
  child.stdout.on("data", (text) => {
    printed.out += text;
  });
  child.stderr.on("data", (text) => {
    printed.err += text;
  });
  child.stdin.end(stdin);
  const [code] = await once(child, "close");
  return { code, ...printed };
}

function fileOf(text: string | Uint8Array, name = "traces.json"): string {
  const path = join(temporaryFolder(), name);
  writeFileSync(path, text);
  return path;
}

test("send delivers a trace, a list of traces, and a trace a line, from files and from stdin", async () => {
  await using endpoint = await scriptedEndpoint();
  const single = fileOf(JSON.stringify(said("single"), null, 2));
  const list = fileOf(JSON.stringify([said("in"), said("a list")]));
  const lines = [said("a"), said("b")].map((trace) => JSON.stringify(trace)).join("\n");
  const run = await tracelogger(["send", single, list, "-", "--endpoint", endpoint.url], lines);
  expect(run).toEqual({ code: 0, out: "5 of 5 traces delivered.\n", err: "" });
  expect(endpoint.stored).toHaveLength(5);
});

test("send says which traces did not arrive, and why", async () => {
  await using endpoint = await scriptedEndpoint();
  const file = fileOf(JSON.stringify([said("good"), { model: "m", messages: [] }]));
  const run = await tracelogger(["send", file, "--endpoint", endpoint.url]);
  expect(run).toMatchObject({ code: 1, out: "1 of 2 traces delivered.\n" });
  expect(run.err).toContain(`${file}:2: not delivered (invalid): `);
});

test("send delivers the lines that are traces, and names the others without a word of them", async () => {
  await using endpoint = await scriptedEndpoint();
  const line = (content: string) => Buffer.from(`${JSON.stringify(said(content))}\n`);
  const torn = Buffer.from('{"model":"s3cret","mess\n');
  const latin1 = Buffer.from(`${JSON.stringify(said("s\u00e9cret"))}\n`, "latin1");
  const file = fileOf(Buffer.concat([torn, line("a"), line("b\u2028c"), latin1, line("d")]), "mixed.ndjson");
  const run = await tracelogger(["send", file, "--endpoint", endpoint.url]);
  expect(run).toMatchObject({ code: 1, out: "3 of 5 traces delivered.\n" });
  expect(run.err).toBe(
    `${file}:1 is no JSON. Each line must be one trace, or the whole file one value.\n` +
      `${file}:4 is no UTF-8. Save the file in this encoding.\n`,
  );
  expect(endpoint.stored.map(({ messages: [message] }) => message?.content).sort()).toEqual(["a", "b\u2028c", "d"]);
});

test("send sends what came before a file that breaks off, and nothing where one cannot be opened", async () => {
  await using endpoint = await scriptedEndpoint();
  const file = fileOf(JSON.stringify(said("good")));
  const missing = await tracelogger(["send", file, "/nowhere.json", "--endpoint", endpoint.url]);
  expect(missing).toMatchObject({ code: 1, out: "", err: expect.stringContaining("Cannot read /nowhere.json") });
  expect(endpoint.stored).toEqual([]);
  const folder = await tracelogger(["send", file, temporaryFolder(), "--endpoint", endpoint.url]);
  expect(folder).toMatchObject({ code: 1, out: "1 of 1 traces delivered.\n", err: expect.stringContaining("EISDIR") });
});

test("send gives up on a file of any length when the endpoint takes nothing", async () => {
  await using endpoint = await scriptedEndpoint(() => replies.unavailable);
  const file = fileOf(`${JSON.stringify(said("one of many"))}\n`.repeat(11_000), "many.ndjson");
  const run = await tracelogger(["send", file, "--endpoint", endpoint.url, "--timeout", "1"]);
  expect(run.code).toBe(1);
  expect(run.err).toMatch(/many\.ndjson:\d+ and what follows was not sent\./);
});

test("stdin may come slowly, and begin as Windows begins files", async () => {
  const child = spawn(process.execPath, [MAIN, "check", "-"], { stdio: ["pipe", "pipe", "inherit"] });
  const printed = text(child.stdout);
  const trace = JSON.stringify(said("good"));
  for (const piece of ["\ufeff", trace.slice(0, 9), trace.slice(9), "\r\n", trace]) {
    child.stdin.write(piece);
    await setImmediate();
  }
  child.stdin.end();
  expect(await printed).toBe("2 of 2 traces are good.\n");
});

test("names that strangers chose do not move the terminal's cursor", async () => {
  const file = fileOf(JSON.stringify(said("good", { "\u001b[2Jname": 1 })));
  await using endpoint = await scriptedEndpoint();
  for (const command of [["check"], ["send", "--endpoint", endpoint.url]])
    expect((await tracelogger([...command, file])).err).toContain(": ?[2Jname: expected");
});

test("send says why nothing arrived, down to what the system said", async () => {
  const endpoint = await scriptedEndpoint();
  await endpoint[Symbol.asyncDispose]();
  const file = fileOf(JSON.stringify(said("good")));
  const run = await tracelogger(["send", file, "--endpoint", endpoint.url, "--timeout", "1"]);
  expect(run).toMatchObject({ code: 1, out: "0 of 1 traces delivered.\n" });
  expect(run.err).toMatch(/could not be reached.*\(connect ECONNREFUSED 127\.0\.0\.1:\d+\)/);
});

test("send says at once what somebody has to mend", async () => {
  await using endpoint = await scriptedEndpoint(() => replies.wrongKey);
  const file = fileOf(JSON.stringify(said("good")));
  const run = await tracelogger(["send", file, "--endpoint", endpoint.url, "--timeout", "1"]);
  expect(run.code).toBe(1);
  expect(run.err.split("\n")).toEqual([
    expect.stringContaining("refuses the API key"),
    expect.stringContaining("not delivered (closed)"),
    "",
  ]);
});

test("check names what is wrong where, and sends nothing", async () => {
  const good = fileOf(`${JSON.stringify(said("good"))}\n`, "good.ndjson");
  expect(await tracelogger(["check", good])).toEqual({ code: 0, out: "1 of 1 traces are good.\n", err: "" });
  const bad = fileOf(`${JSON.stringify(said("good"))}\n${JSON.stringify({ model: 1, messages: [] })}\n`, "bad.ndjson");
  const run = await tracelogger(["check", bad]);
  expect(run).toMatchObject({ code: 1, out: "1 of 2 traces are good.\n" });
  expect(run.err).toContain(`${bad}:2: model: expected`);
  const torn = fileOf('{"model": "m"\n{"mod', "torn.ndjson");
  expect(await tracelogger(["check", torn])).toMatchObject({
    code: 1,
    err: expect.stringContaining(`${torn}:1 is no JSON`),
  });
  const line = JSON.stringify(said("good"));
  const mixed = await tracelogger(["check", fileOf([line, "{", "}", line].join("\n"), "mixed.ndjson")]);
  expect(mixed).toMatchObject({ code: 1, out: "2 of 4 traces are good.\n" });
  expect(mixed.err.match(/mixed\.ndjson:[23] is no JSON/g)).toHaveLength(2);
  expect((await tracelogger(["check", "/nowhere.json"])).err).toContain("Cannot read /nowhere.json");
});

/** A folder with five traces that nobody has delivered. */
async function leftFolder(): Promise<string> {
  const dir = temporaryFolder();
  const logger = new TraceLogger({ endpoint: "http://127.0.0.1:9/", spool: { dir, open: openSpool } });
  for (let i = 0; i < 5; i++) void logger.logTrace(said(`left ${i}`));
  await logger.close({ timeoutMs: 0 });
  return dir;
}

test("drain delivers what was left, and leaves an empty folder", async () => {
  await using endpoint = await scriptedEndpoint();
  const dir = await leftFolder();
  const run = await tracelogger(["drain", dir, "--endpoint", endpoint.url]);
  expect(run).toEqual({ code: 0, out: "5 traces delivered.\n", err: "" });
  expect(endpoint.stored.map(({ messages: [message] }) => message?.content).sort()).toEqual(
    [0, 1, 2, 3, 4].map((i) => `left ${i}`),
  );
  expect(readdirSync(dir)).toEqual([]);
  expect(await tracelogger(["drain", dir, "--endpoint", endpoint.url])).toMatchObject({ out: "0 traces delivered.\n" });
});

test("drain leaves on disk what it cannot deliver, and says so", async () => {
  await using endpoint = await scriptedEndpoint(() => replies.unavailable);
  const dir = await leftFolder();
  const run = await tracelogger(["drain", dir, "--endpoint", endpoint.url, "--timeout", "4"]);
  expect(run).toMatchObject({ code: 1, out: "0 traces delivered, 5 left on disk.\n" });
  expect(run.err).toContain("HTTP 503");
  endpoint.reply = () => undefined;
  expect((await tracelogger(["drain", dir, "--endpoint", endpoint.url])).out).toBe("5 traces delivered.\n");
});

test("drain does not say of what is no folder that nothing is left there", async () => {
  for (const place of ["/nowhere", fileOf("")])
    expect(await tracelogger(["drain", place])).toMatchObject({
      code: 1,
      out: "",
      err: expect.stringContaining(place),
    });
});

test.each(["drain", "send"])("%s refuses a time limit that is no number of seconds", async (command) => {
  for (const timeout of ["soon", "-1", "1e999"]) {
    const run = await tracelogger([command, temporaryFolder(), "--timeout", timeout]);
    expect(run).toMatchObject({ code: 1, out: "" });
    expect(run.err).toContain("It must be a number of seconds from 0");
  }
});

test.each(["drain", "send"])("%s sends nothing while TRACELOGGER_DISABLED is set, and says so", async (command) => {
  await using endpoint = await scriptedEndpoint();
  const dir = await leftFolder();
  const place = command === "drain" ? dir : fileOf(JSON.stringify(said("hi")));
  vi.stubEnv("TRACELOGGER_DISABLED", "1");
  onTestFinished(() => void vi.unstubAllEnvs());
  expect(await tracelogger([command, place, "--endpoint", endpoint.url])).toEqual({
    code: 1,
    out: "",
    err: "tracelogger: Nothing was sent: TRACELOGGER_DISABLED is set. Unset it, or set it to 0, to send.\n",
  });
  expect(endpoint.requests).toEqual([]);
  expect((await tracelogger([command, "--help"])).out).toContain("TRACELOGGER_DISABLED");
});
