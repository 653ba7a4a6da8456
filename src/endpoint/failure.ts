/** Everything the endpoint can say no with, before it is known in which words (see `answers.ts`). */

/** Why a request did not end in a stored trace. */
export type FailureKind =
  /** Missing or wrong `x-api-key`. */
  | "forbidden"
  | "wrong_path"
  | "wrong_method"
  /** Not `application/json`, or in an encoding other than gzip. */
  | "unsupported_media"
  | "too_large"
  /** Not UTF-8, not JSON, or nested too deep. */
  | "not_json"
  /** The request validator, which knows the published schema only, refused it. */
  | "invalid_body"
  /** The function, which is stricter than the published schema, refused it. */
  | "invalid_trace"
  /** Another trace has this fingerprint, day and id. */
  | "conflict"
  /** The store failed; nothing is wrong with the trace. */
  | "storage"
  /** A bug of ours. */
  | "crash";

/** Thrown anywhere below `createEndpoint`, told to the caller by `answers.ts`. */
export class Failure extends Error {
  override readonly name = "Failure";
  readonly kind: FailureKind;
  /** The same in the words of the deployed function, where it has words of its own. */
  readonly asDeployed: string | undefined;

  /**
   * @param message `"<ExceptionName>: <text>"`, fit for strangers: no paths, no text of a trace. The names of Python's
   *   own exceptions mean "never send this trace again", so whatever is not the trace's fault has another name.
   */
  constructor(kind: FailureKind, message: string, options: { cause?: unknown; asDeployed?: string } = {}) {
    super(message, { cause: options.cause });
    this.kind = kind;
    this.asDeployed = options.asDeployed;
  }
}
