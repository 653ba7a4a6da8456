/**
 * What wrapping a client costs: CPU of the process per call, bare against wrapped, in one run. Each kind has processes of
 * its own, and they take turns, many times a second, so that what else the machine does befalls all of them alike. And
 * it has several, one after the other: two processes of the very same program can differ by as much as is measured here,
 * because each is compiled and laid out in memory in its own way.
 *
 * Of each process counts the CPU that three tenths of its rounds stay below: noise only adds. Prints how the medians of
 * the processes compare, and the sums of all rounds, which have everything in them.
 *
 *     node bench/wrapper.ts [processes of each kind]
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { mean, median, percentMore, quantile, start } from "./support.ts";
import type { Calls } from "./wrapper-client.ts";

const processes = Number(process.argv[2] ?? 6);
const kinds = ["bare", "bare again", "wrapped, capture alone", "wrapped, with delivery"];
const uses = {
  // Until everything is compiled as well as it will be: what runs once a call takes twelve thousand of them.
  call: { name: "call with a 1 KB reply", times: 100, atOnce: 1, warmUpRounds: 140 },
  // At once, because they take their time: their chunks come one by one.
  stream: { name: "stream of 200 chunks", times: 40, atOnce: 40, warmUpRounds: 70 },
};
const ROUNDS = 24;

using provider = await start("provider.ts");
using endpoint = await start("sink.ts");

/** Has the work done by a process of that kind, and gives back the CPU of one call in µs. */
async function startClient(kind: string) {
  const child = fork(new URL("wrapper-client.ts", import.meta.url), [kind, provider.url, endpoint.url]);
  await once(child, "message");
  const measure = async (calls: Calls): Promise<number> => {
    child.send(calls);
    return Number((await once(child, "message"))[0]);
  };
  return { kind, measure, stop: () => child.disconnect() };
}

/** Of each use and kind: the CPU of a call in every round of every process, in µs. */
const costs = new Map<string, number[][]>();
const costsOf = (use: string, kind: string) => costs.get(`${use} ${kind}`) ?? [];

for (let count = 0; count < processes; count++) {
  const clients = await Promise.all(kinds.map(startClient));
  for (const [use, { times, atOnce, warmUpRounds }] of Object.entries(uses)) {
    const rounds = new Map<string, number[]>(kinds.map((kind) => [kind, []]));
    for (let round = -warmUpRounds; round < ROUNDS; round++) {
      const inTurn = round % 2 === 0 ? clients : clients.toReversed();
      for (const { kind, measure } of inTurn) {
        const us = await measure({ use, times, atOnce });
        if (round >= 0) rounds.get(kind)?.push(us);
      }
    }
    for (const [kind, us] of rounds) costs.set(`${use} ${kind}`, [...costsOf(use, kind), us]);
  }
  for (const { stop } of clients) stop();
}

const [bare = "", ...others] = kinds;
for (const [use, { name, times }] of Object.entries(uses)) {
  const quiet = (kind: string) => costsOf(use, kind).map((us) => quantile(us, 0.3));
  const sum = (kind: string) => mean(costsOf(use, kind).flat());
  const bareUs = median(quiet(bare));
  console.log(`${name}: ${bareUs.toFixed(0)} µs CPU bare, ${processes} processes, ${ROUNDS} rounds of ${times} each`);
  for (const kind of others) {
    const quartiles = [0.25, 0.75].map((part) => percentMore(quantile(quiet(kind), part) / bareUs)).join(" to ");
    const ratio = percentMore(median(quiet(kind)) / bareUs);
    console.log(`  ${kind}: ${ratio} (quartiles ${quartiles}), sums ${percentMore(sum(kind) / sum(bare))}`);
  }
}
