/**
 * What wrapping a client costs: CPU of the process per call, bare against wrapped, in one run. All kinds are in one
 * process and take turns, many times a second, so that whatever the machine, the compiler and the garbage collector do
 * befalls all of them alike: two processes of the very same program differ by as much as is measured here.
 *
 * Each round is compared in itself, with each of two bare clients: a machine has been seen to become twice as slow within
 * a run. Prints the median of these ratios and where it lies with 95 % confidence; that of a bare client to the other
 * tells how far it is to be trusted. Not compared with the mean of both: what befalls few turns, and those hard, as
 * garbage collection does, befalls a mean of two more often than one. The sums have everything in them.
 *
 *     node bench/wrapper.ts [times as many rounds]
 */
import { mean, median, percentMore, quantile, start } from "./support.ts";
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
    // By lot: in any fixed order garbage collection, which comes every so many turns, befalls some more than others.
    const drawn = clients
      .map((client) => ({ client, lot: Math.random() }))
      .toSorted((one, other) => one.lot - other.lot);
    for (const { client } of drawn) {
      const us = await makeCalls(client, { use, ...calls });
      if (round >= 0) costs.get(client.kind)?.push(us);
    }
  }
  const [bare = [], again = []] = costs.values();
  console.log(`${name}: ${median(bare).toFixed(0)} µs CPU bare, ${rounds} rounds of ${calls.times} each`);
  for (const [kind, us] of costs)
    if (us !== bare) console.log(`  ${kind}: ${compare(us, us === again ? [bare] : [bare, again])}`);
}
process.exit(); // connections are kept open

function compare(us: readonly number[], others: readonly number[][]): string {
  const ratios = others.flatMap((other) => us.map((one, round) => one / (other[round] ?? Number.NaN)));
  // Order statistics: so far from the middle, by the binomial distribution.
  const [low, high] = [-0.98, 0.98].map((z) => percentMore(quantile(ratios, 0.5 + z / Math.sqrt(us.length))));
  return `${percentMore(median(ratios))} (${low} to ${high}), sums ${percentMore(mean(us) / mean(others.flat()))}`;
}
