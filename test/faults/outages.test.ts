/** An endpoint in every kind of trouble: what waits is kept, what is stored is what is reported, and all of it arrives. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import type { TraceLoggerEvent } from "../../src/index.ts";
import { temporaryFolder } from "../delivery/spool/support.ts";
import { eventually, type Reply, replies, scriptedEndpoint } from "../support.ts";
import { goodAnswer, observed, rawServer, storeIt } from "./support.ts";

describe.each<[string, Reply]>([
  ["503", replies.unavailable],
  ["429", replies.tooMany],
  ["a 403, repaired after a while", replies.wrongKey],
  ["a 404, repaired after a while", { status: 404, body: "{}" }],
  ["a redirect", replies.redirect],
  ["a failure inside a 200", replies.failed("ClientError: SlowDown")],
  ["a crash inside a 200", replies.crashed],
  ["an empty 200", { status: 200, body: "" }],
  ["half an envelope", { status: 200, body: '{"statusCode": 200' }],
  ["an envelope of null", { status: 200, body: '{"statusCode": 200, "body": "null"}' }],
  ["HTML with status 200", replies.captivePortal],
  ["resets", "reset"],
])("%s", (_name, trouble) => {
  test("everything is kept, few requests are wasted, and all of it arrives afterwards", async () => {
    await using endpoint = await scriptedEndpoint(() => trouble);
    const { logger, log, expectTruth } = observed({ endpoint: endpoint.url });
    for (let i = 0; i < 60; i++) log();
    const report = await logger.flush({ timeoutMs: 3_000 });
    expect(report).toMatchObject({ delivered: 0, pending: 60, lost: 0 });
    expect(report.lastError).not.toBeNull();
    expect(endpoint.requests.length).toBeLessThanOrEqual(10);
    expectTruth([]);
    endpoint.reply = () => undefined;
    expect(await logger.flush()).toMatchObject({ delivered: 60, pending: 0 });
    expectTruth(endpoint.stored.map(({ id }) => id));
  });
});

test("a used-up quota is asked again in minutes, not sooner; close asks once more and then reports the rest", async () => {
  await using endpoint = await scriptedEndpoint(() => replies.quota);
  const { logger, log, expectTruth } = observed({ endpoint: endpoint.url });
  for (let i = 0; i < 20; i++) log();
  await logger.flush({ timeoutMs: 2_000 });
  expect(endpoint.requests.length).toBeLessThanOrEqual(2);
  expect(logger.stats.gate).toBe("quota");
  endpoint.reply = (_trace, count) => (count > 8 ? replies.quota : undefined);
  const report = await logger.close({ timeoutMs: 2_000 });
  expect(report.delivered + report.lost).toBe(20);
  expect(report.pending).toBe(0);
  expectTruth(endpoint.stored.map(({ id }) => id));
});

test("too large for the endpoint: lost with that reason at once, the others pass", async () => {
  await using endpoint = await scriptedEndpoint(({ id }) => (id === "trace-3" ? replies.tooLarge : undefined));
  const { logger, log, receipts, expectTruth } = observed({ endpoint: endpoint.url });
  for (let i = 0; i < 10; i++) log();
  expect(await logger.flush()).toMatchObject({ delivered: 9, lost: 1 });
  expect(receipts.get("trace-3")).toMatchObject({ status: "lost", reason: "too_large" });
  expectTruth(endpoint.stored.map(({ id }) => id));
});

const slowHeaders = (socket: Socket): void => {
  const timer = setInterval(() => socket.write("HTTP/1.1 "), 50);
  socket.on("close", () => clearInterval(timer));
};
const dripping = (socket: Socket): void => {
  socket.write("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n");
  const timer = setInterval(() => socket.write(" "), 50);
  socket.on("close", () => clearInterval(timer));
};
const endless = (socket: Socket): void => {
  socket.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
  const more = () => {
    while (!socket.destroyed && socket.write(`10000\r\n${"x".repeat(0x10000)}\r\n`));
  };
  socket.on("drain", more);
  more();
};

describe.each<[string, (socket: Socket) => void]>([
  ["slow headers", slowHeaders],
  ["a dripping body", dripping],
  ["an endless body", endless],
  ["accepting and hanging", () => {}],
  ["a reset before the answer", (socket) => socket.resetAndDestroy()],
  [
    "a reset in the middle of the answer",
    (socket) => {
      socket.write(goodAnswer.slice(0, -10), () => socket.resetAndDestroy());
    },
  ],
  ["an end in the middle of the answer", (socket) => void socket.end(goodAnswer.slice(0, -10))],
  ["something that is not HTTP", (socket) => void socket.end("SSH-2.0-OpenSSH_9.6\r\n")],
])("%s", (_name, behave) => {
  test("holds up nothing for longer than the time limit, and all of it arrives afterwards", async () => {
    const server = await rawServer((socket, count) => (count <= 4 ? behave(socket) : storeIt(socket)));
    const { logger, log, expectTruth } = observed({ endpoint: server.url, timeoutMs: 500 });
    for (let i = 0; i < 30; i++) log();
    expect(await logger.flush()).toMatchObject({ delivered: 30, pending: 0, lost: 0 });
    expectTruth(server.storedIds);
  });
});

test("a reset after the whole answer, before the next request on that connection", async () => {
  const server = await rawServer((socket) => {
    storeIt(socket);
    setImmediate(() => socket.resetAndDestroy());
  });
  const { logger, log, expectTruth } = observed({ endpoint: server.url });
  for (let i = 0; i < 50; i++) log();
  await logger.flush();
  expect(logger.stats).toMatchObject({ delivered: 50, pending: 0 });
  expectTruth(server.storedIds);
});

test.each([
  ["nobody listens", "http://127.0.0.1:9/prod"],
  ["the name is unknown", "http://unknown.invalid/prod"],
])("%s: kept, and the error says so", async (_name, endpoint) => {
  const { logger, log, expectTruth } = observed({ endpoint });
  for (let i = 0; i < 20; i++) log();
  const report = await logger.flush({ timeoutMs: 1_500 });
  expect(report).toMatchObject({ delivered: 0, pending: 20, lost: 0, lastError: { code: "network" } });
  expect(logger.stats.requests).toBeLessThanOrEqual(6);
  expectTruth([]);
});

test("a certificate that nobody vouches for: nothing is sent", async () => {
  const dir = temporaryFolder();
  const [key, cert] = [join(dir, "key.pem"), join(dir, "cert.pem")];
  const made = [
    "req",
    "-x509",
    "-newkey",
    "rsa:2048",
    "-nodes",
    "-subj",
    "/CN=localhost",
    "-keyout",
    key,
    "-out",
    cert,
  ];
  execFileSync("openssl", made, { stdio: "ignore" });
  let requests = 0;
  const server = createTlsServer({ key: readFileSync(key), cert: readFileSync(cert) }, (_request, response) => {
    requests++;
    response.end();
  });
  onTestFinished(() => void server.close());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo; // it listens on TCP
  const { logger, log } = observed({ endpoint: `https://127.0.0.1:${port}/prod` });
  for (let i = 0; i < 5; i++) log();
  expect(await logger.flush({ timeoutMs: 1_500 })).toMatchObject({ pending: 5, lastError: { code: "network" } });
  expect(requests).toBe(0);
});

test("callbacks that throw, reject or log again change nothing", async () => {
  await using endpoint = await scriptedEndpoint((trace) =>
    trace.id.startsWith("trace-1") ? replies.invalidBody : undefined,
  );
  let again = 0;
  const events: TraceLoggerEvent[] = [];
  const { logger, log, expectTruth } = observed({
    endpoint: endpoint.url,
    onLoss: () => {
      if (again++ < 3) log();
      throw new Error("the host's own");
    },
    onEvent: (event) => {
      events.push(event);
      return Promise.reject(new Error("the host's own"));
    },
  });
  for (let i = 0; i < 20; i++) log();
  await eventually(async () => {
    await logger.flush();
    expect(logger.stats.pending).toBe(0);
  });
  expect(logger.stats).toMatchObject({ accepted: 23, lost: { rejected: again } });
  expectTruth(endpoint.stored.map(({ id }) => id));
});
