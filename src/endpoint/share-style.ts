/** What a share page looks like, and its one script. Constants: the page's policy allows them by their hashes. */

export const SHARE_STYLE = `
:root {
  color-scheme: light dark;
  --ground: light-dark(#f6f6f4, #16171a);
  --card: light-dark(#fff, #202226);
  --line: light-dark(#deded9, #34373d);
  --text: light-dark(#1c1d1f, #e8e8e6);
  --quiet: light-dark(#62646a, #a0a3aa);
  --user: light-dark(#1f5fae, #7fb2f0);
  --assistant: light-dark(#23733f, #7fcf98);
  --system: light-dark(#8a5a00, #e0b25c);
  --tool: light-dark(#7a3fa0, #cf9df0);
  font: 1rem/1.55 system-ui, sans-serif;
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 52rem; background: var(--ground); color: var(--text); }
h1 { margin: 0 0 .5rem; font-size: 1.35rem; overflow-wrap: anywhere; }
dl { display: flex; flex-wrap: wrap; gap: .15rem 1.25rem; margin: 0 0 1rem; font-size: .875rem; }
dl div { display: flex; gap: .4rem; min-width: 0; }
dt { color: var(--quiet); }
dd { margin: 0; overflow-wrap: anywhere; min-width: 0; }
article, .json { margin: 0 0 .75rem; padding: .75rem 1rem; background: var(--card); border: 1px solid var(--line); border-radius: .5rem; }
article { border-left: .25rem solid var(--tone); --tone: var(--quiet); }
article.user { --tone: var(--user); }
article.assistant { --tone: var(--assistant); }
article.system { --tone: var(--system); }
article.tool { --tone: var(--tool); }
h2 { margin: 0 0 .35rem; font-size: .8rem; font-weight: 600; color: var(--tone); overflow-wrap: anywhere; }
h3 { margin: .75rem 0 .25rem; font-size: .8rem; font-weight: 600; color: var(--tool); overflow-wrap: anywhere; }
.text { white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: isolate; }
.text code { display: block; margin: .5rem 0; padding: .5rem; overflow-x: auto; background: var(--ground); border-radius: .35rem; font: .8125rem/1.45 ui-monospace, monospace; white-space: pre; overflow-wrap: normal; }
.quiet { color: var(--quiet); font-style: italic; }
pre { margin: 0; padding: .5rem; overflow-x: auto; background: var(--ground); border-radius: .35rem; font: .8125rem/1.45 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
details > summary { cursor: pointer; color: var(--quiet); font-size: .875rem; }
details[open] > summary { margin-bottom: .5rem; }
button { float: right; font: inherit; padding: .1rem .6rem; border: 1px solid var(--line); border-radius: .35rem; background: var(--ground); color: inherit; cursor: pointer; }
@media print { .json { display: none; } }
`;

/** Copies the JSON. The button shows only where scripts run; an old way of copying stands in where the new is refused. */
export const COPY_SCRIPT = `
const button = document.getElementById("copy");
const json = document.getElementById("json");
button.hidden = false;
button.addEventListener("click", async (event) => {
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
