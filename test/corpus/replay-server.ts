import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { setImmediate as nextTurn } from "node:timers/promises";
import fc from "fast-check";
import { isEventStream, type Recording } from "./recordings.ts";

/** What a client sent, to compare a wrapped client with a bare one. */
export interface SentRequest {
  readonly method: string | undefined;
  readonly path: string | undefined;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

export interface ReplayServer extends AsyncDisposable {
  /** A provider that knows this one recording. */
  baseURL(recording: Recording): string;
  /** What was sent for a recording since the last time this was asked. */
  takeRequests(recording: Recording): SentRequest[];
}

/** A provider on loopback that answers `/<recording id>/…` with exactly the recorded status and body. */
export async function startReplayServer(recordings: readonly Recording[]): Promise<ReplayServer> {
  const replies = new Map(recordings.map((recording) => [recording.id, toReply(recording)]));
  const sent = new Map<string, SentRequest[]>();
  const server = createServer(async (request, response) => {
    const id = decodeURIComponent(request.url?.split("/")[1] ?? "");
    const { method, url: path, headers } = request;
    sent.set(id, [...(sent.get(id) ?? []), { method, path, headers, body: await text(request) }]);
    const reply = replies.get(id);
    if (reply === undefined) response.writeHead(404).end();
    else await send(reply, response);
  });
  server.keepAliveTimeout = 60_000; // a busy machine pauses for longer than the usual 5 s, and then calls meet a reset
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo; // a TCP server that listens has one
  return {
    baseURL: ({ id }) => `http://127.0.0.1:${port}/${encodeURIComponent(id)}/v1`,
    takeRequests({ id }) {
      const requests = sent.get(id) ?? [];
      sent.delete(id);
      return requests;
    },
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly pieces: readonly Buffer[];
}

const STREAM_CUTS = 40;
const PLAIN_CUTS = 4;

function toReply(recording: Recording): Reply {
  const { id, status, response_body } = recording;
  const streamed = status === 200 && isEventStream(recording);
  const type = streamed ? "text/event-stream; charset=utf-8" : "application/json";
  return {
    status,
    headers: { "content-type": type, "x-request-id": `req_${id}` },
    pieces: cutAwkwardly(Buffer.from(response_body), streamed ? STREAM_CUTS : PLAIN_CUTS, id),
  };
}

async function send({ status, headers, pieces }: Reply, response: ServerResponse): Promise<void> {
  response.writeHead(status, headers);
  for (const piece of pieces) {
    response.write(piece);
    await nextTurn(); // so that the pieces leave one by one
  }
  response.end();
}

/**
 * Cut bytes where a careless reader goes wrong: inside UTF-8 sequences, between the characters of a line end, and
 * anywhere else. The same for every replay of a recording, and different between recordings.
 */
export function cutAwkwardly(bytes: Buffer, maxCuts: number, seedText: string): Buffer[] {
  const awkward = [...bytes.keys()].filter((at) => at > 0 && isAwkward(bytes, at));
  const seed = [...seedText].reduce((hash, char) => (Math.imul(hash, 31) + char.charCodeAt(0)) | 0, 7);
  const pick = (among: fc.Arbitrary<number>) => fc.sample(among, { seed, numRuns: maxCuts / 2 });
  const cuts = new Set([
    ...(awkward.length > 0 ? pick(fc.constantFrom(...awkward)) : []),
    ...(bytes.length > 1 ? pick(fc.integer({ min: 1, max: bytes.length - 1 })) : []),
  ]);
  const edges = [0, ...[...cuts].sort((a, b) => a - b), bytes.length];
  return edges.slice(1).map((end, i) => bytes.subarray(edges[i], end));
}

function isAwkward(bytes: Buffer, at: number): boolean {
  const [before, after] = [bytes[at - 1] ?? 0, bytes[at] ?? 0];
  const insideCharacter = (after & 0b1100_0000) === 0b1000_0000;
  return insideCharacter || before === 0x0a || before === 0x0d;
}
