/** A file in one of OpenAI's forms of a content part. Its bytes are replaced when the trace is built (`media.ts`). */
export function mediaPart(
  file: { readonly mediaType: string; readonly data?: unknown; readonly url?: unknown },
  rest: object = {},
): Record<string, unknown> {
  const { mediaType, data, url } = file;
  const isDataUrl = typeof data === "string" && data.startsWith("data:");
  const held = url === undefined && !isDataUrl ? { data, media_type: mediaType } : { url: String(url ?? data) };
  if (/^image\b/.test(mediaType)) return { type: "image_url", image_url: held, ...rest };
  return { type: "file", file: { ...held, media_type: mediaType }, ...rest };
}
