/**
 * What wrapping a client costs: CPU of the process per call, bare against wrapped, in one run. All kinds are in one
 * process and take turns, many times a second, so that whatever the machine, the compiler and the garbage collector do
 * befalls all of them alike: two processes of the very same program differ by as much as is measured here.
 *
 * Prints how the medians of the rounds compare, with that of a second bare client, which tells how far they can be
 * trusted, and the sums, which have everything in them.
 *
 *     node bench/wrapper.ts [times as many rounds]
 */
import { mean, median, percentMore, start } from "./support.ts";
import { makeCalls, startClient } from "./wrapper-calls.ts";

const factor = Number(process.argv[2] ?? 1);
const kinds = ["bare", "bare again", "wrapped, capture alone", "wrapped, with delivery"] as const;
const uses = {
  // Until everything is compiled as well as it will be: what runs once a call takes ten thousand of them.
  call: { name: "call with a 1 KB reply", times: 50, atOnce: 1, warmUpRounds: 250, rounds: 400 * factor },
  // At once, because they take their time: their chunks come one by one.
  stream: { name: "stream of 200 chunks", times: 20, atOnce: 20, warmUpRounds: 40, rounds: 100 * factor },
};

using provider = await start("provider.ts");
using endpoint = await start("sink.ts");
const clients = kinds.map((kind) => ({ kind, ...startClient(kind, provider.url, endpoint.url) }));

for (const [use, { name, warmUpRounds, rounds, ...calls }] of Object.entries(uses)) {
  /** CPU of a call in each round, in µs. */
  const costs = new Map<string, number[]>(kinds.map((kind) => [kind, []]));
  for (let round = -warmUpRounds; round < rounds; round++) {
    const first = Math.abs(round) % clients.length;
    const inTurn = [...clients.slice(first), ...clients.slice(0, first)];
    for (const client of round % 2 === 0 ? inTurn : inTurn.toReversed()) {
      const us = await makeCalls(client, { use, ...calls });
      if (round >= 0) costs.get(client.kind)?.push(us);
    }
  }
  const [bare = [], ...others] = costs.values();
  console.log(`${name}: ${median(bare).toFixed(0)} µs CPU bare, ${rounds} rounds of ${calls.times} each`);
  for (const [place, us] of others.entries()) {
    const ratio = percentMore(median(us) / median(bare));
    console.log(`  ${kinds[place + 1]}: ${ratio}, sums ${percentMore(mean(us) / mean(bare))}`);
  }
}
process.exit(); // connections are kept open
