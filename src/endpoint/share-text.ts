/** What was said, as it was said: every character is there, and Markdown's marks are only dressed. */
import { isObject } from "../json.ts";
import { type Html, html, visibleJson } from "./html.ts";

/** A block of code as Markdown has it, from its opening line to the line that closes it. */
const FENCED = /^(```[^`\n]*\n(?:(?!```).*\n)*```[^\S\n]*(?:\n|$))/m;
/** A heading, bold words, words as code. Bounded, so that no text makes it slow. */
const DRESSED = /(^#{1,6} [^\n]{1,500}$|\*\*[^*\n]{1,500}\*\*|(?<!`)`[^`\n]{1,500}`(?!`))/m;
/** More of one text is not shown: nobody reads it, and a page of many megabytes would cost seconds here and in the browser. */
const MAX_SHOWN_LENGTH = 200_000;

/** JSON that fits a line is read more easily on one. */
const MAX_ONE_LINE_LENGTH = 72;

/** A text with its blocks of code. */
export function text(said: string): Html {
  const shown = said.slice(0, MAX_SHOWN_LENGTH);
  return html`<div class="text" dir="auto">${shown.split(FENCED).map(proseOrCode)}</div>${cutNote(said)}`;
}

function cutNote({ length }: string): Html | "" {
  if (length <= MAX_SHOWN_LENGTH) return "";
  const more = (length - MAX_SHOWN_LENGTH).toLocaleString("en");
  return html`<p class="quiet">… ${more} more characters: too many for a page. They are in the stored trace.</p>`;
}

/** Every other piece of a text that is split at FENCED is code, fences and all. */
function proseOrCode(piece: string, index: number): Html | readonly (Html | string)[] {
  return index % 2 === 0 ? prose(piece, index > 0) : code(piece);
}

/** The block has a margin of its own: a blank line of the text beside it would double that, so it takes no room. */
function prose(piece: string, afterCode: boolean): readonly (Html | string)[] {
  const before = afterCode && piece.startsWith("\n") ? "\n" : "";
  const after = piece.length > before.length + 1 && piece.endsWith("\n\n") ? "\n" : "";
  const said = piece.slice(before.length, piece.length - after.length);
  return [blankLine(before), ...said.split(DRESSED).map(dressed), blankLine(after)];
}

function blankLine(line: string): Html | "" {
  return line === "" ? "" : html`<span class="gap">${line}</span>`;
}

function dressed(piece: string, index: number): Html | string {
  if (index % 2 === 0) return piece;
  return piece.startsWith("`") ? html`<kbd>${piece}</kbd>` : html`<b>${piece}</b>`;
}

function code(block: string): Html {
  const end = block.indexOf("\n") + 1;
  const close = block.lastIndexOf("```");
  const [open, inside, closing] = [block.slice(0, end), block.slice(end, close), block.slice(close)];
  return html`<code dir="ltr"><i>${open}</i>${inside}<i>${closing}</i></code>`;
}

/** A value as JSON. */
export function data(value: unknown): Html {
  return pre(visibleJson(value));
}

/** A text that programs exchange, such as the input of a tool. Long JSON is indented where that changes nothing else of it. */
export function machineText(said: string): Html {
  const value = said.length > MAX_ONE_LINE_LENGTH ? jsonOf(said) : undefined;
  return value === undefined ? pre(said) : data(value);
}

/** Does it look like something that a program wrote for another one? */
export function isMachineText(said: string): boolean {
  return /^\s*[[{]/.test(said) && /[\]}]\s*$/.test(said) && isParsable(said);
}

function isParsable(said: string): boolean {
  try {
    JSON.parse(said);
    return true;
  } catch {
    return false;
  }
}

/** Only if it reads the same when it is written again: 1e400, 12345678901234567890 and repeated keys would not. */
function jsonOf(said: string): unknown {
  try {
    const value: unknown = JSON.parse(said);
    const isSame =
      (isObject(value) || Array.isArray(value)) && withoutSpace(said) === withoutSpace(JSON.stringify(value));
    return isSame ? value : undefined;
  } catch {
    return undefined;
  }
}

function withoutSpace(json: string): string {
  return json.replace(/\s+/g, "");
}

function pre(shown: string): Html {
  return html`<pre dir="ltr">
${shown.slice(0, MAX_SHOWN_LENGTH)}</pre>${cutNote(shown)}`; // the parser drops a first line break, so one is given to it
}
