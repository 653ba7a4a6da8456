/** A call of the legacy completions API (`prompt` → `choices` of `text`) → a trace. */
import { isObject, type JsonObject } from "../json.ts";
import type { TraceInput, TraceMessage } from "../trace.ts";
import { toTraceMessage } from "../transcript.ts";
import type { CapturedCall } from "./call.ts";
import { choicesToTrace, requestMessages } from "./chat-completions.ts";

export function completionToTrace(call: CapturedCall): TraceInput | Promise<TraceInput> {
  return choicesToTrace(call, (request) => [...promptMessages(request), ...requestMessages(request)]);
}

/** One message for each prompt, with the `suffix` that the answer goes before; token numbers stay what they are. */
function promptMessages(request: JsonObject | undefined): TraceMessage[] {
  const { prompt, suffix } = request ?? {};
  if (prompt === undefined || prompt === null) return [];
  const isBatch = Array.isArray(prompt) && prompt.every((one) => typeof one === "string" || typeof one === "object");
  const after = suffix === undefined || suffix === null || suffix === "" ? {} : { suffix };
  return (isBatch ? prompt : [prompt]).map((content) =>
    toTraceMessage({ role: "user", ...(isObject(content) ? { prompt: content } : { content }), ...after }),
  );
}
