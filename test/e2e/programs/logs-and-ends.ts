/** A program that logs and then simply has nothing left to do. Arguments: URL, number of traces. */
import { TraceLogger } from "../../../src/index.ts";

const [endpoint = "", count = "1"] = process.argv.slice(2);
const logger = new TraceLogger({ endpoint });
for (let i = 0; i < Number(count); i++) {
  void logger.logTrace({ model: "m", messages: [{ role: "user", content: `t${i}` }] });
}
