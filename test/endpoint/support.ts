import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { createEndpoint, type EndpointOptions } from "../../src/endpoint/create-endpoint.ts";
import { fileStore } from "../../src/endpoint/file-store.ts";
import type { Store } from "../../src/endpoint/store.ts";

export const ORIGIN = "http://127.0.0.1:4319";

/** A folder that is gone after the test. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "tracelogger-endpoint-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** All files under a folder, as paths relative to it. */
export async function filesUnder(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}

export const trace = (fields: object = {}) => ({
  id: "trace-1",
  model: "olmo-2",
  created: 1_714_857_600, // 2024-05-04T21:20:00Z
  messages: [
    { role: "user", content: "What is a LLM?" },
    { role: "assistant", content: "A language model." },
  ],
  ...fields,
});

/** An endpoint over a folder of its own, without any network. */
export async function testEndpoint(options: Partial<EndpointOptions> = {}) {
  const folder = await temporaryFolder();
  const endpoint = createEndpoint({ store: fileStore(folder), ...options });
  const send = (request: Request) => endpoint(request);
  const get = (path: string, headers: Record<string, string> = {}) => send(new Request(ORIGIN + path, { headers }));
  const post = (body: unknown, headers: Record<string, string> = {}) =>
    send(postRequest(typeof body === "string" ? body : JSON.stringify(body), headers));
  return { folder, endpoint, get, post };
}

export function postRequest(body: BodyInit, headers: Record<string, string> = {}, path = "/"): Request {
  return new Request(ORIGIN + path, {
    method: "POST",
    body,
    headers: { "content-type": "application/json", ...headers },
  });
}

/** Status and body, the envelope's inner JSON opened: what a client gets to know. */
export async function told(response: Response): Promise<unknown[]> {
  const text = await response.text();
  const body = JSON.parse(text);
  return typeof body.body === "string"
    ? [response.status, { ...body, body: JSON.parse(body.body) }]
    : [response.status, body];
}

/** A store in memory, which fails where it is told to. */
export function memoryStore(failPut: (key: string, content: string) => boolean = () => false) {
  const entries = new Map<string, string>();
  const store: Store = {
    put: async (key, content) => {
      if (failPut(key, content)) throw new Error("the store was told to fail");
      if (entries.has(key)) return "taken";
      entries.set(key, content);
      return "created";
    },
    read: async (key) => entries.get(key),
    async *list() {},
  };
  return { ...store, entries };
}
