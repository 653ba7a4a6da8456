/** What the endpoint stored, read from its files, as text for a terminal. */
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { type Trace, traceSchema } from "../../src/index.ts";

export interface StoredTrace {
  /** The path under the store's folder. */
  readonly path: string;
  readonly bytes: number;
  readonly trace: Trace;
}

/** Every trace under the folder, each checked against the contract once more. */
export async function readStored(dir: string): Promise<StoredTrace[]> {
  const names = await readdir(join(dir, "logs"), { recursive: true });
  const paths = names.filter((name) => name.endsWith(".json")).sort();
  return Promise.all(
    paths.map(async (name) => {
      const path = join("logs", name);
      const trace = traceSchema.parse(JSON.parse(await readFile(join(dir, path), "utf8")));
      return { path, bytes: (await stat(join(dir, path))).size, trace };
    }),
  );
}

/** The files as a tree, with what is in each. */
export function showTree(stored: readonly StoredTrace[]): string {
  const folders = Map.groupBy(stored, ({ path }) => dirname(path));
  return [...folders].map(([folder, traces]) => [`  ${folder}/`, ...traces.map(showFile)].join("\n")).join("\n");
}

function showFile({ path, bytes, trace }: StoredTrace): string {
  const { messages, choices, usage } = trace;
  const count = Array.isArray(choices) ? choices.length : Object.keys(choices ?? {}).length;
  const facts = [
    `${bytes} B`.padStart(7),
    `messages ${messages.length}`,
    `choices ${count}`,
    `tokens ${usage?.["total_tokens"] ?? "-"}`.padEnd(10),
    // The last thing a person said: tool results are stored as `user` too, in the form that begins with a fence.
    shorten(messages.findLast(({ role, content }) => role === "user" && !content.startsWith(":::"))?.content ?? ""),
  ];
  return `    ${basename(path)} ${facts.join("  ")}`;
}

function shorten(text: string): string {
  const line = text.replaceAll(/\s+/g, " ");
  return line.length > 48 ? `${line.slice(0, 47)}…` : line;
}

/** A conversation as it is stored. */
export function showConversation({ trace }: StoredTrace): string {
  return trace.messages
    .map(({ role, content }) => `  ${role.padEnd(9)} │ ${content.replaceAll("\n", `\n  ${" ".repeat(9)} │ `)}`)
    .join("\n");
}
