/**
 * A long event stream, made shorter while it passes: events that are alike but for the text they add become one (see
 * text-runs.ts). What is said stays, as a thirtieth of its bytes or so; what is read of it in the end is the same.
 * Loaded when the first response is long.
 */
import type { Bytes } from "./bytes.ts";
import { readJoined } from "./text-runs.ts";

/** The same events in fewer bytes. The last one may be half an event: it stays as it is. */
export function condense(bytes: Bytes): readonly Bytes[] {
  const end = endOfEvents(bytes);
  // A byte order mark is text here: it is not where the stream begins.
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes.subarray(0, end));
  const events = [...readJoined(text, true)].map(({ raw }) => raw);
  return [new TextEncoder().encode(events.join("")), bytes.subarray(end)];
}

const [LF, CR] = [10, 13];

/** Behind the last empty line, whichever way lines end. */
function endOfEvents(bytes: Bytes): number {
  for (let at = bytes.length - 1; at > 0; at--) {
    const [before, last] = [bytes[at - 1], bytes[at]];
    const isEmptyLine = last === before && (last === LF || last === CR);
    if (isEmptyLine || (last === LF && before === CR && bytes[at - 2] === LF)) return at + 1;
  }
  return 0;
}
