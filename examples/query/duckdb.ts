/**
 * Questions to stored traces, answered by DuckDB over the files as they are: `node examples/query/duckdb.ts [folder]`.
 * The folder is a `fileStore`'s, or a copy of the bucket (`aws s3 sync s3://<bucket>/logs ./traces/logs`), in either
 * layout. Without one, a few traces are stored through the endpoint first.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { DuckDBInstance } from "@duckdb/node-api";
import { storeSomeTraces } from "./some-traces.ts";

/**
 * `choices` and `usage` are JSON, not structs: `choices` comes as a list or as an object keyed by index, and `usage`
 * has other fields with every provider. A column that a trace does not have is NULL.
 */
export const TABLE = `
CREATE VIEW traces AS SELECT * FROM read_json($files, format = 'auto', columns = {
  id: 'VARCHAR', object: 'VARCHAR', created: 'BIGINT', model: 'VARCHAR', system_fingerprint: 'VARCHAR',
  messages: 'STRUCT("role" VARCHAR, content VARCHAR)[]', choices: 'JSON', usage: 'JSON'
})`;

/** As chat completions, responses, the AI SDK and LangChain's completion models call them. */
const TOKENS_IN = tokens("prompt_tokens", "input_tokens", "inputTokens.total", "promptTokens");
const TOKENS_OUT = tokens("completion_tokens", "output_tokens", "outputTokens.total", "completionTokens");

function tokens(...paths: readonly string[]): string {
  return `coalesce(${paths.map((path) => `usage->>'$.${path}'`).join(", ")})::BIGINT`;
}

/** Question → SQL. */
export const QUESTIONS = {
  "Traces and tokens, by day and model": `
    SELECT strftime(to_timestamp(created) AT TIME ZONE 'UTC', '%Y-%m-%d') AS day, model, count(*)::INTEGER AS traces,
      sum(${TOKENS_IN})::INTEGER AS tokens_in, sum(${TOKENS_OUT})::INTEGER AS tokens_out,
      count(*) FILTER (usage IS NULL)::INTEGER AS without_usage
    FROM traces GROUP BY ALL ORDER BY day, model`,
  // A call that did not end well has a closing message; else the choices say it, each one, in either form.
  "How calls ended": `
    WITH endings AS (
      SELECT regexp_extract(list_last(messages).content, '^:{3,} call [{]"ended":"(\\w+)"', 1) AS ended,
        CASE json_type(choices) WHEN 'ARRAY' THEN choices->'$[*]' WHEN 'OBJECT' THEN choices->'$.*' ELSE [] END AS choices
      FROM traces)
    SELECT coalesce(nullif(ended, ''), choice->>'$.finish_reason', 'not said') AS ended, count(*)::INTEGER AS choices
    FROM (SELECT ended, unnest(CASE WHEN len(choices) = 0 THEN [NULL] ELSE choices END) AS choice FROM endings) GROUP BY 1 ORDER BY 2 DESC, 1`,
  "The longest conversations": `
    SELECT id, model, len(messages)::INTEGER AS messages,
      list_sum(list_transform(messages, lambda message: length(message.content)))::INTEGER AS characters
    FROM traces ORDER BY characters DESC, id LIMIT 5`,
  "Tools that were called": `
    SELECT call->>'$.function.name' AS tool, count(*)::INTEGER AS calls
    FROM (SELECT unnest(CASE json_type(choices) WHEN 'ARRAY' THEN choices->'$[*].message.tool_calls[*]'
                                                ELSE choices->'$.*.message.tool_calls[*]' END) AS call FROM traces)
    GROUP BY tool ORDER BY calls DESC, tool`,
} as const;

export type Answers = Record<keyof typeof QUESTIONS, Record<string, unknown>[]>;

/** Ask everything of the traces under a folder. Rejects with DuckDB's error when there are none. */
export async function askTraces(folder: string): Promise<Answers> {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  try {
    // Of packs (`fileStore(folder, { packed: true })`), too: traces.ndjson, a line a trace.
    const files = join(folder, "logs", "**", "*.*json").replaceAll("\\", "/").replaceAll("'", "''");
    await connection.run(TABLE.replace("$files", () => `'${files}'`)); // a view takes no parameters
    const rows = async (sql: string) => (await connection.runAndReadAll(sql)).getRowObjectsJson();
    const answers = Object.entries(QUESTIONS).map(async ([question, sql]) => [question, await rows(sql)] as const);
    return Object.fromEntries(await Promise.all(answers)) as Answers; // the keys are those of QUESTIONS
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

async function main(given: string | undefined): Promise<void> {
  const folder = given ?? (await mkdtemp(join(tmpdir(), "tracelogger-query-")));
  try {
    if (given === undefined) await storeSomeTraces(folder);
    for (const [question, rows] of Object.entries(await askTraces(folder))) {
      console.log(`\n${question}`);
      console.table(rows);
    }
  } finally {
    if (given === undefined) await rm(folder, { recursive: true });
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await main(process.argv[2]);
