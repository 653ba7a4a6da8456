/** A loopback endpoint in a process of its own, so that its work is not counted. Prints its URL; answers at once. */
import { createServer } from "node:http";

const answer = JSON.stringify({ outcome: "success", error: null, url: null });
const server = createServer((request, response) => {
  request.resume().on("end", () => response.writeHead(200, { "content-type": "application/json" }).end(answer));
});
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (typeof address === "object") console.log(`http://127.0.0.1:${address?.port}/prod`);
});
process.on("disconnect", () => process.exit());
