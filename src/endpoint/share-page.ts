/** A stored trace as one HTML file for people: nothing outside it, nothing of the trace can run in it. */
import { isObject } from "../json.ts";
import type { Trace } from "../trace.ts";
import { type Html, html, renderPage, visibleJson } from "./html.ts";
import { messageCard } from "./share-message.ts";
import { COPY_SCRIPT, SHARE_STYLE } from "./share-style.ts";

/** More is not shown: a page of many megabytes would cost seconds here and in the browser. */
const MAX_JSON_LENGTH = 1_000_000;

/** The page of a trace: who said what, the model, the time, the tokens, and the whole trace as JSON. */
export async function sharePage(trace: Trace): Promise<string> {
  const body = html`<header>
<h1>${trace.model || "(no model)"}</h1>
<dl>${facts(trace).map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
</header>
<main>
${trace.messages.map(messageCard)}
</main>
${jsonOf(trace)}`;
  return renderPage({ title: `${trace.model} · ${trace.id}`, style: SHARE_STYLE, script: COPY_SCRIPT, body });
}

/** The whole trace, to copy; where it is too long for a page, how long it is. */
function jsonOf(trace: Trace): Html {
  const json = visibleJson(trace);
  if (json.length > MAX_JSON_LENGTH) {
    return html`<p class="quiet">The whole trace has ${json.length.toLocaleString("en")} characters of JSON: too many for a page.</p>`;
  }
  return html`<details class="json">
<summary>The trace as JSON <button type="button" id="copy" hidden>Copy</button></summary>
<pre id="json">${json}</pre>
</details>`;
}

function facts(trace: Trace): (readonly [string, string | Html])[] {
  const time = new Date(trace.created * 1000).toISOString();
  const tokens = tokenFact(trace.usage);
  return [
    ["Time", html`<time datetime="${time}">${time.replace("T", " ").replace(".000Z", " UTC")}</time>`],
    ...(tokens === undefined ? [] : [["Tokens", tokens] as const]),
    ["Messages", String(trace.messages.length)],
    ...(trace.system_fingerprint === trace.model ? [] : [["Fingerprint", trace.system_fingerprint] as const]),
    ["Id", trace.id],
  ];
}

/** `usage` is open-ended: chat completions, responses, the AI SDK, LangChain and others name their counts differently. */
export function tokenFact(usage: Trace["usage"]): string | undefined {
  const count = (...names: string[]) =>
    names
      .map((name) => usage?.[name])
      .map((value) => (isObject(value) ? value["total"] : value))
      .find((value) => typeof value === "number");
  const input = count("prompt_tokens", "input_tokens", "inputTokens", "promptTokens");
  const output = count("completion_tokens", "output_tokens", "outputTokens", "completionTokens");
  const total = count("total_tokens", "totalTokens");
  if (input === undefined && output === undefined) return total === undefined ? undefined : String(total);
  return `${input ?? "?"} in, ${output ?? "?"} out`;
}
