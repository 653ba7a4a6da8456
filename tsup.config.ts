import { defineConfig, type Options } from "tsup";
import { thirdPartyNotices } from "./scripts/third-party-notices.ts";

/**
 * What users import, and in it what it needs of zod, ky and uuid: one file of ours instead of a hundred of theirs is read
 * in a third of the time and takes 15 MB less memory. `require` of ky and uuid, which are ES modules only, would besides
 * work neither in Jest nor through esbuild's interop. zod stays a dependency for the types of our schemas.
 */
const library: Options = {
  entry: {
    index: "src/index.ts",
    "ai-sdk": "src/capture/ai-sdk.ts",
    langchain: "src/capture/langchain.ts",
    redact: "src/redact.ts",
    spool: "src/delivery/spool/spool.ts",
    endpoint: "src/endpoint/index.ts",
    "endpoint-node": "src/endpoint/node.ts",
    "endpoint-s3": "src/endpoint/s3-store.ts",
    "endpoint-lambda": "src/endpoint/lambda.ts",
  },
  // `TraceLogger` is an `AsyncDisposable`, which neither browsers' projects nor older `lib` settings know.
  dts: { banner: '/// <reference lib="esnext.disposable" />' },
  target: "es2023",
  treeshake: true,
  noExternal: [/^zod\//, "ky", "uuid"],
  esbuildPlugins: [thirdPartyNotices],
};

/** The command line: one file, its parser bundled, so that installing the SDK installs no parser. */
const cli: Options = {
  entry: { cli: "src/cli/main.ts" },
  format: "esm",
  target: "node22",
  splitting: false,
  treeshake: true,
  noExternal: [/^zod\//],
  esbuildPlugins: [thirdPartyNotices],
  banner: { js: "#!/usr/bin/env node" },
};

/**
 * The Lambda function: one file to deploy, AWS's SDK in it. The runtime has a copy of its own, but which one is AWS's
 * choice and changes under a deployed function; and reading one file starts faster than resolving a thousand.
 */
const lambda: Options = {
  entry: { "lambda/index": "src/endpoint/lambda-deploy.ts" },
  format: "cjs",
  platform: "node",
  target: "node22",
  noExternal: [/./],
  splitting: false,
  treeshake: false,
  minify: true,
  esbuildPlugins: [thirdPartyNotices],
};

export default defineConfig([
  // Split, so that what is loaded on demand stays apart from what an import costs.
  { ...library, format: "esm", splitting: true },
  // Whole files: `import()` from CommonJS does not work everywhere (Jest). Where a module is, `createRequire` takes as a
  // path, too; tsup's own shim would ask the `document`, which Electron and jsdom have.
  { ...library, format: "cjs", splitting: false, treeshake: false, define: { "import.meta.url": "__filename" } },
  cli,
  lambda,
]);
