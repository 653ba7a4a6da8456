/** What our pages look like, and their one script. Constants: the pages' policy allows them by their hashes. */

const COMMON_STYLE = `
:root {
  color-scheme: light dark;
  --ground: light-dark(#f4f4f1, #131417);
  --card: light-dark(#fff, #1d1f23);
  --code: light-dark(#f1f1ed, #14161a);
  --line: light-dark(#dfdfd8, #32353b);
  --text: light-dark(#1c1d1f, #e6e6e3);
  --quiet: light-dark(#5b5d63, #a3a6ad);
  --user: light-dark(#1a5aa8, #83b5f2);
  --assistant: light-dark(#1d6b3a, #7fcf98);
  --system: light-dark(#7d5200, #e0b25c);
  --tool: light-dark(#74399b, #cf9df0);
  --failed: light-dark(#b3261e, #ff9b92);
  font: 1rem/1.55 system-ui, sans-serif;
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: clamp(.75rem, 3vw, 2rem) clamp(.75rem, 3vw, 1.25rem) 3rem; max-width: 48rem; background: var(--ground); color: var(--text); }
h1 { margin: 0 0 .35rem; font-size: 1.4rem; line-height: 1.25; overflow-wrap: anywhere; }
`;

export const SHARE_STYLE = `${COMMON_STYLE}
header { margin: 0 0 1.25rem; }
dl { display: flex; flex-wrap: wrap; gap: .1rem 1.25rem; margin: 0; font-size: .85rem; }
dl div { display: flex; gap: .4rem; min-width: 0; }
dt { color: var(--quiet); }
dd { margin: 0; overflow-wrap: anywhere; min-width: 0; font-variant-numeric: tabular-nums; }
main { counter-reset: message; }
article, .json { margin: 0 0 .75rem; padding: .8rem 1rem; background: var(--card); border: 1px solid var(--line); border-radius: .75rem; }
article { --tone: var(--quiet); counter-increment: message; content-visibility: auto; contain-intrinsic-size: auto 8rem; }
article.user { --tone: var(--user); background: color-mix(in srgb, var(--user) 7%, var(--card)); border-color: color-mix(in srgb, var(--user) 22%, var(--line)); }
article.assistant { --tone: var(--assistant); }
article.system { --tone: var(--system); }
article.tool { --tone: var(--tool); }
article.failed { --tone: var(--failed); border-color: var(--failed); }
h2 { display: flex; align-items: baseline; gap: .45rem; margin: 0 0 .4rem; font-size: .8rem; font-weight: 650; color: var(--tone); overflow-wrap: anywhere; }
h2::before { content: ""; flex: none; width: .55rem; height: .55rem; border-radius: 50%; background: var(--tone); }
h2::after { content: counter(message); margin-left: auto; font-weight: 400; color: var(--quiet); font-variant-numeric: tabular-nums; }
h3 { margin: .75rem 0 .3rem; font-size: .8rem; font-weight: 650; color: var(--tool); overflow-wrap: anywhere; }
p { margin: 0 0 .4rem; }
.text { white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: isolate; }
.text + .text, .text + p, details + .text, .text + details, pre + details { margin-top: .5rem; }
.text kbd { font: .875em ui-monospace, monospace; padding: .05em .2em; background: var(--code); border-radius: .25rem; }
.text .gap { display: block; height: 0; overflow: hidden; }
pre, .text > code { display: block; margin: .6rem 0; padding: .6rem .75rem; overflow: auto; background: var(--code); border: 1px solid var(--line); border-radius: .5rem; font: .8125rem/1.5 ui-monospace, monospace; tab-size: 4; }
.text > code { white-space: pre; overflow-wrap: normal; }
h2 + pre, h3 + pre { margin-top: 0; }
.text > code i { font-style: normal; color: var(--quiet); }
pre { max-height: 30rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.quiet { color: var(--quiet); font-style: italic; }
summary { cursor: pointer; width: fit-content; color: var(--quiet); font-size: .85rem; }
.json > summary { width: auto; line-height: 1.9rem; }
article > details { margin: 0 0 .25rem; }
details[open] > summary { margin-bottom: .4rem; }
article > :last-child { margin-bottom: 0; }
article > details[open] > .text { padding-left: .75rem; border-left: 2px solid var(--line); color: var(--quiet); }
button { float: right; font: inherit; line-height: 1.5; padding: .15rem .75rem; border: 1px solid var(--line); border-radius: .5rem; background: var(--code); color: var(--text); cursor: pointer; }
@media print { .json, details:not([open]) { display: none; } article { break-inside: avoid; } }
`;

export const LIST_STYLE = `${COMMON_STYLE}
ol { margin: 1rem 0; padding: 0; list-style: none; background: var(--card); border: 1px solid var(--line); border-radius: .75rem; overflow: hidden; }
li { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0 .75rem; padding: .55rem 1rem; }
li + li { border-top: 1px solid var(--line); }
li:hover { background: var(--code); }
li a:first-of-type { flex: 1 1 16rem; min-width: 0; overflow-wrap: anywhere; font-weight: 550; text-decoration: none; }
a { color: var(--user); }
time { order: 1; color: var(--quiet); font-size: .8rem; font-variant-numeric: tabular-nums; }
li p { order: 2; flex-basis: 100%; margin: 0; color: var(--quiet); font-size: .8rem; overflow-wrap: anywhere; }
li b { color: var(--failed); }
li a + a, nav { font-size: .85rem; }
nav { display: flex; gap: 1rem; }
.quiet { color: var(--quiet); }
`;

/** Copies the JSON. The button shows only where scripts run; an old way of copying stands in where the new is refused. */
export const COPY_SCRIPT = `
const button = document.getElementById("copy");
const json = document.getElementById("json");
if (button) button.hidden = false;
button?.addEventListener("click", async (event) => {
  event.preventDefault();
  try {
    await navigator.clipboard.writeText(json.textContent);
  } catch {
    button.closest("details").open = true;
    getSelection().selectAllChildren(json);
    document.execCommand("copy");
  }
  button.textContent = "Copied";
});
`;
