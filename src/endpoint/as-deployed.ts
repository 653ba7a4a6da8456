/** What is wrong with a trace, in the words of the deployed function (Python). Clients know refusals by these names. */
import type { TraceIssue, TraceValidationError } from "../errors.ts";

/** The first thing that is wrong: the function stops there. */
export function asDeployed(error: TraceValidationError): string {
  const unknown = error.issues.find(isUnknownField);
  if (unknown !== undefined) return unexpectedKeyword(unknown.path);
  const missing = error.issues.find(({ got }) => got === "nothing");
  if (missing !== undefined) return missingArgument(missing.path);
  const [first] = error.issues;
  return first === undefined ? "TypeError: Invalid trace" : wrongValue(first);
}

function isUnknownField(issue: TraceIssue): boolean {
  return issue.expected.startsWith("only ");
}

function unexpectedKeyword(path: string): string {
  const keyword = path.replace(/^messages\[\d+\]\./, "").slice(0, 64);
  return `TypeError: ${className(path)}.__init__() got an unexpected keyword argument '${keyword}'`;
}

function missingArgument(path: string): string {
  const argument = path.slice(path.lastIndexOf(".") + 1);
  return `TypeError: ${className(path)}.__init__() missing 1 required positional argument: '${argument}'`;
}

function className(path: string): "Trace" | "Message" {
  return path.startsWith("messages[") ? "Message" : "Trace";
}

function wrongValue({ path, got }: TraceIssue): string {
  if (path === "created") return `ValueError: Invalid timestamp: ${got.replace(/^the number /, "")}`;
  if (path === "messages") return `AssertionError: Messages must be ${got === "a list of 0" ? "non-empty" : "a list"}`;
  if (path.startsWith("choices"))
    return `AssertionError: Choices must be a list${got.startsWith("a list") ? " of objects" : ""}`;
  if (path.endsWith(".role")) return "ValueError: Invalid role";
  return `TypeError: Invalid value for ${path === "" ? "the trace" : path}`;
}
