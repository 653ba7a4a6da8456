import { once } from "node:events";
import { Agent, request as httpRequest } from "node:http";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { gzipSync } from "node:zlib";
import { describe, expect, onTestFinished, test } from "vitest";
import { fileStore } from "../../src/endpoint/index.ts";
import { type RunningServer, type ServerOptions, startServer } from "../../src/endpoint/node.ts";
import { filesUnder, temporaryFolder, trace } from "./support.ts";

async function serve(
  handler: (request: Request) => Promise<Response>,
  options: ServerOptions = {},
): Promise<RunningServer> {
  const server = await startServer({ handler, ...options });
  onTestFinished(() => server.close());
  return server;
}

async function rawExchange(server: RunningServer, bytes: string): Promise<string> {
  const socket = connect(server.port, "127.0.0.1");
  socket.write(bytes);
  return text(socket);
}

/** A connection that is kept open, and what its server said on it so far. */
async function keptAlive(server: RunningServer): Promise<Socket> {
  const socket = connect(server.port, "127.0.0.1");
  socket.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  await once(socket, "data");
  return socket;
}

test("the endpoint over loopback: a trace goes in, its page and its place in the list come out", async () => {
  const folder = await temporaryFolder();
  const server = await startServer({ store: fileStore(folder), mode: "deployed" });
  onTestFinished(() => server.close());
  const headers = { "content-type": "application/json" };
  const answer = await fetch(server.url, { method: "POST", headers, body: JSON.stringify(trace()) });
  const { url } = JSON.parse((await answer.json()).body);
  expect(url).toBe(`${server.url}/share/olmo-2/20240504/trace-1.html`);
  expect(await (await fetch(url)).text()).toContain("A language model.");
  expect(await (await fetch(server.url)).text()).toContain("/share/olmo-2/20240504/trace-1.html");
  expect(await filesUnder(folder)).toHaveLength(2);
});

test("hostile requests over HTTP: each is refused clearly, nothing is written, and the next trace is stored", async () => {
  const folder = await temporaryFolder();
  const server = await startServer({ store: fileStore(join(folder, "store")) });
  onTestFinished(() => server.close());
  const post = async (body: BodyInit, more: Record<string, string> = {}) => {
    const headers = { "content-type": "application/json", ...more };
    const answer = await fetch(server.url, { method: "POST", headers, body });
    return [answer.status, (await answer.json()).outcome];
  };
  const message = { role: "user", content: "x" };
  const messages = Array.from({ length: 100_000 }, () => message);
  const deep = `${'{"a":'.repeat(500_000)}1${"}".repeat(500_000)}`;
  const bomb = gzipSync(Buffer.alloc(100_000_000, " "));
  const gzip = { "content-encoding": "gzip" };
  expect(await post(" ".repeat(12_000_000))).toEqual([413, "failure"]);
  expect(await post(JSON.stringify(trace({ messages: [{ ...message, content: "x".repeat(12_000_000) }] })))).toEqual([
    413,
    "failure",
  ]);
  expect(await post(JSON.stringify(trace({ messages })))).toEqual([400, "failure"]);
  expect(await post(deep)).toEqual([400, "failure"]);
  expect(await post(JSON.stringify(trace()).replace(/}$/, `,"usage":${deep}}`))).toEqual([400, "failure"]);
  expect(await post(bomb, gzip)).toEqual([413, "failure"]);
  expect(await post(bomb, { ...gzip, "content-type": "application/x-ndjson" })).toEqual([413, "failure"]);
  expect(await post('{"__proto__":{"model":"x"},"constructor":{"prototype":{"model":"x"}}}')).toEqual([400, "failure"]);
  expect(await filesUnder(folder)).toEqual([]);
  for (const name of [
    "../../x",
    "..",
    "a/b",
    "nul\0",
    "x".repeat(2000),
    "CON",
    "LPT1.txt",
    "C:\\x",
    "\ud800",
    "name. ",
  ]) {
    expect(await post(JSON.stringify(trace({ id: name, system_fingerprint: name })))).toEqual([200, "success"]);
  }
  const files = await filesUnder(folder);
  expect(files).toHaveLength(20);
  expect(files.every((file) => /^store\/(?:logs|share)\/[\w!-][\w.!-]*\/20240504\/[\w!-][\w.!-]*$/.test(file))).toBe(
    true,
  );
});

describe("translation", () => {
  test("method, path, query, repeated headers and body arrive; status, headers and cookies come back", async () => {
    const server = await serve(async (request) => {
      const said = `${request.method} ${request.url} ${request.headers.get("x-many")} ${await request.text()}`;
      const response = new Response(said, { status: 201, headers: { "x-back": "yes" } });
      response.headers.append("set-cookie", "a=1");
      response.headers.append("set-cookie", "b=2");
      return response;
    });
    const answer = await fetch(`${server.url}//double/?q=ü`, {
      method: "PUT",
      body: "the body",
      headers: [
        ["x-many", "1"],
        ["x-many", "2"],
      ],
    });
    expect(await answer.text()).toBe(`PUT ${server.url}//double/?q=%C3%BC 1, 2 the body`);
    expect([answer.status, answer.headers.get("x-back")]).toEqual([201, "yes"]);
    expect(answer.headers.getSetCookie()).toEqual(["a=1", "b=2"]);
  });

  test("HEAD has no body", async () => {
    const server = await serve(async () => new Response("never seen"));
    const answer = await fetch(server.url, { method: "HEAD" });
    expect(await answer.text()).toBe("");
  });

  test.each([
    ["a host that is none", "GET / HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n", "400"],
    ["a path that is a whole URL", "GET http://x/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "400"],
    ["OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "400"],
    ["TRACE", "TRACE / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "400"],
    ["what is not HTTP", "hello\r\n\r\n", "400"],
    ["another host's name (DNS rebinding)", "GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", "421"],
    ["a name of this machine", "GET / HTTP/1.1\r\nHost: app.localhost:80\r\nConnection: close\r\n\r\n", "200"],
  ])("%s is answered properly", async (_, bytes, status) => {
    const server = await serve(async () => new Response("ok"));
    expect(await rawExchange(server, bytes)).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  });
});

describe("names under which a server is asked for", () => {
  const ask = async (host: string, options: ServerOptions) => {
    const server = await serve(async () => new Response("ok"), options);
    return rawExchange(server, `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  };

  test.each<[string, ServerOptions, number]>([
    ["tracelogger:4318", { allowedHosts: ["TraceLogger"] }, 200],
    ["HOST.docker.internal", { allowedHosts: ["a", "host.docker.internal"] }, 200],
    ["127.0.0.1", { allowedHosts: ["a"] }, 200],
    ["b.a", { allowedHosts: ["a"] }, 421],
    ["a", { allowedHosts: [] }, 421],
    ["a", { host: "0.0.0.0" }, 200],
    ["a", { host: "0.0.0.0", allowedHosts: ["b"] }, 421],
  ])("%s, of %j", async (host, options, status) => {
    expect(await ask(host, options)).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  });

  test("a name that may not says how it may", async () => {
    expect(await ask("tracelogger", {})).toMatch(/--allow-host NAME.*`allowedHosts`/);
  });

  test.each(["abc", 70_000, -1, 1.5])("%j is no port", async (port) => {
    const options = { handler: async () => new Response(), port: port as number }; // the point of the test
    await expect(startServer(options)).rejects.toThrow(/port must be a whole number from 0 to 65535/);
  });

  test.each(["a:80", "http://a", "*", "", 7, "a/b"])("%j is none", async (name) => {
    const options = { handler: async () => new Response(), allowedHosts: [name as string] }; // the point of the test
    await expect(startServer(options)).rejects.toThrow(/allowedHosts must be a list of names without a port/);
  });
});

describe("streams", () => {
  test("an answer is sent while it is made, and no faster than it is read", async () => {
    let made = 0;
    const chunk = new Uint8Array(64 * 1024);
    const server = await serve(async () => {
      const body = new ReadableStream({
        pull(controller) {
          made++;
          if (made > 2000) controller.close();
          else controller.enqueue(chunk);
        },
      });
      return new Response(body);
    });
    const answer = await fetch(server.url);
    const reader = answer.body?.getReader();
    await reader?.read();
    await new Promise((resolve) => setImmediate(resolve));
    expect(made).toBeLessThan(2000); // 128 MB would not fit into the buffers between here and there
    await reader?.cancel();
  });

  test("a request's body is read no faster than the handler takes it", async () => {
    const server = await serve(async (request) => {
      let length = 0;
      for await (const chunk of request.body ?? []) length += chunk.byteLength;
      return new Response(String(length));
    });
    const answer = await fetch(server.url, { method: "POST", body: new Uint8Array(30_000_000) });
    expect(await answer.text()).toBe("30000000");
  });

  test("a sender of far too much gets its answer before the connection ends", async () => {
    const folder = await temporaryFolder();
    const server = await startServer({ store: fileStore(folder), maxRequestBytes: 1000 });
    onTestFinished(() => server.close());
    const headers = { "content-type": "application/json" };
    const body = " ".repeat(12_000_000);
    const answer = await fetch(server.url, { method: "POST", headers, body });
    expect([answer.status, answer.headers.get("connection")]).toEqual([413, "close"]);
    expect((await fetch(server.url)).status).toBe(200);
  });

  test("a connection that was answered early takes what is still being sent, and only then ends", async () => {
    const server = await serve(async () => new Response("no", { status: 413, headers: { "content-length": "2" } }));
    const socket = connect(server.port, "127.0.0.1");
    socket.write("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000\r\n\r\n");
    // 1. The whole answer is there, with the request's body still to come.
    const [answer] = await once(socket, "data");
    expect(String(answer)).toMatch(/^HTTP\/1\.1 413 .*\r\n\r\nno$/s);
    // 2. The sender sends on. A reset of the connection would be an error here.
    const ended = once(socket, "end");
    socket.write(Buffer.alloc(10_000_000));
    // 3. When it has, the server ends.
    await ended;
    expect(socket.bytesWritten).toBeGreaterThan(10_000_000);
  });

  test("the handler hears when the caller goes away", async () => {
    const aborted = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    const server = await serve((request) => {
      request.signal.addEventListener("abort", () => aborted.resolve());
      arrived.resolve();
      return aborted.promise.then(() => new Response("nobody reads this"));
    });
    const controller = new AbortController();
    const call = fetch(server.url, { signal: controller.signal }).catch(() => "gone");
    await arrived.promise;
    controller.abort();
    await aborted.promise;
    expect(await call).toBe("gone");
  });

  test("a body that breaks off ends the request, not the process", async () => {
    const broken = Promise.withResolvers<unknown>();
    const server = await serve(async (request) => {
      await request.text().catch(broken.resolve);
      return new Response("nobody reads this");
    });
    const socket = connect(server.port, "127.0.0.1");
    socket.write("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf");
    await once(socket, "connect");
    socket.end();
    expect(await broken.promise).toBeInstanceOf(Error);
  });
});

describe("errors", () => {
  test("a handler that throws is a 500 that says nothing", async () => {
    const server = await serve(async () => {
      throw new Error("secret");
    });
    const answer = await fetch(server.url);
    expect([answer.status, await answer.text()]).toEqual([500, '{"message":"Internal server error"}']);
  });

  test("an answer that fails midway does not look whole", async () => {
    const server = await serve(async () => {
      const body = new ReadableStream({
        start(controller) {
          controller.enqueue(new TextEncoder().encode("half"));
        },
        pull() {
          throw new Error("secret");
        },
      });
      return new Response(body);
    });
    const whole = fetch(server.url).then((answer) => answer.text());
    await expect(whole).rejects.toThrow();
  });

  test("a port in use is an error at once", async () => {
    const server = await serve(async () => new Response("ok"));
    const second = startServer({ handler: async () => new Response("ok"), port: server.port });
    await expect(second).rejects.toMatchObject({ code: "EADDRINUSE" });
  });
});

describe("close", () => {
  test("ends idle keep-alive connections, and may be called again", async () => {
    const server = await serve(async () => new Response("ok"));
    const socket = await keptAlive(server);
    const ended = once(socket, "close");
    socket.resume();
    await Promise.all([server.close(), server.close(), ended]);
    await server.close();
    await expect(fetch(server.url)).rejects.toThrow();
  });

  test("waits for what is in flight, then ends its connection, too", async () => {
    const arrived = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    const server = await serve(async () => {
      arrived.resolve();
      await release.promise;
      return new Response("whole");
    });
    const agent = new Agent({ keepAlive: true });
    const answer = new Promise<string>((resolve, reject) => {
      httpRequest(server.url, { agent }, (response) => resolve(text(response)))
        .on("error", reject)
        .end();
    });
    await arrived.promise;
    const closed = server.close();
    release.resolve();
    expect(await answer).toBe("whole");
    await closed;
  });

  test("cuts what does not end in time", async () => {
    const arrived = Promise.withResolvers<void>();
    const server = await serve(
      async () => {
        arrived.resolve();
        return new Promise<Response>(() => {}); // never
      },
      { closeTimeoutMs: 50 },
    );
    const call = fetch(server.url).catch(() => "cut");
    await arrived.promise;
    await server.close();
    expect(await call).toBe("cut");
  });
});
