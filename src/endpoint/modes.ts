/** The deployments that exist in the wild. Which guards stand in front of one cannot be known beforehand. */
import type { AnswerStyle } from "./answers.ts";

/**
 * - `proxy`: real HTTP statuses, `choices` in either form. What a deployment of ours answers.
 * - `deployed`: HTTP 200 with the outcome in an envelope, wants `choices` as a list.
 * - `published`: a request validator made from the published schema in front, so it wants the object.
 * - `both`: that validator in front of the function that wants the list: only traces without `choices` pass.
 */
export type EndpointMode = "proxy" | "deployed" | "published" | "both";

/** What makes a mode. */
export interface ModeRules {
  readonly style: AnswerStyle;
  /** Is the published schema checked first, as a gateway's request validator does? */
  readonly validator: boolean;
  readonly choices: "either" | "list";
  /** Are compressed requests taken? */
  readonly gzip: boolean;
  /** Are lists of traces taken, as a JSON array or as NDJSON? */
  readonly batches: boolean;
}

export const MODES = {
  proxy: { style: "proxy", validator: false, choices: "either", gzip: true, batches: true },
  deployed: { style: "envelope", validator: false, choices: "list", gzip: false, batches: false },
  published: { style: "envelope", validator: true, choices: "either", gzip: false, batches: false },
  both: { style: "envelope", validator: true, choices: "list", gzip: false, batches: false },
} as const satisfies Record<EndpointMode, ModeRules>;
