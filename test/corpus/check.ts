/** What a replayed recording must satisfy (`shared/corpus/README.md`), as findings in words; none when all is well. */
import type { EndpointMode } from "../../src/endpoint/index.ts";
import { APIS } from "./apis.ts";
import { contractFindings } from "./contract.ts";
import { differs, show } from "./findings.ts";
import { isObject, type JsonObject, objectsIn } from "./json.ts";
import type { Seen } from "./observe.ts";
import type { Recording } from "./recordings.ts";
import type { SentRequest } from "./replay-server.ts";
import type { Utterance } from "./said.ts";

/** What a client showed its caller, and what it sent. */
export interface Call {
  readonly seen: Seen;
  readonly sent: readonly SentRequest[];
}

/** Everything there is to judge of one replayed recording. */
export interface Replay {
  readonly recording: Recording;
  readonly mode: EndpointMode;
  readonly bare: Call;
  readonly wrapped: Call;
  /** The content of every trace that was stored for it. */
  readonly stored: readonly unknown[];
}

export function check(replay: Replay): string[] {
  const { recording, bare, wrapped, stored } = replay;
  const expected = recording.status === 200 ? 1 : 0;
  return [
    ...differs("the caller sees", wrapped.seen, bare.seen),
    ...differs("the provider was sent", wrapped.sent, bare.sent),
    ...differs("the number of traces stored is", stored.length, expected),
    ...stored.flatMap((trace) => (isObject(trace) ? checkTrace(trace, replay) : ["what was stored is no object"])),
  ];
}

function checkTrace(trace: JsonObject, { recording, mode, bare }: Replay): string[] {
  const api = APIS.get(recording.api);
  if (api === undefined) return [`there is no way to judge recordings of ${recording.api}`];
  const messages = objectsIn(trace["messages"]);
  const utterances = api.utterances(recording);
  return [
    ...contractFindings(trace),
    ...checkSaid(messages, utterances),
    // What is streamed of the Responses API may be more than its last snapshot holds.
    ...(recording.api === "chat" ? checkCount(messages, utterances) : []),
    ...checkEnding(messages, { failed: bare.seen.error !== undefined, complete: api.isComplete(recording) }),
    ...checkChoicesForm(trace["choices"], api.hasChoices(recording) ? mode : "both"),
    ...api.checkAnswer(trace, recording),
  ];
}

/** Every utterance must be found whole in one stored message, under the right role, and in the order it was said. */
function checkSaid(messages: readonly JsonObject[], utterances: readonly Utterance[]): string[] {
  let from = 0;
  return utterances.flatMap((utterance) => {
    const at = messages.findIndex((message, i) => i >= from && missingIn(message, utterance).length === 0);
    if (at >= 0) {
      from = at + 1;
      return [];
    }
    const nearest = messages[from++] ?? {};
    return missingIn(nearest, utterance).map((missing) => `${utterance.where}: ${missing}`);
  });
}

/** Nothing is said that nobody said. (Bodies in no known form are stored as they came, one for each side.) */
function checkCount(messages: readonly JsonObject[], utterances: readonly Utterance[]): string[] {
  const stored = messages.filter(({ content }) => !String(content).startsWith("::: call ")).length;
  const said = Math.max(utterances.length, 2);
  return stored > said ? [`${stored} messages are stored of ${said}: ${show(messages.at(-1)?.["content"])}`] : [];
}

function missingIn({ role, content }: JsonObject, utterance: Utterance): string[] {
  const text = typeof content === "string" ? content : "";
  return [
    ...differs("the role is", role, utterance.storedRole),
    ...utterance.texts.filter((said) => !text.includes(said)).map((said) => `not found: ${show(said)}`),
    ...utterance.media.flatMap(({ base64, bytes, sha256 }) => [
      ...(text.includes(base64) ? ["base64 media is stored"] : []),
      ...[bytes, sha256].filter((fact) => !text.includes(fact)).map((fact) => `media not described: ${fact}`),
    ]),
  ];
}

/** A call that ended otherwise than complete says so in a last message; a complete one has none. */
function checkEnding(
  messages: readonly JsonObject[],
  { failed, complete }: { readonly failed: boolean; readonly complete: boolean },
): string[] {
  const last = messages.at(-1)?.["content"];
  const closing = typeof last === "string" && last.startsWith("::: call ") ? last : undefined;
  if (failed) return closing?.includes('"failed"') ? [] : ["nothing says that the call failed midway"];
  return closing !== undefined && complete ? [`a complete call is stored as ${closing}`] : [];
}

/** In mode both nothing but their absence passes. */
function checkChoicesForm(choices: unknown, mode: EndpointMode): string[] {
  const form = Array.isArray(choices) ? "a list" : isObject(choices) ? "an object" : "absent";
  if (mode === "proxy") return form === "absent" ? ["`choices` is absent"] : [];
  const wanted = { deployed: "a list", published: "an object", both: "absent" }[mode];
  return differs("`choices` is", form, wanted);
}
