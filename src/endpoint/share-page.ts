/** A stored trace as one HTML file for people. */
import type { Trace } from "../trace.ts";
import { html, renderPage } from "./html.ts";

/** The whole page, nothing outside it. */
export async function sharePage(trace: Trace): Promise<string> {
  return renderPage({
    title: `${trace.model}, ${trace.id}`,
    style: "body{font:16px system-ui}",
    body: html`<h1>${trace.model}</h1>${trace.messages.map((m) => html`<h2>${m.role}</h2><div>${m.content}</div>`)}`,
  });
}
