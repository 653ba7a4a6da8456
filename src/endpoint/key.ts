/**
 * Where a trace lies in a store: `logs/<fingerprint>/<YYYYMMDD of created, UTC>/<id>.json`, its share page beside it.
 * Or `logs/dt=<YYYY-MM-DD>/fp=<fingerprint>/<id>.json`, which query engines know as partitions ("Hive").
 *
 * Fingerprints and ids are hostile input. `encodeSegment` turns any string into one path segment that is legal on
 * every file system and in S3, stays inside its folder, and is never shared by two different strings, also where
 * `A` and `a` are the same name. Ordinary ids and fingerprints stay exactly as they are.
 */
import type { Trace } from "../trace.ts";

/** The keys of one trace. */
export interface TraceKey {
  /** `logs/…/<id>.json` */
  readonly json: string;
  /** `share/…/<id>.html` */
  readonly page: string;
}

/**
 * How keys are made. `contract`: as the published endpoint's. `partitioned`: the day first and both named, so that a
 * query of some days reads these days only, of all fingerprints.
 */
export type KeyLayout = "contract" | "partitioned";

/** Longest segment: two of them, a day and a folder of some length still fit into the 260 characters of Windows. */
export const MAX_SEGMENT_LENGTH = 100;

/** The keys of a trace. Asynchronous only because a name too long for a file is shortened with a SHA-256. */
export async function traceKey(
  trace: Pick<Trace, "id" | "created" | "system_fingerprint">,
  layout: KeyLayout = "contract",
): Promise<TraceKey> {
  const fingerprint = plainSegment(trace.system_fingerprint) ?? (await shorten(trace.system_fingerprint));
  const id = plainSegment(trace.id) ?? (await shorten(trace.id));
  const day = utcDay(trace.created);
  // `=` is in no encoded segment, so the two layouts cannot meet in one store.
  const folder = layout === "contract" ? `${fingerprint}/${day}` : `dt=${withDashes(day)}/fp=${fingerprint}`;
  const path = `${folder}/${id}`;
  return { json: `logs/${path}.json`, page: `share/${path}.html` };
}

/** Is this a key that `traceKey` can have made? Whatever reads by a key from outside asks this first. */
export function isTraceKey(key: string): boolean {
  return /^(?:logs|share)\/(?:[\w!-][\w.!-]*\/\d{8}|dt=\d{4}-\d\d-\d\d\/fp=[\w!-][\w.!-]*)\/[\w!-][\w.!-]*\.(?:json|html)$/.test(
    key,
  );
}

/** What the folders of a key, or of a folder two levels down, say: the fingerprint, and the day as `YYYYMMDD`. */
export function foldersOf(key: string): { readonly fingerprint: string; readonly day: string } {
  const [, first = "", second = ""] = key.split("/");
  const partitioned = first.startsWith("dt=");
  const [fingerprint, day] = partitioned ? [second.slice(3), first.slice(3)] : [first, second];
  return { fingerprint: decodeSegment(fingerprint), day: day.replaceAll("-", "") };
}

/** The share page's key beside a trace's key. */
export function pageKeyOf(jsonKey: string): string {
  return jsonKey.replace(/^logs\//, "share/").replace(/\.json$/, ".html");
}

/** The trace's key beside its share page's. */
export function jsonKeyOf(pageKey: string): string {
  return pageKey.replace(/^share\//, "logs/").replace(/\.html$/, ".json");
}

/** `YYYYMMDD`, UTC. */
export function utcDay(createdSeconds: number): string {
  const iso = new Date(createdSeconds * 1000).toISOString();
  return iso.slice(0, 4) + iso.slice(5, 7) + iso.slice(8, 10);
}

function withDashes(day: string): string {
  return `${day.slice(0, 4)}-${day.slice(4, 6)}-${day.slice(6)}`;
}

/**
 * Any string as one path segment. What is not `A-Z a-z 0-9 . _ -` becomes `!xx` or `!uxxxx` (UTF-16 units in hex, so
 * that lone surrogates differ too), and so does a dot at either end and the first letter of a Windows device name.
 * A name with capitals keeps them and ends in `!-` and which letters they are.
 */
export async function encodeSegment(text: string): Promise<string> {
  return plainSegment(text) ?? shorten(text);
}

/** The segment of a string that need not be shortened; `undefined` for one that must be. */
export function plainSegment(text: string): string | undefined {
  if (text === "") return "!";
  const named = text.replace(/[^\w.-]/g, escapeUnit).replace(/^\.|\.$/g, escapeUnit);
  const escaped = isDevice(text) ? named.replace(/^./, escapeUnit) : named;
  const segment = escaped + capitals(escaped);
  return segment.length <= MAX_SEGMENT_LENGTH ? segment : undefined;
}

/** The string behind a segment, for people to read. A shortened one stays as it is. */
export function decodeSegment(segment: string): string {
  if (segment === "!") return "";
  return segment
    .replace(/!-[0-9a-z]+$/, "")
    .replace(/!([0-9a-f]{2})|!u([0-9a-f]{4})/g, (_, byte, unit) =>
      String.fromCharCode(Number.parseInt(byte ?? unit, 16)),
    );
}

function escapeUnit(unit: string): string {
  const code = unit.charCodeAt(0);
  return code < 0x100 ? `!${code.toString(16).padStart(2, "0")}` : `!u${code.toString(16).padStart(4, "0")}`;
}

/** Windows opens a device for these, whatever the extension. */
function isDevice(text: string): boolean {
  return /^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)/i.test(text);
}

/** One bit per letter, capital or not: what tells `GPT` from `gpt` where the file system does not. */
function capitals(escaped: string): string {
  if (!/[A-Z]/.test(escaped)) return "";
  const letters = escaped.match(/[a-z]/gi) ?? [];
  const bits = letters.map((letter) => (letter < "a" ? "1" : "0")).join("");
  return `!-${BigInt(`0b${bits}`).toString(36)}`;
}

/** `!_` marks it: no escape begins so, hence no short name can look like it. */
async function shorten(text: string): Promise<string> {
  const head = text
    .slice(0, 32)
    .toLowerCase()
    .replace(/[^a-z0-9_-]/g, "-");
  return `${head}!_${await sha256Hex(text)}`;
}

async function sha256Hex(text: string): Promise<string> {
  // Over UTF-16 units: UTF-8 would turn every lone surrogate into the same replacement character.
  const units = Uint16Array.from({ length: text.length }, (_, index) => text.charCodeAt(index));
  const digest = await crypto.subtle.digest("SHA-256", units);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
