/**
 * Uses the package, packed and installed with the real `openai`, under the oldest Node that it promises and under the
 * newest one that is known: what is developed here runs on one in between. Needs a build (`npm run build`). Run by
 * `npm run check:nodes`.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { emptyProject, install, pack, root, run } from "./packed.ts";

const NEWEST = "26.10.0";

const { engines, devDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const versions = [`${engines.node.replace(">=", "")}.0`, NEWEST];
const folder = mkdtempSync(join(tmpdir(), "tracelogger-nodes-"));

/** In both module systems: a provider and `tracelogger dev` on loopback, and every way to read what the provider says. */
const program = `
const said = { role: "assistant", content: "I remember the sea." };
const events = ["I remember ", "the sea."].map((content) => ({ choices: [{ index: 0, delta: { role: "assistant", content } }] }));
const stream = [...events.map((event) => JSON.stringify({ id: "1", model: "m", ...event })), "[DONE]"].map((data) => "data: " + data + "\\n\\n");
const messages = [{ role: "user", content: "What do you remember?" }];
const body = { model: "m", messages };

function answer(request, response) {
  let text = "";
  request.on("data", (chunk) => (text += chunk)).on("end", () => {
    const isStream = JSON.parse(text).stream;
    response.setHeader("content-type", isStream ? "text/event-stream" : "application/json");
    response.end(isStream ? stream.join("") : JSON.stringify({ id: "1", model: "m", choices: [{ index: 0, message: said }] }));
  });
}

/** The command line as it is installed, and where it listens. */
async function startDev(spawn) {
  const dev = spawn(process.execPath, ["node_modules/.bin/tracelogger", "dev", "--port", "0", "--dir", "traces-" + process.version]);
  process.on("exit", () => dev.kill()); // however it goes
  let printed = "";
  const url = await new Promise((resolve, reject) => {
    dev.on("exit", (code) => reject(new Error("tracelogger dev ended with " + code + ": " + printed)));
    dev.stderr.on("data", (text) => (printed += text));
    dev.stdout.on("data", (text) => {
      printed += text;
      const [, found] = /TRACELOGGER_ENDPOINT=(http:\\S+)\\n/.exec(printed) ?? [];
      if (found) resolve(found);
    });
  });
  return { dev, url };
}

async function main({ TraceLogger, wrapOpenAI, tracingFetch }, { OpenAI }, http, { Readable }, { spawn }) {
  const provider = http.createServer(answer);
  await new Promise((resolve) => provider.listen(0, "127.0.0.1", resolve));
  const baseURL = "http://127.0.0.1:" + provider.address().port + "/v1";
  const { dev, url } = await startDev(spawn);
  const traces = [];
  const redact = (trace) => (traces.push(trace), trace);
  const logger = new TraceLogger({ endpoint: url, redact });
  const openai = wrapOpenAI(new OpenAI({ apiKey: "k", baseURL }), logger);
  const fetch = tracingFetch(logger);
  const post = () => fetch(baseURL + "/chat/completions", { method: "POST", body: JSON.stringify({ ...body, stream: true }) });
  const read = async (response) => Buffer.concat(await Readable.fromWeb(response.body).toArray()).toString();
  const ways = {
    create: async () => (await openai.chat.completions.create(body)).choices[0].message.content,
    stream: async () => {
      let text = "";
      for await (const { choices } of await openai.chat.completions.create({ ...body, stream: true })) text += choices[0].delta.content;
      return text;
    },
    text: async () => (await post()).text(),
    clone: async () => (await post()).clone().text(),
    "clone and itself": async () => {
      const response = await post();
      const clone = response.clone();
      return (await read(response)) === (await clone.text()) && "the same";
    },
    bytes: async () => Buffer.from(await (await post()).arrayBuffer()).toString(),
    fromWeb: async () => read(await post()),
    pipe: async () => read({ body: (await post()).body.pipeThrough(new TransformStream()) }),
  };
  const all = stream.join("");
  const wanted = { create: said.content, stream: said.content, "clone and itself": "the same" };
  for (const [name, use] of Object.entries(ways)) {
    const got = await use();
    if (got !== (wanted[name] ?? all)) throw new Error(name + " gave its caller " + got);
    await logger.flush();
    const trace = JSON.stringify(traces.pop()?.messages);
    if (trace !== JSON.stringify([...messages, said]) || traces.length > 0) throw new Error("the trace of " + name + " says " + trace);
  }
  const { accepted, delivered } = logger.stats;
  await logger.close();
  provider.close();
  dev.removeAllListeners("exit").kill();
  if (delivered !== Object.keys(ways).length) throw new Error("delivered " + delivered + " of " + accepted);
  console.log(process.version, delivered, "delivered");
}
`;

const modules = ["tracelogger", "openai", "node:http", "node:stream", "node:child_process"];

/** Where the binary is, as its package has it: installed so, nothing is run to install it. */
const platform = `node-${process.platform === "win32" ? "win" : process.platform}-${process.arch}`;
const alias = (version: string) => `node-${version}`;

try {
  const project = emptyProject(folder);
  writeFileSync(
    join(project, "esm.mjs"),
    `${program}\nawait main(...(await Promise.all(${JSON.stringify(modules)}.map((name) => import(name)))));\n`,
  );
  writeFileSync(
    join(project, "cjs.cjs"),
    `${program}\nmain(...${JSON.stringify(modules)}.map((name) => require(name)));\n`,
  );
  install(project, "--ignore-scripts", pack(folder), `openai@${devDependencies.openai}`);
  for (const version of versions) {
    try {
      install(project, "--ignore-scripts", `${alias(version)}@npm:${platform}@${version}`);
    } catch {
      console.log(`SKIPPED: Node ${version} could not be installed as ${platform}; the package is not tried under it`);
      continue;
    }
    for (const file of ["esm.mjs", "cjs.cjs"]) {
      const node = join(project, "node_modules", alias(version), "bin/node");
      console.log(file, run(project, node, file).trim());
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
