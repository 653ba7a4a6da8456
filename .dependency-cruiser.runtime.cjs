/** What importing the client loads, types left aside. The second half of `npm run lint`'s check of the imports. */
const rooms = require("./.dependency-cruiser.cjs");

module.exports = {
  forbidden: [
    {
      name: "no-node-imports-in-what-index-reaches",
      comment: "The core runs on Node, Bun, Deno, workers and the edge. What needs node: is loaded on demand.",
      severity: "error",
      from: { path: "^src/index\\.ts$" },
      to: {
        reachable: true,
        path: "^(node:)?(fs|http|https|path|os|crypto|worker_threads|async_hooks|zlib|util|url|stream|events|child_process|process|buffer|module|net|tls)(/|$)",
      },
    },
  ],
  options: { ...rooms.options, tsPreCompilationDeps: false },
};
