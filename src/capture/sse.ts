/** One server-sent event, as far as chat APIs use them. */
export interface ServerSentEvent {
  /** The `event:` field, `""` when there is none. */
  readonly event: string;
  readonly data: string;
}

/**
 * Reads the events of a text one after the other. Unlike the standard, an event that the text ends in is read, too:
 * providers forget the last blank line, and a broken connection cuts it off.
 */
export class EventReader {
  /** With line feeds for all line ends. */
  readonly text: string;
  /** Where the next event begins. May be moved on, to skip some. */
  position = 0;

  constructor(text: string) {
    this.text = text.includes("\r") ? text.replaceAll(/\r\n?/g, "\n") : text;
  }

  next(): ServerSentEvent | undefined {
    const { text } = this;
    let event = "";
    let data: string | undefined;
    while (this.position < text.length) {
      const start = this.position;
      const found = text.indexOf("\n", start);
      const end = found < 0 ? text.length : found;
      this.position = end + 1;
      if (end > start) {
        const value = readField("data", text, start, end);
        if (value !== undefined) data = data === undefined ? value : `${data}\n${value}`;
        else event = readField("event", text, start, end) ?? event;
      } else if (data !== undefined) return { event, data };
      else event = "";
    }
    return data === undefined ? undefined : { event, data };
  }
}

/** The value of a line, when it is of this field. */
function readField(name: "data" | "event", text: string, start: number, end: number): string | undefined {
  if (!text.startsWith(name, start)) return undefined;
  const colon = start + name.length;
  if (colon === end) return "";
  if (text[colon] !== ":") return undefined;
  return text.slice(text[colon + 1] === " " ? colon + 2 : colon + 1, end);
}
