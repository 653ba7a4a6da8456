/**
 * A client bare and wrapped, side by side: the same script of replies over real HTTP, the same use, and whatever the
 * user or the provider can see must be equal.
 *
 * To run it on a client of your own, write a module that makes one, as `test/fixtures/own-client.ts` does, wherever the
 * client is installed, and name it in a clone of this repository:
 *
 *     OWN_CLIENT=../my-app/own-client.ts npx vitest run test/capture/differential-own.test.ts
 *
 * The settings name the server to talk to, a key, and what a check needs (`timeout`, `maxRetries`): hand them on. A check
 * of what your client does not have fails bare, and says so: skip it.
 */
import type OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { wrapOpenAI } from "../../src/capture/openai.ts";
import { isNodeFetch } from "../../src/capture/wire.ts";
import type { TraceInput } from "../../src/trace.ts";
import { type ChatServer, startChatServer } from "./chat-server.ts";
import { collectingSink } from "./collecting-sink.ts";
import { apiChecks } from "./differential-apis.ts";
import { type Check, type ClientSettings, chatChecks, outcomeOf } from "./differential-checks.ts";

const checks: readonly Check[] = [...chatChecks, ...apiChecks];

/** Headers that name a moment or a socket. */
const PASSING = new Set(["x-stainless-timeout", "connection", "idempotency-key"]);

/** Names of checks, or how they begin (`responses:*`), each with the reason. */
export type Skip = Readonly<Record<string, string>>;

const isMeant = (pattern: string, { name }: Check) =>
  pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern;

/** A check that does not get as far as the client's own work proves nothing. */
const DOES_NOT_HAVE =
  /"TypeError".*(?:is not a function|is not async iterable|undefined \(reading '(?:create|generate|list|retrieve|parse|stream)'\))/;

/** Compare bare and wrapped, check by check. `skip`: the checks of what your client does not have. */
export function differentialSuite(
  name: string,
  makeClient: (settings: ClientSettings) => OpenAI,
  skip: Skip = {},
): void {
  describe(name, () => {
    let server: ChatServer;
    beforeAll(async () => {
      server = await startChatServer();
    });
    afterAll(() => server[Symbol.asyncDispose]());

    async function observe(check: Check, wrap: (client: OpenAI) => OpenAI) {
      server.script(...check.replies);
      const settings = { baseURL: server.baseURL, apiKey: "sk-test", maxRetries: 0, ...check.settings };
      const made = makeClient(settings);
      const seesArrivals = isNodeFetch(Reflect.get(made, "fetch"));
      const client = wrap(made);
      const outcome = await outcomeOf(() => check.use(client, settings));
      const cutOff = check.cutOff ? await server.requests[0]?.cutOff : undefined;
      const requests = server.requests.map(({ method, path, headers, body }) => {
        // A form is held together by a text that is drawn by lot.
        const [, boundary = "boundary="] = /boundary=(\S+)/.exec(headers["content-type"] ?? "") ?? [];
        const told = Object.entries(headers).filter(([header]) => !PASSING.has(header));
        const sent = { method, path, body, headers: told };
        return JSON.parse(JSON.stringify(sent).replaceAll(boundary, "…"));
      });
      return { outcome: JSON.parse(JSON.stringify(outcome) ?? "null"), requests, cutOff, seesArrivals };
    }

    const skipped = Object.entries(skip);
    test.each(skipped)("skips only checks that exist: %s (%s)", (pattern, _reason) => {
      expect(checks.filter((check) => isMeant(pattern, check))).not.toEqual([]);
    });

    test.each(checks.filter((check) => !Object.keys(skip).some((pattern) => isMeant(pattern, check))))(
      "shows no difference: $name",
      async (check) => {
        const sink = collectingSink();
        const bare = await observe(check, (client) => client);
        expect(JSON.stringify(bare.outcome), "what the bare client does").not.toMatch(DOES_NOT_HAVE);
        const wrapped = await observe(check, (client) => wrapOpenAI(client, sink));
        expect(wrapped).toEqual(bare);
        expect(bare.cutOff).toBe(check.cutOff);
        const { traces: told = 1 } = check;
        const expected = told === "unread" ? Number(bare.seesArrivals) : told;
        const traces: TraceInput[] = await sink.settle(expected);
        expect(traces).toHaveLength(expected);
      },
    );
  });
}
