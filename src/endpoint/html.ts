/** HTML of ours with text of strangers in it. */

/** Markup that is safe to put into a page: made by `html` alone. */
export class Html {
  readonly markup: string;
  constructor(markup: string) {
    this.markup = markup;
  }
}

type Part = Html | string | number | readonly Part[];

/** A template whose values are escaped, unless they are `Html` themselves. */
export function html(literals: TemplateStringsArray, ...values: readonly Part[]): Html {
  return new Html(literals.map((literal, index) => literal + render(values[index] ?? "")).join(""));
}

function render(part: Part): string {
  if (part instanceof Html) return part.markup;
  return typeof part === "object" ? part.map(render).join("") : escapeHtml(String(part));
}

// Marks that reorder or hide what stands around them ("Trojan Source"), and controls that HTML has no place for.
const TRICKS =
  /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u061c\u200b\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;

/** JSON in which those marks stand as escapes: visible, and still the same value. */
export function visibleJson(value: unknown): string {
  const text = JSON.stringify(value, null, 2) ?? String(value);
  return text.replace(TRICKS, (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Fit for text and for quoted attributes. Invisible marks become visible as `[U+202E]`. */
export function escapeHtml(text: string): string {
  // One search for each: a callback per character takes seconds where somebody sends a million of them.
  return text
    .toWellFormed()
    .replaceAll("&", "&#38;")
    .replaceAll("<", "&#60;")
    .replaceAll(">", "&#62;")
    .replaceAll('"', "&#34;")
    .replaceAll("'", "&#39;")
    .replaceAll("`", "&#96;")
    .replace(TRICKS, (mark) => `[U+${mark.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}]`);
}

/** A page with nothing from outside: `policy` allows exactly this style and this script, by their hashes. */
export interface Page {
  readonly title: string;
  readonly style: string;
  readonly script?: string;
  readonly body: Html;
}

/** The whole document. */
export async function renderPage({ title, style, script, body }: Page): Promise<string> {
  const policy = await contentSecurityPolicy(style, script);
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<meta name="robots" content="noindex">
<title>${title}</title>
<style>${new Html(style)}</style>
</head>
<body>
${body}
${script === undefined ? "" : html`<script>${new Html(script)}</script>`}
</body>
</html>
`.markup;
}

/** Nothing may load, run or be framed but the style and the script of the page itself. */
export async function contentSecurityPolicy(style: string, script?: string): Promise<string> {
  const scripts = script === undefined ? "'none'" : await hashSource(script);
  return `default-src 'none'; style-src ${await hashSource(style)}; script-src ${scripts}; base-uri 'none'; form-action 'none'`;
}

/** Styles and scripts are constants of ours, and there are few: each is hashed once. */
const hashes = new Map<string, Promise<string>>();

function hashSource(text: string): Promise<string> {
  const hash = hashes.get(text) ?? hashOf(text);
  hashes.set(text, hash);
  return hash;
}

async function hashOf(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return `'sha256-${btoa(String.fromCharCode(...new Uint8Array(digest)))}'`;
}

/** The policy that a stored page of ours names in its head, for the header of the answer that carries it. */
export function policyOf(page: string): string {
  const named = /<meta http-equiv="Content-Security-Policy" content="([^"]*)">/.exec(page)?.[1];
  // The first one: it stands before all text of strangers.
  const policy = named?.replaceAll("&#39;", "'") ?? "default-src 'none'";
  return `${policy}; frame-ancestors 'none'`; // which a meta element cannot say
}
