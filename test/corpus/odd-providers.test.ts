import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadRecordings } from "./recordings.ts";
import { type Corpus, MODES, openCorpus } from "./replay.ts";

/**
 * Written by us after the wire formats of these providers, never recorded: each line's `source` says what is odd in it.
 * The corpus itself is other people's and not always at hand; these always are.
 */
const FIXTURES = new URL("../fixtures/odd-providers.jsonl", import.meta.url);

describe("the ways in which OpenAI-compatible providers differ", () => {
  let corpus: Corpus;
  beforeAll(async () => {
    corpus = await openCorpus(loadRecordings(FIXTURES));
  });
  afterAll(() => corpus[Symbol.asyncDispose]());

  it.each(MODES)("go through the wrapped client unchanged and arrive whole in mode %s", async (mode) => {
    expect(await corpus.findings(mode)).toEqual([]);
  });
});
