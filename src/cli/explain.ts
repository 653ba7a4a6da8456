/** An error that tells the user of the terminal what to do: its message is the whole story, no stack is shown. */
export class UserError extends Error {
  override readonly name = "UserError";
}

/** What strangers wrote, in one line and without the characters that move a terminal's cursor. */
export function printable(text: string): string {
  return text.replace(/[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu, "?");
}

/** An error's message. It may quote names that strangers chose. */
export function explain(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.split("\n").map(printable).join("\n");
}

/** Why a delivery failed, down to what the system said (`connect ECONNREFUSED 127.0.0.1:4319`). */
export function explainDelivery(error: Error): string {
  let root: unknown = error;
  while (root instanceof Error && root.cause !== undefined) root = root.cause;
  const told = root instanceof Error ? root.message || root.name : root;
  return root === error ? explain(error) : `${explain(error)} (${explain(told)})`;
}
