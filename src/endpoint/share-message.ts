/** The messages of a share page. */
import type { TraceMessage } from "../trace.ts";
import { type Html, html } from "./html.ts";

/** One card per message. */
export function shownMessages(messages: readonly TraceMessage[]): Html[] {
  return messages.map(({ role, content }) => card(role, role, text(content)));
}

function card(tone: string, label: string, body: Html | readonly Html[]): Html {
  return html`<article class="${tone}"><h2>${label}</h2>${body}</article>\n`;
}

function text(content: string): Html {
  return html`<div class="text" dir="auto">${content}</div>`;
}
