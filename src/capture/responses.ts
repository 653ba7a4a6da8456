/**
 * A call of the Responses API → a trace. Every item of both sides is stored as it came, under whom it belongs to. There
 * are no `choices` in this API, so there are none in the trace: everything said stands in `messages`, once.
 */
import { isObject, type JsonObject } from "../json.ts";
import type { TraceInput, TraceMessage } from "../trace.ts";
import { toTraceMessage } from "../transcript.ts";
import { type Answer, readEvents, toTrace } from "./answer.ts";
import { addAsides } from "./asides.ts";
import { type CapturedCall, isEventStream, keptText, parseObject, responseObject } from "./call.ts";
import { describeMedia } from "./media.ts";
import { pick } from "./merge.ts";
import { whenThere } from "./once.ts";
import { collectResponse } from "./response-events.ts";

interface Reply extends Answer {
  readonly output: unknown;
  readonly instructions: unknown;
}

export function responseToTrace(call: CapturedCall): TraceInput | Promise<TraceInput> {
  const request = parseObject(call.requestText);
  const answer = isEventStream(call.responseText) ? readStream(call) : readJson(call);
  const { output, instructions } = answer;
  return whenThere(describeMedia({ ...request, output }), () => {
    const answered = Array.isArray(output) ? output.map((item) => itemMessage(item, "assistant")) : [];
    return toTrace(call, { request, asked: requestMessages(request, instructions), answered }, answer);
  });
}

/** What a call goes on from: said elsewhere, and only named here. */
const CONTEXT = ["previous_response_id", "conversation", "prompt"];

function requestMessages(request: JsonObject | undefined, told: unknown): TraceMessage[] {
  const { prompt, messages, input = messages } = request ?? {};
  // What a stored prompt says is told with the answer.
  const instructions = request?.["instructions"] ?? (prompt && told);
  const context = pick(request ?? {}, (key, value) => CONTEXT.includes(key) && value !== null);
  return [
    ...(Object.keys(context).length > 0 ? [toTraceMessage(context)] : []),
    ...itemMessages(instructions || undefined, "system"),
    ...itemMessages(input, "user"),
  ];
}

/** In whatever form: text, a list of items, or one of them. */
function itemMessages(items: unknown, role: "system" | "user"): TraceMessage[] {
  if (items === undefined || items === null) return [];
  if (typeof items === "string") return [toTraceMessage({ role, content: items })];
  return (Array.isArray(items) ? items : [items]).map((item) => itemMessage(item, "user"));
}

/** Items without a role are the model's (reasoning, calls), but for what is handed back to it; of no type, their side's. */
function itemMessage(item: unknown, side: "user" | "assistant"): TraceMessage {
  const type = isObject(item) ? item["type"] : undefined;
  if (typeof type !== "string") return toTraceMessage(item, { speaker: side });
  const isHandedBack = /_output$|^mcp_approval_response$|^item_reference$/.test(type);
  return toTraceMessage(item, { speaker: isHandedBack ? "user" : "assistant" });
}

function readJson(call: CapturedCall): Reply {
  const body = responseObject(call);
  const isUnderstood = Array.isArray(body?.["output"]) || isObject(body?.["error"]);
  return { ...readResponse(body ?? {}), unread: isUnderstood ? "" : keptText(call).trim() };
}

function readStream(call: CapturedCall): Reply {
  const collected = collectResponse();
  const { unread, done } = readEvents(call, { take: collected.add });
  const { response, error, isOver, isForeign } = collected.end();
  const reply = readResponse(response);
  return {
    ...reply,
    error: reply.error ?? error,
    // What it was doing until it failed ("in progress") it does no more.
    remarks: error === undefined || isOver ? reply.remarks : undefined,
    unread: isForeign ? keptText(call).trim() : unread,
    done: done || isOver,
  };
}

/** A `status` other than `completed` is told with the end of the call. */
function readResponse(response: JsonObject): Omit<Reply, "unread"> {
  const { model, usage, output_text, instructions, error, status, incomplete_details } = response;
  const output =
    hasItems(response["output"]) || !output_text ? response["output"] : [{ role: "assistant", content: output_text }];
  // Some gateways write "complete"; anything that is no word of an unusual end tells nothing.
  const isUnusual = typeof status === "string" && !/^complete|^failed$/.test(status);
  const remarks = isUnusual ? { status, ...(isObject(incomplete_details) ? { incomplete_details } : {}) } : undefined;
  const failure = error ?? (status === "failed" ? { status } : undefined);
  return { model, usage, output, instructions, asides: asidesOf(response), error: failure, remarks };
}

const hasItems = (output: unknown) => Array.isArray(output) && output.length > 0;

/** A response repeats its request; beside the output it says only what was found, and what filters found. */
function asidesOf(response: JsonObject): JsonObject {
  return addAsides(
    {},
    pick(response, (key) => /citation|search|filter|moderation/.test(key)),
  );
}
