/**
 * What the main entry weighs, minified and gzipped, dependencies (zod/mini, uuid, ky) included. Sending (ky and the
 * table of answers) is loaded when the first trace leaves, following calls when something is wrapped, reading them when
 * the first one is made: all that is no part of what an import costs.
 */
const withoutLoadedOnDemand = (config) => ({
  ...config,
  format: "esm",
  external: [
    "attempt",
    "batch-posts",
    "follow-call",
    "read-back",
    "chat-completions",
    "completions",
    "responses",
    "include-usage",
    "condense",
  ].map((name) => `./${name}-*`),
});

module.exports = [
  {
    name: "import of the main entry",
    path: "dist/index.js",
    gzip: true,
    limit: "25 kB",
    modifyEsbuildConfig: withoutLoadedOnDemand,
  },
  { name: "all of it, with what is loaded on demand", path: "dist/index.js", gzip: true, limit: "50.1 kB" },
];
