/** An error that tells the user of the terminal what to do: its message is the whole story, no stack is shown. */
export class UserError extends Error {
  override readonly name = "UserError";
}

/** An error in one line. */
export function explain(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
