import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { type Answers, askTraces, TABLE } from "../../../examples/query/duckdb.ts";
import { type Storing, storeSomeTraces } from "../../../examples/query/some-traces.ts";
import { PACK_NAME } from "../../../src/endpoint/files/line.ts";
import { traceKey } from "../../../src/endpoint/index.ts";
import { traceSchema } from "../../../src/trace.ts";

async function storedTraces(storing: Storing = {}): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "tracelogger-query-'quoted'-"));
  await storeSomeTraces(folder, storing);
  return folder;
}

const STORINGS: Storing[] = (["contract", "partitioned"] as const).flatMap((layout) => [
  { layout, packed: false },
  { layout, packed: true },
]);

describe.each(STORINGS)("DuckDB over what is stored as %o", (storing) => {
  let answers: Answers;
  beforeAll(async () => {
    const folder = await storedTraces(storing);
    answers = await askTraces(folder);
    return () => rm(folder, { recursive: true });
  });

  test("counts traces and tokens by day and model, whatever usage is called", () => {
    expect(answers["Traces and tokens, by day and model"]).toEqual([
      { day: "2024-05-04", model: "gpt-5", traces: 2, tokens_in: 42, tokens_out: 26, without_usage: 0 },
      { day: "2024-05-04", model: "olmo-2", traces: 1, tokens_in: null, tokens_out: null, without_usage: 1 },
      { day: "2024-05-05", model: "gpt-5", traces: 1, tokens_in: 9, tokens_out: 2, without_usage: 0 },
    ]);
  });

  test("says how every choice ended, in both forms of choices", () => {
    expect(new Map(answers["How calls ended"].map(({ ended, choices }) => [ended, choices]))).toEqual(
      new Map([
        ["stop", 1],
        ["tool_calls", 1],
        ["length", 1],
        ["not said", 1],
        ["aborted", 1],
      ]),
    );
  });

  test("finds the longest conversations and the tools called", () => {
    expect(answers["The longest conversations"][0]).toMatchObject({ id: "by-hand", messages: 2, characters: 119 });
    expect(answers["Tools that were called"]).toEqual([{ tool: "get_weather", calls: 1 }]);
  });
});

describe("the Athena tables", () => {
  const sql = readFileSync(new URL("../../../examples/query/athena.sql", import.meta.url), "utf8");
  const statements = sql
    .replace(/^--.*$/gm, "")
    .split(";")
    .map((statement) => statement.trim())
    .filter(Boolean);
  const tables = statements.filter((statement) => statement.startsWith("CREATE"));
  const columnsOf = (table: string) =>
    [...table.matchAll(/^ {2}(\w+) (\S+?),?$/gm)].map(([, name, type]) => [name, type]);

  test("have exactly the contract's fields", () => {
    expect(tables).toHaveLength(2);
    for (const table of tables) {
      expect(
        columnsOf(table)
          .map(([name]) => name)
          .sort(),
      ).toEqual(Object.keys(traceSchema.shape).sort());
    }
  });

  test.each([
    ["contract", 0, "20240504"],
    ["partitioned", 1, "2024-05-04"],
  ] as const)("look for the %s layout where it is, in the form its days are written in", async (layout, index, day) => {
    const [, template = ""] = /'storage.location.template' = 's3:\/\/BUCKET\/([^']+)'/.exec(tables[index] ?? "") ?? [];
    const [, format] = /'projection.dt.format' = '([^']+)'/.exec(tables[index] ?? "") ?? [];
    const folder = template.replaceAll(/\$\{(\w+)\}/g, (_, name) => (name === "dt" ? day : "gpt-5"));
    const key = await traceKey({ id: "x", system_fingerprint: "gpt-5", created: 1_714_857_600 }, layout);
    expect(key.json.startsWith(folder)).toBe(true);
    expect(format).toBe(day.includes("-") ? "yyyy-MM-dd" : "yyyyMMdd");
  });

  test("have the types that DuckDB reads, but for JSON, which is text in Athena", () => {
    const types = Object.fromEntries(columnsOf(tables[0] ?? ""));
    for (const [name, type] of [...TABLE.matchAll(/(\w+): '(VARCHAR|BIGINT|JSON)'/g)].map(([, ...pair]) => pair)) {
      expect([name, types[name ?? ""]]).toEqual([name, type === "BIGINT" ? "bigint" : "string"]);
    }
  });

  test("take every file of a folder, and so its pack: nothing in them names files", async () => {
    for (const table of tables) {
      expect(table).toContain("org.openx.data.jsonserde.JsonSerDe"); // reads a JSON object a line
      expect(table).not.toMatch(/[.](?:nd)?json\b/);
    }
    // Athena leaves out files whose names begin so.
    expect(PACK_NAME).toMatch(/^[^_.]/);
  });

  test.each([false, true])(
    "their queries run, in DuckDB with Athena's names for its functions (packed: %s)",
    async (packed) => {
      const folder = await storedTraces({ packed });
      onTestFinished(() => rm(folder, { recursive: true }));
      const connection = await (await DuckDBInstance.create(":memory:")).connect();
      onTestFinished(() => connection.closeSync());
      const files = join(folder, "logs/*/*/*.*json").replaceAll("'", "''");
      await connection.run(TABLE.replace("VIEW traces", "VIEW plain").replace("$files", () => `'${files}'`));
      await connection.run(`CREATE VIEW traces AS SELECT *, system_fingerprint AS fp,
      strftime(to_timestamp(created) AT TIME ZONE 'UTC', '%Y%m%d') AS dt FROM plain`);
      await connection.run(
        `CREATE MACRO json_extract_scalar(json, path) AS json_extract_string(json, replace(replace(path, '["', '."'), '"]', '"'))`,
      );
      const queries = statements.filter((statement) => statement.startsWith("SELECT"));
      const answers = [];
      for (const query of queries) answers.push((await connection.runAndReadAll(query)).getRowsJson());
      expect(answers).toEqual([
        [
          ["20240504", "gpt-5", "2", "42", "26"],
          ["20240505", "gpt-5", "1", "9", "2"],
        ],
        [
          ["not said", "1"],
          ["stop", "1"],
          ["tool_calls", "1"],
        ],
      ]);
    },
  );
});
