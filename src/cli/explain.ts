/** An error that tells the user of the terminal what to do: its message is the whole story, no stack is shown. */
export class UserError extends Error {
  override readonly name = "UserError";
}

/** An error in one line. */
export function explain(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Why a delivery failed, down to what the system said (`connect ECONNREFUSED 127.0.0.1:4319`). */
export function explainDelivery(error: Error): string {
  let root: unknown = error;
  while (root instanceof Error && root.cause !== undefined) root = root.cause;
  const told = root instanceof Error ? root.message || root.name : String(root);
  return root === error ? error.message : `${error.message} (${told})`;
}
