/** What a browser may look at: the list of traces, a share page, the JSON behind it. */
import { Failure } from "./failure.ts";
import { html, policyOf, renderPage } from "./html.ts";
import { decodeSegment, foldersOf, isTraceKey, pageKeyOf } from "./key.ts";
import { newestTraces } from "./newest.ts";
import type { Store, StoreEntry } from "./store.ts";

const TRACES_PER_PAGE = 100;

/** `GET /?page=N`: newest first. */
export async function listPage(store: Store, url: URL): Promise<Response> {
  const page = Math.min(Math.max(Math.trunc(Number(url.searchParams.get("page"))) || 1, 1), 100);
  const found = await newestTraces(store, page * TRACES_PER_PAGE + 1);
  const shown = found.slice((page - 1) * TRACES_PER_PAGE, page * TRACES_PER_PAGE);
  const more = found.length > page * TRACES_PER_PAGE;
  const body = html`<h1>Stored traces</h1>
${shown.length === 0 ? html`<p>Nothing here yet.</p>` : html`<ol start="${(page - 1) * TRACES_PER_PAGE + 1}">${shown.map(listItem)}</ol>`}
<p>${page > 1 ? html`<a href="?page=${page - 1}">Newer</a> ` : ""}${more ? html`<a href="?page=${page + 1}">Older</a>` : ""}</p>`;
  return htmlResponse(await renderPage({ title: "Stored traces", style: LIST_STYLE, body }));
}

function listItem({ key, modifiedMs = 0 }: StoreEntry) {
  const file = key.slice(key.lastIndexOf("/") + 1);
  const when = new Date(modifiedMs).toISOString().slice(0, 19).replace("T", " ");
  return html`<li><time>${when}</time> <a href="/${pageKeyOf(key)}">${foldersOf(key).fingerprint} · ${decodeSegment(file.replace(/\.json$/, ""))}</a> <a href="/${key}">JSON</a></li>`;
}

/** `GET /share/…` and `GET /logs/…`. The path is the key, and nothing that is not a key is looked for. */
export async function storedEntry(store: Store, pathname: string): Promise<Response> {
  const key = pathname.slice(1);
  const content = isTraceKey(key) ? await store.read(key) : undefined;
  if (content === undefined) throw new Failure("wrong_path", "NotFound: No such trace");
  return key.endsWith(".html") ? htmlResponse(content) : secured(content, { "content-type": "application/json" });
}

function htmlResponse(page: string): Response {
  return secured(page, { "content-type": "text/html; charset=utf-8", "content-security-policy": policyOf(page) });
}

function secured(content: string, headers: Record<string, string>): Response {
  return new Response(content, {
    headers: {
      "cache-control": "no-cache",
      "cross-origin-resource-policy": "same-origin",
      "referrer-policy": "no-referrer",
      "x-content-type-options": "nosniff",
      ...headers,
    },
  });
}

const LIST_STYLE = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { margin: 0 0 .5rem; font-size: 1.35rem; }
ol { padding-inline-start: 2.5rem; }
li { overflow-wrap: anywhere; margin: .25rem 0; }
time { opacity: .7; font-variant-numeric: tabular-nums; }
`;
