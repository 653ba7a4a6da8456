import type OpenAI from "openai";
import { APIError } from "openai";
import { APIS } from "./apis.ts";
import type { Recording } from "./recordings.ts";

/** Everything a caller can see of a call. */
export interface Seen {
  /** The result of a plain call, or the chunks of a stream. */
  readonly values: readonly unknown[];
  readonly requestId?: string | null | undefined;
  /** How the call or the stream failed, when it did. */
  readonly error?: Readonly<Record<string, unknown>>;
}

/** Make the recorded call with this client, read its answer to the end, and tell what there was to see. */
export async function observe(client: OpenAI, recording: Recording): Promise<Seen> {
  const values: unknown[] = [];
  try {
    const result = await APIS.get(recording.api)?.call(client, recording);
    if (!isStream(result)) return { values: [result], requestId: requestIdOf(result) };
    for await (const chunk of result) values.push(chunk);
    return { values };
  } catch (error) {
    return { values, error: describeError(error) };
  }
}

function isStream(result: unknown): result is AsyncIterable<unknown> {
  return typeof result === "object" && result !== null && Symbol.asyncIterator in result;
}

function requestIdOf(result: unknown): string | null | undefined {
  return (result as { _request_id?: string | null } | null)?._request_id; // not enumerable, so compared by itself
}

function describeError(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { thrown: error };
  const basics = { class: error.constructor.name, message: error.message, cause: String(error.cause) };
  if (!(error instanceof APIError)) return basics;
  const { status, code, param, type, error: body, requestID } = error;
  return { ...basics, status, code, param, type, body, requestID };
}
