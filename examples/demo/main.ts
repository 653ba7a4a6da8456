/**
 * `npm run demo`: real conversations through the real `openai` client, wrapped, into the endpoint of this package.
 *
 * Everything runs on loopback unless OPENAI_API_KEY or OPENAI_BASE_URL name a provider. The traces always stay on this
 * machine, in ./.demo/.
 */
import { existsSync, rmSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { type EndpointMode, fileStore } from "../../src/endpoint/index.ts"; // users write "tracelogger/endpoint"
import { type RunningServer, startServer } from "../../src/endpoint/node.ts"; // "tracelogger/endpoint/node"
import { TraceLogger, type TraceLoggerEvent, wrapOpenAI } from "../../src/index.ts"; // "tracelogger"
import { conversations } from "./conversations.ts";
import { chooseProvider } from "./provider.ts";
import { readStored, type StoredTrace, showConversation, showTree } from "./stored.ts";

const DEFAULT_DIR = resolve(import.meta.dirname, "../../.demo");
/** Where `tracelogger dev` listens: the share pages' URLs work as soon as it runs. */
const DEV_URL = "http://127.0.0.1:4319";
const API_KEY = "demo-key";

const { mode, dir } = parseArgs({
  options: {
    /** Which deployment the endpoint answers like: proxy, deployed, published or both. */
    mode: { type: "string", default: "deployed" },
    /** Where the traces are left. Only the default folder is emptied first. */
    dir: { type: "string", default: DEFAULT_DIR },
  },
}).values;

await main();

async function main(): Promise<void> {
  prepareFolder();
  await using endpoint = await startEndpoint();
  const news: string[] = [];
  // All options are given here, so that nothing in the environment can send the demo's traces anywhere else.
  const logger = new TraceLogger({
    endpoint: endpoint.url,
    apiKey: API_KEY,
    enabled: true,
    onEvent: (event) => news.push(describeEvent(event)),
  });

  const failures = await talk(logger);
  await logByHand(logger);
  await logger.close();

  const stored = await readStored(dir);
  await show(endpoint, stored);
  const { accepted, delivered, pending, lost } = logger.stats;
  const allLost = Object.values(lost).reduce((sum, count) => sum + count, 0);
  for (const line of news) print(`\nThe logger found out: ${line}`);
  print(`\nStats: accepted ${accepted} = delivered ${delivered} + pending ${pending} + lost ${allLost}`);
  print(`\nThe files stay there. To look at them in a browser:\n  npm run dev -- --dir ${shownDir()}\n  ${DEV_URL}/`);
  const isWhole = failures === 0 && delivered === accepted && stored.length === accepted;
  if (!isWhole) print(`\nNOT EVERYTHING WENT WELL: ${failures} conversations failed, ${stored.length} traces stored.`);
  process.exitCode = isWhole ? 0 : 1;
}

function prepareFolder(): void {
  for (const folder of ["logs", "share"].map((name) => join(dir, name))) {
    if (dir === DEFAULT_DIR) rmSync(folder, { recursive: true, force: true });
    else if (existsSync(folder)) throw new Error(`${dir} already holds traces: name another folder.`);
  }
}

function shownDir(): string {
  return relative(process.cwd(), dir) || ".";
}

function startEndpoint(): Promise<RunningServer> {
  print(`Endpoint: our own on loopback, answering like mode "${mode}", storing under ${shownDir()}/`);
  return startServer({
    store: fileStore(dir),
    mode: mode as EndpointMode, // the endpoint itself refuses one that it does not know
    apiKeys: [API_KEY],
    publicUrl: DEV_URL,
  });
}

/** Have every conversation. A provider that cannot do one of them does not end the demo; gives back how many failed. */
async function talk(logger: TraceLogger): Promise<number> {
  await using provider = await chooseProvider(process.env);
  print(`Provider: ${provider.description}`);
  const client = wrapOpenAI(provider.client, logger); // the one line that an application adds
  const write = (text: string) => process.stdout.write(text);
  let failures = 0;
  for (const { title, run } of conversations) {
    print(`\n── ${title}`);
    await run({ client, model: provider.model, write }).catch((error: unknown) => {
      failures++;
      print(`  failed: ${error instanceof Error ? error.message : String(error)}`);
    });
  }
  return failures;
}

async function logByHand(logger: TraceLogger): Promise<void> {
  print("\n── Logged by hand (logTrace)");
  const receipt = await logger.logTrace({
    model: "a-model-without-a-client",
    messages: [
      { role: "user", content: "Can a trace be written by hand?" },
      { role: "assistant", content: "Yes: a model and messages are enough." },
    ],
  });
  print(`  receipt: ${receipt.status}${receipt.status === "delivered" ? `, ${receipt.url}` : ""}`);
}

async function show(endpoint: RunningServer, stored: readonly StoredTrace[]): Promise<void> {
  print(`\n━━ Stored: ${stored.length} traces, each valid by the contract\n  ${shownDir()}/\n${showTree(stored)}`);
  const withTool = stored.findLast(({ trace }) => JSON.stringify(trace.messages).includes("get_weather"));
  const example = withTool ?? stored[0];
  if (example) print(`\n━━ One of them, as it is stored (${example.path})\n${showConversation(example)}`);
  print("\n━━ Share pages");
  for (const { path } of stored) print(`  ${await describePage(endpoint, path)}`);
}

async function describePage(endpoint: RunningServer, path: string): Promise<string> {
  const page = path.replace(/^logs/, "share").replace(/\.json$/, ".html");
  const response = await fetch(`${endpoint.url}/${page}`);
  const text = await response.text();
  return `${DEV_URL}/${page}  (${response.ok ? `${text.length} characters` : `HTTP ${response.status}`})`;
}

function describeEvent(event: TraceLoggerEvent): string {
  return event.type === "choices_form" ? `this endpoint takes \`choices\` as ${event.form}` : event.type;
}

function print(line: string): void {
  console.log(line);
}
