/** Responses: how to replay one, what it says, and what must be stored of its answer. */
import type OpenAI from "openai";
import type { Api } from "./api.ts";
import { parseEvents } from "./assemble.ts";
import { differs } from "./findings.ts";
import { isObject, type JsonObject, objectsIn } from "./json.ts";
import { isEventStream, type Recording } from "./recordings.ts";
import { stringLeaves, toUtterance, type Utterance } from "./said.ts";

export const responses: Api = {
  // A recorded request may hold what the client's types do not know; the provider is sent it as it is.
  call: (client, { request }) =>
    client.responses.create(request as unknown as OpenAI.Responses.ResponseCreateParamsNonStreaming),
  utterances: (recording) => [...asked(recording), ...answered(recording)],
  hasChoices: () => false, // this API has none
  isComplete: (recording) => /^complete/.test(String(answerOf(recording)["status"] ?? "complete")),
  checkAnswer(trace, recording) {
    const { model, usage } = answerOf(recording);
    return [
      ...differs("`usage` is", trace["usage"], isObject(usage) ? usage : undefined),
      ...differs("`model` is", trace["model"], model || recording.request["model"]),
    ];
  },
};

function answered(recording: Recording): Utterance[] {
  const { output, output_text, citations = [] } = answerOf(recording);
  const beside = stringLeaves(citations).map(({ text }) => text);
  return [
    ...said(output, "output"),
    ...(output_text && objectsIn(output).length === 0 ? said([{ output_text }], "output_text") : []),
    ...(beside.length > 0 ? [toUtterance({ role: "assistant", beside }, "citations", "response")] : []),
  ];
}

/** The response as it was at the end: in a stream, the last snapshot. */
function answerOf(recording: Recording): JsonObject {
  const { response_body } = recording;
  const told: unknown = isEventStream(recording)
    ? objectsIn(parseEvents(response_body)).findLast(({ response }) => isObject(response))?.["response"]
    : JSON.parse(response_body);
  return isObject(told) ? told : {};
}

function asked({ request }: Recording): Utterance[] {
  const { instructions, input, previous_response_id, conversation } = request;
  const context = [previous_response_id, conversation].filter((one) => typeof one === "string");
  return [
    ...context.map((reference) => toUtterance({ role: "user", reference }, "what it goes on from", "request")),
    ...(instructions ? said([{ role: "system", content: instructions }], "instructions") : []),
    ...said(typeof input === "string" ? [{ role: "user", content: input }] : [input].flat(), "input"),
  ];
}

function said(items: unknown, where: string): Utterance[] {
  return objectsIn(items).map((item, i) => {
    // Drawings of the answer are replaced like media of the request.
    return toUtterance({ role: speakerOf(item), ...item }, `${where}[${i}]`, "request");
  });
}

function speakerOf({ type }: JsonObject): string {
  // What a caller hands back, or points to.
  return /_output$|^mcp_approval_response$|^item_reference$/.test(String(type)) ? "user" : "assistant";
}
