/** One server-sent event, as far as chat APIs use them. */
export interface ServerSentEvent {
  /** The `event:` field, `""` when there is none. */
  readonly event: string;
  readonly data: string;
}

/**
 * Read a whole body of server-sent events. Unlike the standard, an event that the body ends in is kept: providers
 * forget the last blank line, and a broken connection cuts it off.
 */
export function parseServerSentEvents(text: string): ServerSentEvent[] {
  const events: ServerSentEvent[] = [];
  let event = "";
  let data: string[] = [];
  for (const line of [...text.split(/\r\n|\n|\r/), ""]) {
    const [, field, value = ""] = /^(event|data)(?:: ?(.*))?$/s.exec(line) ?? [];
    if (field === "event") event = value;
    if (field === "data") data.push(value);
    if (line !== "") continue;
    if (data.length > 0) events.push({ event, data: data.join("\n") });
    event = "";
    data = [];
  }
  return events;
}
