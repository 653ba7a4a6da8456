/** Replays recordings through a bare and a wrapped client into the embedded endpoint, and collects the findings. */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import OpenAI from "openai";
import { type EndpointMode, fileStore } from "../../src/endpoint/index.ts";
import { startServer } from "../../src/endpoint/node.ts";
import { TraceLogger, wrapOpenAI } from "../../src/index.ts";
import { type Call, check } from "./check.ts";
import { isObject } from "./json.ts";
import { observe } from "./observe.ts";
import type { Recording } from "./recordings.ts";
import { type ReplayServer, startReplayServer } from "./replay-server.ts";

/** The forms in which endpoints answer in the wild. */
export const MODES: readonly EndpointMode[] = ["proxy", "deployed", "published", "both"];

/** How many recordings are under way at once: enough to keep two cores busy. */
const WORKERS = 8;

export interface Corpus extends AsyncDisposable {
  /** Replay every recording into an endpoint in this mode. One line per finding; empty when all is well. */
  findings(mode: EndpointMode): Promise<string[]>;
}

/** Start the provider and let the bare client make every call, once for all modes. */
export async function openCorpus(recordings: readonly Recording[]): Promise<Corpus> {
  const provider = await startReplayServer(recordings);
  const bare = new Map<string, Call>();
  await forEachConcurrently(recordings, async (recording) => {
    bare.set(recording.id, await makeCall(clientFor(recording, provider), { recording, provider }));
  });
  return {
    findings: (mode) => replayInto(mode, { recordings, provider, bare }),
    [Symbol.asyncDispose]: () => provider[Symbol.asyncDispose](),
  };
}

interface Material {
  readonly recordings: readonly Recording[];
  readonly provider: ReplayServer;
  readonly bare: ReadonlyMap<string, Call>;
}

async function replayInto(mode: EndpointMode, { recordings, provider, bare }: Material): Promise<string[]> {
  const dir = await mkdtemp(join(tmpdir(), `tracelogger-corpus-${mode}-`));
  try {
    await using endpoint = await startServer({ store: fileStore(dir), mode });
    const wrapped = new Map<string, WrappedCall>();
    await forEachConcurrently(recordings, async (recording) => {
      wrapped.set(recording.id, await callWrapped(recording, { provider, endpoint: endpoint.url }));
    });
    const stored = await readTraces(dir);
    return recordings.flatMap((recording) => {
      const { id, provider: origin } = recording;
      const calls = { bare: bare.get(id) ?? NO_CALL, wrapped: wrapped.get(id)?.call ?? NO_CALL };
      const found = check({ recording, mode, ...calls, stored: stored.get(id) ?? [] });
      return [...(wrapped.get(id)?.lost ?? []), ...found].map((finding) => `${id} (${origin}): ${finding}`);
    });
  } finally {
    await rm(dir, { recursive: true });
  }
}

const NO_CALL: Call = { seen: { values: [] }, sent: [] };

interface WrappedCall {
  readonly call: Call;
  /** Traces that the logger itself gave up. */
  readonly lost: readonly string[];
}

/** A logger for each recording, with the recording's id as fingerprint: so its traces are known among all others. */
async function callWrapped(
  recording: Recording,
  { provider, endpoint }: { readonly provider: ReplayServer; readonly endpoint: string },
): Promise<WrappedCall> {
  const lost: string[] = [];
  const logger = new TraceLogger({
    endpoint,
    enabled: true,
    systemFingerprint: recording.id,
    onLoss: ({ reason, error }) => lost.push(`the trace was lost (${reason}): ${error.message}`),
  });
  const call = await makeCall(wrapOpenAI(clientFor(recording, provider), logger), { recording, provider });
  await logger.close();
  return { call, lost };
}

function clientFor(recording: Recording, provider: ReplayServer): OpenAI {
  return new OpenAI({ baseURL: provider.baseURL(recording), apiKey: "none", maxRetries: 0 });
}

async function makeCall(
  client: OpenAI,
  { recording, provider }: { readonly recording: Recording; readonly provider: ReplayServer },
): Promise<Call> {
  const seen = await observe(client, recording);
  return { seen, sent: provider.takeRequests(recording) };
}

/** Everything that was stored, by fingerprint. */
async function readTraces(dir: string): Promise<Map<unknown, unknown[]>> {
  const names = await readdir(dir, { recursive: true });
  const files = names.filter((name) => name.endsWith(".json"));
  const traces = await Promise.all(
    files.map(async (name): Promise<unknown> => JSON.parse(await readFile(join(dir, name), "utf8"))),
  );
  return Map.groupBy(traces, (trace) => (isObject(trace) ? trace["system_fingerprint"] : undefined));
}

async function forEachConcurrently<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  const worker = async () => {
    for (const item of queue) await work(item);
  };
  await Promise.all(Array.from({ length: WORKERS }, worker));
}
