import type { Api } from "./api.ts";
import { chat } from "./chat.ts";
import { responses } from "./responses.ts";

/** By a recording's `api`. A line here, and recordings of another API are replayed too. */
export const APIS: ReadonlyMap<string, Api> = new Map([
  ["chat", chat],
  ["responses", responses],
]);
