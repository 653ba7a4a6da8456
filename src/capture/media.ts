/** Images, audio and files in a request are described, not stored: type, size and SHA-256 stand for them. */
import { isObject } from "../json.ts";

interface Media {
  readonly type: string;
  readonly base64: string;
  replace(description: string): void;
}

const DATA_URL = /^data:([^;,]*)(?:;[^;,]+)*;base64,/;
/**
 * Fields that hold base64 without a `data:` URL around it (`input_audio.data`, `file.file_data`, `image.b64_json`; in
 * Mistral's API `input_audio` itself).
 */
const BASE64_FIELD = /^(?:file_)?data$|^b64_json$|^bytes$|^input_audio$/;
const BASE64 = /^[\w+/\s-]{64,}={0,2}\s*$/;
/** Fields that name some media, or where it is: base64 may stand there by itself (Perplexity's `file_url`, Ollama's `images`). */
const MEDIA_FIELD = /^(?:input_)?(?:audio|image|video|file|document)(?:_url)?s?$|^url$/;
/** No path and no id is that long without a dot, a dash or a colon. */
const BARE_BASE64 = /^[A-Za-z\d+/]{256,}={0,2}$/;
/** What people and models write is never taken for media, even if it is a `data:` URL. */
const TEXT_FIELD = /^(?:text|content|arguments|reasoning|refusal|input|output|code|logs)$/;
/** Where the Responses API puts the base64 of what was drawn. */
const DRAWING = "image_generation_call";
/** Base64 that is no media: thoughts that only the provider can read (`reasoning.encrypted`, `redacted_thinking`). */
const SEALED = /^reasoning\b|thinking$/;

/**
 * Replace base64 media anywhere in the value, in place, by a text like `[image/png, 12345 bytes, sha256 9f86…]`.
 *
 * @returns undefined when there is none, as in most calls: nothing to wait for.
 */
export function describeMedia(value: unknown): Promise<void> | undefined {
  const found: Media[] = [];
  findMedia(value, "", found);
  return found.length > 0 ? replaceMedia(found) : undefined;
}

async function replaceMedia(found: readonly Media[]): Promise<void> {
  for (const { type, base64, replace } of found) {
    const bytes = decodeBase64(base64);
    if (bytes) replace(`[${type}, ${bytes.byteLength} bytes${await hash(bytes)}]`);
  }
}

function findMedia(value: unknown, parentKey: string, found: Media[]): void {
  if (typeof value !== "object" || value === null) return;
  const holder = value as { [key: string]: unknown }; // parsed from JSON by the caller, so it may be changed
  for (const key of Object.keys(holder)) {
    const leaf = holder[key];
    if (typeof leaf !== "string") {
      findMedia(leaf, Array.isArray(value) ? parentKey : key, found);
      continue;
    }
    if (leaf.length < 64 || TEXT_FIELD.test(key)) continue;
    const [prefix, dataUrlType] = DATA_URL.exec(leaf) ?? [];
    const isDrawing = key === "result" && holder["type"] === DRAWING;
    const isField = BASE64_FIELD.test(key) && !SEALED.test(String(holder["type"]));
    const isBare = MEDIA_FIELD.test(Array.isArray(value) ? parentKey : key) && BARE_BASE64.test(leaf);
    if (prefix === undefined && !isBare && !((isDrawing || isField) && BASE64.test(leaf))) continue;
    const replace = (description: string) => {
      holder[key] = description;
    };
    const type = dataUrlType || declaredType(value, parentKey);
    found.push({ type, base64: leaf.slice(prefix?.length ?? 0), replace });
  }
}

function declaredType(holder: unknown, parentKey: string): string {
  const {
    type,
    output_format,
    format = output_format,
    media_type,
    mime_type,
    mimeType,
  } = isObject(holder) ? holder : {};
  const declared = [media_type, mime_type, mimeType].find((type) => typeof type === "string");
  if (typeof declared === "string") return declared;
  const kind = /audio|video|image/.exec(`${parentKey} ${type}`)?.[0];
  return kind && typeof format === "string" ? `${kind}/${format}` : "application/octet-stream";
}

function decodeBase64(base64: string): Uint8Array<ArrayBuffer> | undefined {
  try {
    const binary = atob(base64.replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = new Uint8Array(binary.length);
    // Not by `Uint8Array.from`: an image of 2 MB held its host up for a quarter of a second.
    for (let at = 0; at < bytes.length; at++) bytes[at] = binary.charCodeAt(at);
    return bytes;
  } catch {
    return undefined; // not base64 after all: it stays as it is
  }
}

async function hash(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  // Browsers offer `subtle` to secure pages only.
  if (!globalThis.crypto?.subtle) return "";
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return `, sha256 ${Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
