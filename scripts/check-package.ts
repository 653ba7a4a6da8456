/**
 * Checks the tarball, not the tree: packs it, lints it (publint, attw), installs it into an empty project, and uses it
 * there from ESM and from CommonJS. Needs a build (`npm run build`). Run by `npm run check:package`.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { emptyProject, install, pack, root, run } from "./packed.ts";

const folder = mkdtempSync(join(tmpdir(), "tracelogger-package-"));

/**
 * One program, in both module systems: it logs into a server of its own, puts our schema, made by the zod that is bundled,
 * into ones of the zod that is installed, and prints what arrived.
 */
const program = `
async function main({ TraceLogger, wrapOpenAI, parseTrace, isTraceLoggerError, traceInputSchema }, { createEndpoint }, { startServer }, http, zods) {
  const stored = [];
  const server = http.createServer((request, response) => {
    let body = "";
    request.on("data", (chunk) => (body += chunk)).on("end", () => {
      stored.push(JSON.parse(body));
      response.end(JSON.stringify({ outcome: "success", error: null, url: null }));
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const logger = new TraceLogger({ endpoint: "http://127.0.0.1:" + server.address().port });
  const receipt = await logger.logTrace({ model: "m", messages: [{ role: "user", content: "hi" }] });
  if (receipt.status !== "delivered" || stored.length !== 1) throw new Error(JSON.stringify(receipt));
  if (typeof wrapOpenAI !== "function" || typeof createEndpoint !== "function" || typeof startServer !== "function") throw new Error("names are missing");
  try { parseTrace({}); } catch (error) { if (!isTraceLoggerError(error)) throw error; }
  for (const { z } of zods) {
    const schema = z.object({ trace: traceInputSchema });
    const isValid = (trace) => schema.safeParse({ trace }).success;
    if (!isValid(stored[0]) || isValid({ ...stored[0], id: 1 })) throw new Error("traceInputSchema does not work in a user's zod");
  }
  await logger.close();
  server.close();
  console.log("delivered", stored[0].messages[0].content);
}
`;

/** The types stand by themselves: in a browser's project too, without Node's types and with every declaration checked. */
function checkTypes(project: string): void {
  writeFileSync(
    join(project, "types.mts"),
    `import { TraceLogger, tracingFetch } from "tracelogger";
const logger = new TraceLogger({ endpoint: "http://127.0.0.1" });
export const fetch: typeof globalThis.fetch = tracingFetch(logger);
export const url: Promise<string | null | undefined> = logger
  .logTrace({ model: "m", messages: [{ role: "user", content: "hi" }] })
  .then((receipt) => (receipt.status === "delivered" ? receipt.url : undefined));
// @ts-expect-error a misspelt option
new TraceLogger({ endpont: "http://127.0.0.1" });
`,
  );
  const flags = "--noEmit --strict --skipLibCheck false --target es2022 --lib es2022,dom".split(" ");
  for (const resolution of ["bundler", "nodenext"]) {
    const module = resolution === "bundler" ? "esnext" : resolution;
    const how = ["--module", module, "--moduleResolution", resolution];
    run(project, join(root, "node_modules/.bin/tsc"), ...flags, ...how, "types.mts");
  }
}

/** What the types are made of is declared: package managers that hoist nothing (pnpm) would not find anything else. */
function checkDeclarations(project: string): void {
  const { dependencies, peerDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const declared = Object.keys({ ...dependencies, ...peerDependencies });
  const dist = join(project, "node_modules/tracelogger/dist");
  for (const file of readdirSync(dist).filter((name) => /[.]d[.]c?ts$/.test(name))) {
    const imports = readFileSync(join(dist, file), "utf8").matchAll(/(?:from|import) ['"](?![.]|node:)([^'"]+)/g);
    const unknown = [...imports]
      .map(([, path = ""]) => path)
      .filter((path) => !declared.some((name) => `${path}/`.startsWith(`${name}/`)));
    if (unknown.length > 0) throw new Error(`${file} imports types of ${unknown}, which package.json does not declare`);
  }
}

/** Every subpath of `exports`, and one name that it must have. */
const NAMES: Readonly<Record<string, string>> = {
  ".": "TraceLogger",
  "./ai-sdk": "tracingMiddleware",
  "./langchain": "tracingHandler",
  "./redact": "redactSecrets",
  "./spool": "openSpool",
  "./endpoint": "createEndpoint",
  "./endpoint/node": "startServer",
  "./endpoint/s3": "s3Store",
  "./endpoint/lambda": "createHandler",
};

/** With the optional peers beside it: `import` and `require` every subpath, and find its name in both. */
function checkSubpaths(project: string): void {
  const { exports, devDependencies, peerDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const subpaths = Object.keys(exports).filter((path) => path !== "./package.json");
  const unknown = subpaths.filter((path) => NAMES[path] === undefined);
  if (unknown.length > 0) throw new Error(`scripts/check-package.ts does not know what ${unknown} must export`);
  const peers = Object.keys(peerDependencies).map((name) => `${name}@${devDependencies[name]}`);
  install(project, ...peers);
  const wanted = subpaths.map((path) => [path.replace(/^\./, "tracelogger"), NAMES[path]]);
  const check = `
const has = (how, path, module, name) => {
  if (typeof module[name] !== "function") throw new Error(how + " of " + path + " has no " + name + ": " + Object.keys(module));
};
const all = ${JSON.stringify(wanted)};`;
  writeFileSync(
    join(project, "subpaths.mjs"),
    `${check}\nfor (const [path, name] of all) has("import", path, await import(path), name);\nconsole.log(all.length);\n`,
  );
  writeFileSync(
    join(project, "subpaths.cjs"),
    `${check}\nfor (const [path, name] of all) has("require", path, require(path), name);\nconsole.log(all.length);\n`,
  );
  for (const file of ["subpaths.mjs", "subpaths.cjs"]) {
    const printed = run(project, process.execPath, file).trim();
    if (printed !== String(subpaths.length)) throw new Error(`${file} printed ${printed}`);
  }
  console.log(`every subpath can be imported and required: ${subpaths.join(" ")}`);
}

try {
  const tarball = pack(folder);
  console.log(run(root, "npx", "publint", "run", tarball, "--strict"));
  // Every resolution: TypeScript 5 takes node10 for CommonJS where nothing else is set, and it knows no `exports`.
  console.log(run(root, "npx", "attw", tarball));
  const project = emptyProject(folder);
  install(project, tarball);
  writeFileSync(
    join(project, "esm.mjs"),
    `import * as main_ from "tracelogger"; import * as endpoint from "tracelogger/endpoint"; import * as node from "tracelogger/endpoint/node"; import http from "node:http"; import * as zod from "zod"; import * as mini from "zod/mini";\n${program}\nawait main(main_, endpoint, node, http, [zod, mini]);\n`,
  );
  writeFileSync(
    join(project, "cjs.cjs"),
    `${program}\nmain(require("tracelogger"), require("tracelogger/endpoint"), require("tracelogger/endpoint/node"), require("node:http"), [require("zod"), require("zod/mini")]);\n`,
  );
  for (const file of ["esm.mjs", "cjs.cjs"]) {
    const printed = run(project, process.execPath, file);
    if (printed !== "delivered hi\n") throw new Error(`${file} printed ${printed}`);
  }
  checkTypes(project);
  checkDeclarations(project);
  const help = run(project, process.execPath, "node_modules/.bin/tracelogger", "--help");
  if (!help.includes("dev")) throw new Error(`tracelogger --help printed ${help}`);
  console.log(run(project, "du", "-sh", "node_modules"));
  checkSubpaths(project); // last: it installs the optional peers, which the steps before do without
} finally {
  rmSync(folder, { recursive: true, force: true });
}
