/** `tracelogger dev`: the endpoint on this machine, with its pages, until Ctrl+C. */
import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { type EndpointMode, fileStore, type StoredTrace } from "../endpoint/index.ts";
import { isHostName, isLoopback } from "../endpoint/loopback.ts";
import { MODES } from "../endpoint/modes.ts";
import { type RunningServer, startServer } from "../endpoint/node.ts";
import { explain, printable, UserError } from "./explain.ts";

interface DevOptions {
  readonly port: number;
  readonly host: string;
  readonly allowHost?: readonly string[];
  readonly dir: string;
  readonly mode: EndpointMode;
  readonly apiKey?: string;
  readonly expose?: true;
  readonly packed?: true;
}

const DEFAULT_PORT = 4319;
const MAX_MODEL_LENGTH = 80;

/** The command, for the program to list. */
export function devCommand(): Command {
  return new Command("dev")
    .description("run the endpoint on this machine and look at what arrives")
    .option("--port <number>", "the port; 0 takes a free one", parsePort, DEFAULT_PORT)
    .option("--dir <folder>", "where traces are kept", "./.tracelogger")
    .option("--packed", "append traces to one file a day and model, and make their pages when they are looked at")
    .addOption(
      new Option("--mode <mode>", "which deployment to answer like").choices(Object.keys(MODES)).default("proxy"),
    )
    .option("--api-key <key>", "demand this key in x-api-key", parseKey)
    .option("--host <host>", "the interface to listen on", "127.0.0.1")
    .option("--allow-host <name>", "answer to this name, too, besides localhost and IP addresses; repeatable", addName)
    .option("--expose", "allow a --host that other machines can reach")
    .action(dev);
}

async function dev(options: DevOptions): Promise<void> {
  const exposed = !isLoopback(options.host);
  if (exposed && !options.expose) {
    throw new UserError(`${options.host} can be reached from other machines. Add --expose if you mean it.`);
  }
  makeFolder(options.dir);
  const server = await start(options);
  if (exposed) console.warn("WARNING: other machines can reach this, and read the conversations stored here.");
  greet(server.url, options);
  await stopSignal();
  await server.close();
}

async function start({ port, host, allowHost, dir, mode, apiKey, packed }: DevOptions): Promise<RunningServer> {
  const apiKeys = apiKey === undefined ? [] : [apiKey];
  const store = fileStore(resolve(dir), { packed: packed === true });
  const sharePages = packed ? "on-demand" : true;
  const names = allowHost && { allowedHosts: allowHost };
  try {
    return await startServer({ store, sharePages, mode, apiKeys, host, port, onStored, onError, ...names });
  } catch (error) {
    throw new UserError(whyNotListening(error, `${host}:${port}`), { cause: error });
  }
}

/** Now, while somebody looks, and not at the first trace. */
function makeFolder(dir: string): void {
  try {
    mkdirSync(dir, { recursive: true });
  } catch (error) {
    throw new UserError(`Cannot keep traces in ${dir}: ${explain(error)}`, { cause: error });
  }
}

function onStored({ trace, duplicate, url }: StoredTrace): void {
  console.log(`${duplicate ? "again " : "stored"} ${printable(trace.model.slice(0, MAX_MODEL_LENGTH))} ${url}`);
}

function onError(error: unknown): void {
  console.error(`could not store a trace: ${explain(error)}`);
}

function greet(url: string, { dir, mode, apiKey }: DevOptions): void {
  console.log(`The endpoint listens on ${url} (mode: ${mode}). Ctrl+C ends it.

  Point the SDK at it:  TRACELOGGER_ENDPOINT=${url}${apiKey === undefined ? "" : " TRACELOGGER_API_KEY=<the key>"}
  Look at the traces:   ${url}/
  Files:                ${resolve(dir)}
`);
}

/** Resolves at the first Ctrl+C; a second one ends the process in the usual manner. */
function stopSignal(): Promise<void> {
  return new Promise((resolveStop) => {
    for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => resolveStop());
  });
}

function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65_535)
    throw new InvalidArgumentError("It must be a whole number from 0 to 65535.");
  return port;
}

function addName(name: string, names: readonly string[] = []): readonly string[] {
  if (!isHostName(name))
    throw new InvalidArgumentError("It must be a name without a port, such as host.docker.internal.");
  return [...names, name];
}

function parseKey(text: string): string {
  if (text === "") throw new InvalidArgumentError("It must not be empty.");
  return text;
}

function whyNotListening(error: unknown, where: string): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "EADDRINUSE") return `${where} is in use. Choose another port with --port, or --port 0 for a free one.`;
  if (code === "EACCES") return `Not allowed to listen on ${where}. Choose a port above 1023 with --port.`;
  return `Cannot listen on ${where}: ${explain(error)}`;
}
