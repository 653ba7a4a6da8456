import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { APIS } from "./apis.ts";
import { corpusFile, loadRecordings } from "./recordings.ts";
import { type Corpus, MODES, openCorpus } from "./replay.ts";

const file = corpusFile();
const recordings = file === undefined ? [] : loadRecordings(file);
const replayable = recordings.filter(({ api }) => APIS.has(api));

if (file === undefined)
  console.warn("SKIPPED recorded traffic: there is no ../shared/corpus, and no CORPUS_FILE is named.");
const title = `recorded traffic: ${replayable.length} of ${recordings.length} recordings in ${file}`;

describe.skipIf(file === undefined)(title, () => {
  let corpus: Corpus;
  beforeAll(async () => {
    corpus = await openCorpus(replayable);
  });
  afterAll(() => corpus[Symbol.asyncDispose]());

  it("has something to replay", () => {
    expect(replayable).not.toEqual([]);
  });

  it.each(MODES)("goes through the wrapped client unchanged and arrives whole in mode %s", async (mode) => {
    expect(await corpus.findings(mode)).toEqual([]);
  });
});
