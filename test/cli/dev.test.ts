import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { get } from "node:http";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { filesUnder, temporaryFolder, trace } from "../endpoint/support.ts";

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

interface Running {
  readonly child: ChildProcessWithoutNullStreams;
  /** Everything printed so far. */
  readonly printed: () => { out: string; err: string };
  /** Resolves once the pattern was printed on stdout, with its match. */
  readonly prints: (pattern: RegExp) => Promise<RegExpExecArray>;
  readonly exit: Promise<number | null>;
}

function tracelogger(...args: string[]): Running {
  const child = spawn(process.execPath, [MAIN, ...args]);
  onTestFinished(() => void child.kill("SIGKILL"));
  const printed = { out: "", err: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    printed.out += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    printed.err += text;
  });
  const exit = once(child, "close").then(([code]) => code as number | null); // what Node's documentation promises
  const prints = async (pattern: RegExp): Promise<RegExpExecArray> => {
    for (;;) {
      const match = pattern.exec(printed.out);
      if (match !== null) return match;
      const more = await Promise.race([once(child.stdout, "data"), exit.then(() => "ended")]);
      if (more === "ended" && !pattern.test(printed.out)) throw new Error(`ended without ${pattern}: ${printed.err}`);
    }
  };
  return { child, printed: () => printed, prints, exit };
}

async function post(url: string, body: object, headers: Record<string, string> = {}): Promise<Response> {
  const init = { method: "POST", body: JSON.stringify(body) };
  return fetch(url, { ...init, headers: { "content-type": "application/json", ...headers } });
}

test("dev --packed keeps the traces of a day in one file, and shows them and their pages", async () => {
  const dir = await temporaryFolder();
  const dev = tracelogger("dev", "--port", "0", "--dir", dir, "--packed");
  const [, url = ""] = await dev.prints(/TRACELOGGER_ENDPOINT=(http:\S+)\n/);
  for (const id of ["a", "b"]) expect((await post(url, trace({ id }))).status).toBe(200);
  const [, page = ""] = await dev.prints(/^stored olmo-2 (http:\S+\/a\.html)$/m);
  expect(await (await fetch(page)).text()).toContain("A language model.");
  expect(await (await fetch(url)).text()).toContain("/share/olmo-2/20240504/b.html");
  expect((await filesUnder(dir)).filter((file) => !file.startsWith("."))).toEqual([
    "logs/olmo-2/20240504/traces.ndjson",
  ]);
});

test("dev prints where it is, a line per stored trace, and ends cleanly at Ctrl+C", async () => {
  const dir = await temporaryFolder();
  const dev = tracelogger("dev", "--port", "0", "--dir", dir, "--mode", "deployed");
  const [, url = ""] = await dev.prints(/TRACELOGGER_ENDPOINT=(http:\/\/127\.0\.0\.1:[1-9]\d*)\n/);
  expect(dev.printed().out).toContain(`${url} (mode: deployed)`);
  expect(dev.printed().out).toContain(dir);

  const answer = await post(url, trace({ model: "bad\u001b[2Jmodel", system_fingerprint: "fp_1" }));
  expect((await answer.json()).statusCode).toBe(200);
  await dev.prints(/^stored bad\?\[2Jmodel http:\/\/127\.0\.0\.1:\d+\/share\/fp_1\/20240504\/trace-1\.html$/m);
  expect(await filesUnder(dir)).toHaveLength(2);

  dev.child.kill("SIGINT");
  expect(await dev.exit).toBe(0);
  expect(dev.printed().err).toBe("");
});

test("dev demands the key it was given, and does not print it", async () => {
  const dev = tracelogger("dev", "--port", "0", "--dir", await temporaryFolder(), "--api-key", "s3cret");
  const [, url = ""] = await dev.prints(/TRACELOGGER_ENDPOINT=(\S+)/);
  expect((await post(url, trace())).status).toBe(403);
  expect((await post(url, trace(), { "x-api-key": "s3cret" })).status).toBe(200);
  expect(dev.printed().out).not.toContain("s3cret");
});

test("dev answers to the names it was told of, and to no other", async () => {
  const dir = await temporaryFolder();
  const dev = tracelogger("dev", "--port", "0", "--dir", dir, "--allow-host", "a.test", "--allow-host", "b");
  const [, url = ""] = await dev.prints(/TRACELOGGER_ENDPOINT=(\S+)/);
  const statusFor = (host: string) =>
    new Promise((resolve) => get(url, { headers: { host } }, ({ statusCode }) => resolve(statusCode)));
  expect(await Promise.all(["a.test", "b:1", "evil.example"].map(statusFor))).toEqual([200, 200, 421]);
});

test("a port in use is a clear error and exit code 1", async () => {
  const taken = createServer().listen(0, "127.0.0.1");
  onTestFinished(() => void taken.close());
  await once(taken, "listening");
  const address = taken.address();
  const port = typeof address === "object" ? address?.port : undefined;
  const dev = tracelogger("dev", "--port", String(port), "--dir", await temporaryFolder());
  expect(await dev.exit).toBe(1);
  const error = `tracelogger: 127.0.0.1:${port} is in use. Choose another port with --port, or --port 0 for a free one.\n`;
  expect(dev.printed().err).toBe(error);
});

test("dev goes on when nobody reads what it prints any more", async () => {
  const dev = tracelogger("dev", "--port", "0", "--dir", await temporaryFolder());
  const [, url = ""] = await dev.prints(/TRACELOGGER_ENDPOINT=(\S+)/);
  dev.child.stdout.destroy();
  for (const id of ["a", "b", "c"]) expect((await post(url, trace({ id }))).status).toBe(200);
});

test("a folder that cannot be one is told at once", async () => {
  const dir = join(await temporaryFolder(), "file");
  await writeFile(dir, "");
  const dev = tracelogger("dev", "--port", "0", "--dir", dir);
  expect(await dev.exit).toBe(1);
  expect(dev.printed().err).toContain(`tracelogger: Cannot keep traces in ${dir}: `);
});

test("other machines are let in only with --expose, and with a warning", async () => {
  const refused = tracelogger("dev", "--port", "0", "--host", "0.0.0.0");
  expect(await refused.exit).toBe(1);
  expect(refused.printed().err).toContain("Add --expose if you mean it.");

  const dir = await temporaryFolder();
  const exposed = tracelogger("dev", "--port", "0", "--host", "0.0.0.0", "--expose", "--dir", dir);
  await exposed.prints(/TRACELOGGER_ENDPOINT=http:\/\/127\.0\.0\.1:/);
  expect(exposed.printed().err).toContain("WARNING: other machines can reach this");
});

test.each([
  [["dev", "--port", "70000"], "It must be a whole number from 0 to 65535."],
  [["dev", "--mode", "aws"], "Allowed choices are proxy, deployed, published, both."],
  [["dev", "--api-key", ""], "It must not be empty."],
  [["dev", "--allow-host", "tracelogger:4319"], "It must be a name without a port, such as host.docker.internal."],
  [["nothing"], "unknown command 'nothing'"],
])("%j is refused with what is right instead", async (args, message) => {
  const run = tracelogger(...args);
  expect(await run.exit).toBe(1);
  expect(run.printed().err).toContain(message);
});
