/** A TCP proxy that spoils connections on their way to a good endpoint. */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { onTestFinished } from "vitest";

/** One connection: the logger's side, the endpoint's side, and how to pass on what comes. */
export interface Link {
  readonly client: Socket;
  readonly server: Socket;
  /** Passes requests on as they come. */
  passRequests(): void;
  /** Passes answers on as they come. */
  passAnswers(): void;
}

/** What the proxy does with one connection. */
export type Spoil = (link: Link) => void;

export const spoils = {
  /** Nothing: the proxy is as good as a cable. */
  none: (link) => {
    link.passRequests();
    link.passAnswers();
  },
  /** The connection is taken and reset before a byte is read. */
  resetAtOnce: ({ client }) => void client.resetAndDestroy(),
  /** A part of the request arrives here, nothing at the endpoint. */
  resetInTheRequest: ({ client }) => void client.once("data", () => client.resetAndDestroy()),
  /** The endpoint has stored the trace, and its answer is lost: sent again, it is the same object. */
  resetAfterTheRequest: (link) => {
    link.passRequests();
    link.server.once("data", () => link.client.resetAndDestroy());
  },
  resetInTheAnswer: (link) => {
    link.passRequests();
    link.server.once("data", (answer) =>
      link.client.write(answer.subarray(0, -7), () => link.client.resetAndDestroy()),
    );
  },
  endInTheAnswer: (link) => {
    link.passRequests();
    link.server.once("data", (answer) => link.client.end(answer.subarray(0, -7)));
  },
  /** Taken, and never passed on. */
  hang: ({ client }) => void client.resume(),
  /** Passed on, and the answer held back. */
  hangAfterTheRequest: (link) => link.passRequests(),
  /** The other direction is closed as soon as the connection stands: it still reads. */
  halfOpen: (link) => {
    link.client.end();
    link.passRequests();
  },
  /** One byte of the answer now and then: it never ends within the time limit. */
  dripAnswers: (link) => {
    link.passRequests();
    link.server.once("data", (answer) => {
      let sent = 0;
      const timer = setInterval(() => link.client.write(answer.subarray(sent, ++sent)), 20);
      link.client.once("close", () => clearInterval(timer));
    });
  },
  /** Whole, and in pieces that split every header, number and character. */
  crumbleAnswers: (link) => {
    link.passRequests();
    link.client.setNoDelay(true);
    link.server.on("data", (answer) => {
      for (const byte of answer) link.client.write(Uint8Array.of(byte));
    });
  },
  /** A body that is promised, and goes on for ever. */
  endlessAnswers: (link) => {
    link.passRequests();
    link.server.once("data", () => {
      link.client.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
      const more = () => {
        while (link.client.writable && link.client.write(`4000\r\n${" ".repeat(0x4000)}\r\n`));
      };
      link.client.on("drain", more);
      more();
    });
  },
} as const satisfies Record<string, Spoil>;

/** Starts one before the endpoint; `spoil` decides for each connection, by its number. */
export async function spoilingProxy(endpoint: string, spoil: (count: number) => Spoil) {
  const target = new URL(endpoint);
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const upstream = connect(Number(target.port), target.hostname);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => {}).on("close", () => sockets.delete(socket));
    }
    client.on("close", () => upstream.destroy());
    client.on("end", () => client.end());
    upstream.on("close", () => client.end());
    spoil(++connections)({
      client,
      server: upstream,
      passRequests: () => void client.on("data", (data) => upstream.write(data)),
      passAnswers: () => void upstream.on("data", (data) => client.write(data)),
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo; // it listens on TCP
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { url: `http://127.0.0.1:${port}${target.pathname}`, connections: () => connections };
}
