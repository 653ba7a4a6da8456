/**
 * What wrapping a client costs: CPU of the process per call, bare against wrapped, in one run. Each kind has a process of
 * its own, and they take turns, many times a second, so that what else the machine does befalls all of them alike.
 * Prints the median of the ratios of rounds, and the ratio of the sums, which has everything in it.
 *
 *     node bench/wrapper.ts [rounds]
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { mean, median, quantile, start } from "./support.ts";

const rounds = Number(process.argv[2] ?? 150);
const uses = {
  call: { name: "call with a 1 KB reply", times: 100 },
  stream: { name: "stream of 200 chunks", times: 20 },
};
/** Until everything is compiled as well as it will be. */
const WARM_UP_ROUNDS = 25;

using provider = await start("provider.ts");
using endpoint = await start("sink.ts");

/** Has the work done by a process of that kind, and gives back the CPU of one call in µs. */
async function startClient(kind: string) {
  const child = fork(new URL("wrapper-client.ts", import.meta.url), [kind, provider.url, endpoint.url]);
  await once(child, "message");
  const measure = async (use: string, times: number): Promise<number> => {
    child.send({ use, times });
    return Number((await once(child, "message"))[0]);
  };
  return { kind, measure, stop: () => child.disconnect() };
}

const bare = await startClient("bare");
// Bare against bare shows what the measurement itself is worth.
const others = await Promise.all(["bare again", "wrapped, capture alone", "wrapped, with delivery"].map(startClient));

for (const [use, { name, times }] of Object.entries(uses)) {
  const costs = new Map<string, number[]>();
  for (let round = -WARM_UP_ROUNDS; round < rounds; round++) {
    const inTurn = round % 2 === 0 ? [bare, ...others] : [bare, ...others].reverse();
    for (const { kind, measure } of inTurn) {
      const us = await measure(use, times);
      if (round >= 0) costs.set(kind, [...(costs.get(kind) ?? []), us]);
    }
  }
  const bareUs = costs.get(bare.kind) ?? [];
  console.log(`${name}: ${median(bareUs).toFixed(0)} µs CPU bare, ${rounds} rounds of ${times}`);
  for (const { kind } of others) {
    const us = costs.get(kind) ?? [];
    const ratios = us.map((each, round) => each / (bareUs[round] ?? Number.NaN));
    const percent = (ratio: number) => `${((ratio - 1) * 100).toFixed(1)} %`;
    const quartiles = `quartiles ${percent(quantile(ratios, 0.25))} to ${percent(quantile(ratios, 0.75))}`;
    console.log(`  ${kind}: ${percent(median(ratios))} (${quartiles}), sums ${percent(mean(us) / mean(bareUs))}`);
  }
}
for (const { stop } of [bare, ...others]) stop();
