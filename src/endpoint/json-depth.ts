const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** How deep a JSON text is nested, without parsing it: one pass that skips strings. Texts that are not JSON get some number. */
export function nestingDepth(text: string): number {
  let depth = 0;
  let deepest = 0;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    if (unit === QUOTE) index = endOfString(text, index + 1);
    else if (unit === 0x5b || unit === 0x7b) deepest = Math.max(deepest, ++depth);
    else if (unit === 0x5d || unit === 0x7d) depth--;
  }
  return deepest;
}

/** Most of a trace is strings: they are skipped by a search, not unit by unit. */
function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start);
  while (end !== -1 && isEscaped(text, end, start)) end = text.indexOf('"', end + 1);
  return end === -1 ? text.length : end;
}

function isEscaped(text: string, quote: number, start: number): boolean {
  let index = quote;
  while (index > start && text.charCodeAt(index - 1) === BACKSLASH) index--;
  return (quote - index) % 2 === 1;
}
