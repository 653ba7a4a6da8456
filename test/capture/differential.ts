/**
 * A client bare and wrapped, side by side: the same script of replies over real HTTP, the same use, and whatever the
 * user or the provider can see must be equal.
 *
 * To run it on a client of your own, put a test beside `differential.test.ts`, and run it with `npx vitest run`:
 *
 *     differentialSuite("my client", (settings) => new MyClient(settings), {
 *       "embeddings": "MyClient has none",
 *     });
 *
 * The settings name the server to talk to, a key, and what a check needs (`timeout`, `maxRetries`): hand them on.
 */
import type OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { wrapOpenAI } from "../../src/capture/openai.ts";
import type { TraceInput } from "../../src/trace.ts";
import { type ChatServer, startChatServer } from "./chat-server.ts";
import { collectingSink } from "./collecting-sink.ts";
import { type Check, type ClientSettings, checks, outcomeOf } from "./differential-checks.ts";

/** Headers that name a moment or a socket. */
const PASSING = new Set(["x-stainless-timeout", "connection", "idempotency-key"]);

/** Compare bare and wrapped, check by check. `skip`: the checks of what your client does not have, each with the reason. */
export function differentialSuite(
  name: string,
  makeClient: (settings: ClientSettings) => OpenAI,
  skip: Readonly<Record<string, string>> = {},
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
      const client = wrap(makeClient(settings));
      const outcome = await outcomeOf(() => check.use(client, settings));
      const cutOff = check.cutOff ? await server.requests[0]?.cutOff : undefined;
      const requests = server.requests.map(({ method, path, headers, body }) => {
        return { method, path, body, headers: Object.entries(headers).filter(([header]) => !PASSING.has(header)) };
      });
      return { outcome: JSON.parse(JSON.stringify(outcome) ?? "null"), requests, cutOff };
    }

    const skipped = Object.entries(skip);
    test.each(skipped)("skips only checks that exist: %s (%s)", (check, _reason) => {
      expect(checks.map(({ name }) => name)).toContain(check);
    });

    test.each(checks.filter((check) => !Object.hasOwn(skip, check.name)))(
      "shows no difference: $name",
      async (check) => {
        const sink = collectingSink();
        const bare = await observe(check, (client) => client);
        const wrapped = await observe(check, (client) => wrapOpenAI(client, sink));
        expect(wrapped).toEqual(bare);
        expect(bare.cutOff).toBe(check.cutOff);
        const traces: TraceInput[] = await sink.settle(check.traces ?? 1);
        expect(traces).toHaveLength(check.traces ?? 1);
      },
    );
  });
}
