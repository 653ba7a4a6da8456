/** How a call ended that met an error, in the words of its trace. */
import { isObject } from "../json.ts";
import type { CallEnding } from "../transcript.ts";

/**
 * Aborted when the caller's signal or the error itself says so, else failed.
 *
 * @param tell what is said of an error, where more is known than its shape
 */
export function toEnding(
  error: unknown,
  signal: AbortSignal | undefined,
  tell: (error: unknown) => unknown = () => undefined,
): CallEnding {
  try {
    if (signal?.aborted || (isObject(error) && ABORTS.has(error["name"])))
      return { ended: "aborted", ...timeoutOf(signal) };
    return { ended: "failed", error: tell(error) ?? describeError(error) };
  } catch {
    return { ended: "failed" }; // an error that cannot be read
  }
}

/** Of the platform, and of LangChain. */
const ABORTS = new Set<unknown>(["AbortError", "ModelAbortError"]);

/** Not by hand, but by `AbortSignal.timeout`: its caller would rather know. Other reasons are the caller's own affair. */
function timeoutOf(signal: AbortSignal | undefined): { readonly error?: unknown } {
  const reason: unknown = signal?.reason;
  return isObject(reason) && reason["name"] === "TimeoutError" ? { error: describeError(reason) } : {};
}

/** Of causes that go on and on, or round, the first ones say enough. */
const MAX_CAUSES = 10;

function describeError(error: unknown, causes = MAX_CAUSES): object {
  // By its shape: `fetch` throws errors of another realm than ours in Jest.
  const { name, message, status, statusCode, code, cause } = isObject(error) ? error : {};
  const httpStatus = [status, statusCode].find((one) => typeof one === "number");
  return {
    ...(typeof name === "string" && { name }),
    message: typeof message === "string" ? message : String(error),
    ...(httpStatus !== undefined && { status: httpStatus }),
    ...(code !== undefined && code !== null && { code: typeof code === "number" ? code : String(code) }),
    ...(cause !== undefined && cause !== null && causes > 0 && { cause: describeError(cause, causes - 1) }),
  };
}
