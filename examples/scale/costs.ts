/**
 * What a million traces cost: `node examples/scale/costs.ts [KB per trace] [traces per batch]`. Prices of us-east-1 in USD
 * without free tiers and volume discounts, written from memory in November 2026: check them before you rely on them.
 */
import { pathToFileURL } from "node:url";

export const PRICES = {
  restApiPerMillion: 3.5,
  httpApiPerMillion: 1,
  functionUrlPerMillion: 0,
  lambdaPerMillion: 0.2,
  lambdaArmPerGbSecond: 0.0000133334,
  s3PutPerThousand: 0.005,
  s3StoragePerGbMonth: 0.023,
} as const;

export interface Load {
  readonly kilobytesPerTrace: number;
  /** Traces in one request; 1 = single POSTs. */
  readonly tracesPerRequest: number;
  /** Objects written for a trace: the JSON, and the share page where there is one. */
  readonly objectsPerTrace: number;
  /** Billed time of an execution with one trace, and what each further trace adds. Measure yours. */
  readonly firstTraceMs: number;
  readonly furtherTraceMs: number;
  readonly memoryGb: number;
}

export const USUAL: Load = {
  kilobytesPerTrace: 4,
  tracesPerRequest: 1,
  objectsPerTrace: 2,
  firstTraceMs: 60,
  furtherTraceMs: 10,
  memoryGb: 0.5,
};

export type Door = "REST API" | "HTTP API" | "Function URL";

/** USD for a million traces; storage is that of the first month, the share page counted as three times the JSON. */
export function costPerMillion(door: Door, load: Load) {
  const requests = 1_000_000 / load.tracesPerRequest;
  const perMillion = {
    "REST API": PRICES.restApiPerMillion,
    "HTTP API": PRICES.httpApiPerMillion,
    "Function URL": PRICES.functionUrlPerMillion,
  }[door];
  // An HTTP API counts every begun 512 KB as a request.
  const meters = door === "HTTP API" ? Math.ceil((load.kilobytesPerTrace * load.tracesPerRequest) / 512) : 1;
  const seconds = (requests * (load.firstTraceMs + load.furtherTraceMs * (load.tracesPerRequest - 1))) / 1000;
  const gigabytes = (1_000_000 * load.kilobytesPerTrace * (load.objectsPerTrace > 1 ? 4 : 1)) / 1_000_000;
  const parts = {
    gateway: (requests / 1_000_000) * perMillion * meters,
    lambda: (requests / 1_000_000) * PRICES.lambdaPerMillion + seconds * load.memoryGb * PRICES.lambdaArmPerGbSecond,
    puts: ((1_000_000 * load.objectsPerTrace) / 1000) * PRICES.s3PutPerThousand,
    storagePerMonth: gigabytes * PRICES.s3StoragePerGbMonth,
  };
  return { ...parts, total: Object.values(parts).reduce((sum, part) => sum + part, 0) };
}

/** The table of docs/at-scale.md, as Markdown. */
export function costTable(load: Load, tracesPerBatch: number): string {
  const usd = (amount: number) => amount.toFixed(2);
  const rows = (["REST API", "HTTP API", "Function URL"] as const).flatMap((door) =>
    [1, tracesPerBatch].map((tracesPerRequest) => {
      const cost = costPerMillion(door, { ...load, tracesPerRequest });
      const amounts = [cost.gateway, cost.lambda, cost.puts, cost.storagePerMonth, cost.total].map(usd);
      return `| ${[door, tracesPerRequest, ...amounts].join(" | ")} |`;
    }),
  );
  const head = "| door | traces per request | gateway | Lambda | S3 PUT | storage, a month | total |";
  return [head, "|---|---:|---:|---:|---:|---:|---:|", ...rows].join("\n");
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const [, , kilobytesPerTrace = USUAL.kilobytesPerTrace, tracesPerBatch = 100] = process.argv.map(Number);
  console.log(costTable({ ...USUAL, kilobytesPerTrace }, tracesPerBatch));
}
