/**
 * What was said, read from a recording itself. Independent of `src` on purpose: what capture overlooks must not be
 * overlooked here for the same reason. So nothing is selected by name: every text of a message counts.
 */
import { createHash } from "node:crypto";
import type { JsonObject } from "./json.ts";

/** One message of a conversation. */
export interface Utterance {
  /** Where it stands in the recording, for findings. */
  readonly where: string;
  /** The role it must be stored under. */
  readonly storedRole: "system" | "user" | "assistant";
  /** Texts that must be found, literally. */
  readonly texts: readonly string[];
  /** Base64 media that must not be stored, and what must be told of each instead. */
  readonly media: readonly { readonly base64: string; readonly bytes: string; readonly sha256: string }[];
}

/** Take a message apart. What a model drew or spoke travels in `choices`: only the request's media are surely replaced. */
export function toUtterance(message: JsonObject, where: string, side: "request" | "response"): Utterance {
  const { role, ...rest } = message;
  const leaves = stringLeaves(rest).filter(({ text }) => text !== "");
  const media = leaves.filter(isMedia).map(({ text }) => describeMedia(text));
  return {
    where,
    storedRole: storedRole(role),
    texts: leaves.filter((leaf) => !isMedia(leaf)).map(({ text }) => text),
    media: side === "request" ? media : [],
  };
}

function storedRole(role: unknown): Utterance["storedRole"] {
  if (role === "assistant") return "assistant";
  return role === "system" || role === "developer" ? "system" : "user";
}

interface Leaf {
  readonly path: readonly string[];
  readonly text: string;
}

/** Every string in a value, with the keys that lead to it. */
export function stringLeaves(value: unknown, path: readonly string[] = []): Leaf[] {
  if (typeof value === "string") return [{ path, text: value }];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => stringLeaves(inner, [...path, key]));
}

const DATA_URL = /^data:[^,]*;base64,/;
const MEDIA_KEYS = /^(data|file_data|input_audio|b64_json)$/;

function isMedia({ path, text }: Leaf): boolean {
  if (DATA_URL.test(text)) return true;
  // What `image_generation_call` drew.
  if (path.at(-1) === "result" && /^[A-Za-z0-9+/=]{1000,}$/.test(text)) return true;
  // What some take where others take a URL.
  if (path.some((key) => ["file_url", "images"].includes(key)) && /^[A-Za-z0-9+/=]{256,}$/.test(text)) return true;
  const inMedia = path.some((key) => ["input_audio", "audio", "file"].includes(key));
  return inMedia && MEDIA_KEYS.test(path.at(-1) ?? "") && /^[A-Za-z0-9+/=\s]{16,}$/.test(text);
}

function describeMedia(text: string): Utterance["media"][number] {
  const base64 = text.replace(DATA_URL, "");
  const bytes = Buffer.from(base64, "base64");
  return { base64, bytes: String(bytes.length), sha256: createHash("sha256").update(bytes).digest("hex") };
}
