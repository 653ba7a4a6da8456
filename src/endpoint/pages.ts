/** What a browser may look at: the list of traces, a share page, the JSON behind it. */
import { Failure } from "./failure.ts";
import { type Html, html, policyOf, renderPage } from "./html.ts";
import { parseStored } from "./keep.ts";
import { isTraceKey, jsonKeyOf, pageKeyOf } from "./key.ts";
import { listItem } from "./list-item.ts";
import { newestTraces } from "./newest.ts";
import { sharePage } from "./share-page.ts";
import { LIST_STYLE } from "./share-style.ts";
import type { Store, StoreEntry } from "./store.ts";

const TRACES_PER_PAGE = 100;

/** Where the page of a key is opened; `undefined` where there are none. */
export type PageLink = (pageKey: string) => Promise<string | undefined>;

interface ListParts {
  readonly store: Store;
  readonly pageLink: PageLink;
  /** What all links begin with: nothing, or the URL of a deployment. */
  readonly base: string;
}

/** `GET /?page=N`: newest first. */
export async function listPage(url: URL, parts: ListParts): Promise<Response> {
  const page = Math.min(Math.max(Math.trunc(Number(url.searchParams.get("page"))) || 1, 1), 100);
  const found = await newestTraces(parts.store, page * TRACES_PER_PAGE + 1);
  const shown = found.slice((page - 1) * TRACES_PER_PAGE, page * TRACES_PER_PAGE);
  const more = found.length > page * TRACES_PER_PAGE;
  const items = await Promise.all(shown.map((entry) => linkedItem(entry, parts)));
  const body = html`<h1>Stored traces</h1>
${items.length === 0 ? html`<p class="quiet">Nothing here yet.</p>` : html`<ol>${items}</ol>`}
<nav>${page > 1 ? html`<a href="?page=${page - 1}">Newer</a> ` : ""}${more ? html`<a href="?page=${page + 1}">Older</a>` : ""}</nav>`;
  return htmlResponse(await renderPage({ title: "Stored traces", style: LIST_STYLE, body }));
}

async function linkedItem(entry: StoreEntry, { store, pageLink, base }: ListParts): Promise<Html> {
  const page = await pageLink(pageKeyOf(entry.key));
  const links = { json: `${base}/${entry.key}`, page: page === undefined ? undefined : `${base}${page}` };
  return listItem(entry, links, store);
}

/** `GET /share/…` and `GET /logs/…`. The path is the key, and nothing that is not a key is looked for. */
export async function storedEntry(store: Store, pathname: string): Promise<Response> {
  const key = pathname.slice(1);
  const content = await readTraceKey(store, key);
  return key.endsWith(".html") ? htmlResponse(content) : secured(content, { "content-type": "application/json" });
}

/** `GET /share/…` where pages are not stored: made of the trace. */
export async function renderedPage(store: Store, pathname: string): Promise<Response> {
  const key = jsonKeyOf(pathname.slice(1));
  if (`/${pageKeyOf(key)}` !== pathname) throw new Failure("wrong_path", "NotFound: No such page");
  return htmlResponse(await sharePage(parseStored(await readTraceKey(store, key), key)));
}

async function readTraceKey(store: Store, key: string): Promise<string> {
  const content = isTraceKey(key) ? await store.read(key) : undefined;
  if (content === undefined) throw new Failure("wrong_path", "NotFound: No such trace");
  return content;
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
