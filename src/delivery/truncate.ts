/**
 * A trace that is too large, made smaller step by step: the middle of long texts goes first, then `choices` (what they
 * say stands in `messages`, too), then the middle of the conversation. Head and tail stay, every cut says what it took,
 * and what is left is a valid trace.
 */
import type { Trace } from "../trace.ts";
import { fromTraceMessage, toCallMessage } from "../transcript.ts";

const SHORTEST_TEXT = 128;

/** Smaller and smaller versions of the trace, until nothing more can be taken from it. */
export function* smallerTraces(trace: Trace, maxBytes: number): Generator<Trace> {
  const { choices: _, ...withoutChoices } = trace;
  for (const whole of [trace, withoutChoices]) {
    // A text may stand twice, in `messages` and in `choices`.
    for (let length = maxBytes / 4; length >= SHORTEST_TEXT; length /= 2) yield cutTexts(whole, Math.floor(length));
  }
  const short = cutTexts(withoutChoices, SHORTEST_TEXT);
  for (let kept = short.messages.length / 2; kept >= 1; kept /= 2) yield cutMessages(short, Math.ceil(kept));
}

/** The trace with a closing message that says how many bytes were taken from it. */
export function tellCut(trace: Trace, cutBytes: number): Trace {
  const last = trace.messages.at(-1);
  const told = last && fromTraceMessage(last).call;
  const others = told ? trace.messages.slice(0, -1) : trace.messages;
  return { ...trace, messages: [...others, toCallMessage({ ended: "complete", ...told, cut_bytes: cutBytes })] };
}

/** Every text longer than this keeps its head and its tail. Keys, and the trace's own fields, stay. */
function cutTexts<T extends Partial<Trace>>(trace: T, maxLength: number): T {
  const { messages, choices, usage } = trace;
  // A copy of the same form, some texts shorter.
  return { ...trace, ...(cut({ messages, choices, usage }, maxLength) as Partial<Trace>) };
}

function cut(value: unknown, maxLength: number): unknown {
  // As JSON sees it: `toJSON` of objects is respected, and functions are no data.
  return JSON.parse(JSON.stringify(value, (_, leaf) => (typeof leaf === "string" ? cutText(leaf, maxLength) : leaf)));
}

function cutText(text: string, maxLength: number): string {
  const half = Math.floor(maxLength / 2);
  const left = text.length - 2 * half;
  if (left <= 0) return text;
  return `${text.slice(0, half)}\n[… ${left} characters left out …]\n${text.slice(-half)}`;
}

function cutMessages(trace: Trace, kept: number): Trace {
  const { messages } = trace;
  const left = messages.length - 2 * kept;
  if (left <= 0) return trace;
  const mark = { role: "system" as const, content: `[… ${left} messages left out …]` };
  return { ...trace, messages: [...messages.slice(0, kept), mark, ...messages.slice(-kept)] };
}
