-- Athena over the bucket as it is, files and packs (traces.ndjson) alike. Replace BUCKET; nothing is to be loaded, and no
-- crawler: partitions are projected.
-- `choices` and `usage` are text: `choices` comes as a list or as an object keyed by index, `usage` is open-ended.

-- The layout of the contract, logs/<fingerprint>/<YYYYMMDD>/<id>.json. Every query must name a fingerprint,
-- as its folder is called: capitals and what is not `a-z 0-9 . _ -` are encoded there (`aws s3 ls s3://BUCKET/logs/`).
CREATE EXTERNAL TABLE traces (
  id string,
  object string,
  created bigint,
  model string,
  system_fingerprint string,
  messages array<struct<role:string,content:string>>,
  choices string,
  usage string
)
PARTITIONED BY (fp string, dt string)
ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
LOCATION 's3://BUCKET/logs/'
TBLPROPERTIES (
  'projection.enabled' = 'true',
  'projection.fp.type' = 'injected',
  'projection.dt.type' = 'date',
  'projection.dt.format' = 'yyyyMMdd',
  'projection.dt.range' = '20240101,NOW',
  'storage.location.template' = 's3://BUCKET/logs/${fp}/${dt}/'
);

-- The partitioned layout, logs/dt=<YYYY-MM-DD>/fp=<fingerprint>/<id>.json. A query may look at a day of all fingerprints.
CREATE EXTERNAL TABLE traces_by_day (
  id string,
  object string,
  created bigint,
  model string,
  system_fingerprint string,
  messages array<struct<role:string,content:string>>,
  choices string,
  usage string
)
PARTITIONED BY (dt string)
ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
LOCATION 's3://BUCKET/logs/'
TBLPROPERTIES (
  'projection.enabled' = 'true',
  'projection.dt.type' = 'date',
  'projection.dt.format' = 'yyyy-MM-dd',
  'projection.dt.range' = '2024-01-01,NOW',
  'storage.location.template' = 's3://BUCKET/logs/dt=${dt}/'
);

-- Traces and tokens, by day and model.
SELECT dt, model, count(*) AS traces,
  sum(CAST(coalesce(json_extract_scalar(usage, '$.prompt_tokens'), json_extract_scalar(usage, '$.input_tokens'),
    json_extract_scalar(usage, '$.inputTokens.total'), json_extract_scalar(usage, '$.promptTokens')) AS bigint)) AS tokens_in,
  sum(CAST(coalesce(json_extract_scalar(usage, '$.completion_tokens'), json_extract_scalar(usage, '$.output_tokens'),
    json_extract_scalar(usage, '$.outputTokens.total'), json_extract_scalar(usage, '$.completionTokens')) AS bigint)) AS tokens_out
FROM traces WHERE fp = 'gpt-5' AND dt BETWEEN '20240501' AND '20240531'
GROUP BY dt, model ORDER BY dt, model;

-- How the first choice ended, in either form of `choices`.
SELECT coalesce(json_extract_scalar(choices, '$[0].finish_reason'),
                json_extract_scalar(choices, '$["0"].finish_reason'), 'not said') AS ended,
  count(*) AS traces
FROM traces WHERE fp = 'gpt-5' GROUP BY 1 ORDER BY 2 DESC, 1;
