/**
 * Links to share pages that end: `?expires=<Unix seconds>&signature=<HMAC-SHA-256>`, checked by the endpoint itself. Not
 * S3's presigned URLs: those made on Lambda die with the role's session, within hours, whatever lifetime was asked for,
 * and S3 would serve the page without our headers.
 */
import { invalidOption, type TraceLoggerError } from "../errors.ts";

/** How links are signed. */
export interface ShareLinkOptions {
  /** At least 16 characters that nobody can guess. Another secret ends all links at once. */
  readonly secret: string;
  /** How long a link is good, in seconds. @default 604800, a week */
  readonly ttlSeconds?: number | undefined;
}

/** A shorter secret could be guessed. */
export const MIN_SECRET_LENGTH = 16;
export const DEFAULT_TTL_SECONDS = 7 * 24 * 3600;

export interface ShareLinks {
  /** The path, with what proves that we gave it out. */
  signed(path: string): Promise<string>;
  isValid(url: URL): Promise<boolean>;
}

/**
 * Without options every path is its own link.
 *
 * @throws {TraceLoggerError} `invalid_option` for a short secret or a lifetime that is none.
 */
export function shareLinks(options: ShareLinkOptions | undefined): ShareLinks {
  if (options === undefined) return { signed: async (path) => path, isValid: async () => true };
  const { secret, ttlSeconds = DEFAULT_TTL_SECONDS } = options;
  if (typeof secret !== "string" || secret.length < MIN_SECRET_LENGTH)
    throw invalid("secret", `a string of at least ${MIN_SECRET_LENGTH} characters`);
  if (!Number.isInteger(ttlSeconds) || ttlSeconds < 1) throw invalid("ttlSeconds", "a whole number of seconds from 1");
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = crypto.subtle.importKey("raw", new TextEncoder().encode(secret), algorithm, false, ["sign", "verify"]);
  return {
    async signed(path) {
      const expires = String(Math.floor(Date.now() / 1000) + ttlSeconds);
      const signature = await crypto.subtle.sign("HMAC", await key, statement(path, expires));
      return `${path}?expires=${expires}&signature=${toHex(new Uint8Array(signature))}`;
    },
    async isValid({ pathname, searchParams }) {
      const expires = searchParams.get("expires") ?? "";
      const signature = fromHex(searchParams.get("signature") ?? "");
      if (!/^\d{1,12}$/.test(expires) || Number(expires) * 1000 < Date.now()) return false;
      return crypto.subtle.verify("HMAC", await key, signature, statement(pathname, expires)); // in constant time
    },
  };
}

function statement(path: string, expires: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${expires}\n${path}`);
}

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function fromHex(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text.match(/[0-9a-f]{2}/g) ?? [], (byte) => Number.parseInt(byte, 16));
}

function invalid(name: string, expected: string): TraceLoggerError {
  return invalidOption(`createEndpoint: the option shareLinks.${name} must be ${expected}.`);
}
