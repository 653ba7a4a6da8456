/** A program that logs and then ends in the way it is told. Arguments: URL, way, options as JSON. */
import { Worker } from "node:worker_threads";
import { TraceLogger } from "../../../src/index.ts";

const [endpoint = "", way = "end", options = "{}"] = process.argv.slice(2);
const ways: Record<string, (logger: TraceLogger) => void> = {
  end: () => {},
  exit: () => process.exit(3),
  throw: () => {
    throw new Error("the host's own error");
  },
  reject: () => void Promise.reject(new Error("the host's own rejection")),
  wait: () => {
    setInterval(() => {}, 1_000);
    console.log("waiting");
  },
  "own handler": (logger) => {
    process.on("SIGTERM", () => setInterval(() => logger.stats.pending === 0 && process.exit(7), 10));
    console.log("waiting");
    setInterval(() => {}, 1_000);
  },
};

if (way === "worker") {
  new Worker(new URL(import.meta.url), { argv: [endpoint, "end", options] });
} else {
  const logger = new TraceLogger({ endpoint, ...JSON.parse(options) });
  for (let i = 0; i < 30; i++) {
    void logger.logTrace({ model: "m", messages: [{ role: "user", content: `t${i}` }] });
  }
  ways[way]?.(logger);
}
