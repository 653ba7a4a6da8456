/**
 * The contract: what a trace is. The client and the endpoint meet here and nowhere else, so that the two cannot
 * drift. It has two layers, as in the published document and the deployed function (see the README, "The contract"):
 * `traceInputSchema` and `traceSchema`, here, also refuse what the deployed function refuses, so that a trace which
 * passes here is not turned away there; published-contract.ts says just what the published JSON Schema says.
 */
import { v7 as uuidv7 } from "uuid";
import * as z from "zod/mini";
import { type TraceIssue, TraceValidationError } from "./errors.ts";
import { valueAt } from "./json.ts";
import { readPlain } from "./plain-trace.ts";

/** Who may speak in a trace. Other roles (`developer`, `tool`, …) are mapped onto these (README, "The mapping"). */
export const TRACE_ROLES = ["system", "user", "assistant"] as const;

/** The value of `object` when none is given. */
export const DEFAULT_TRACE_OBJECT = "chat.trace";

/** 9999-12-31T23:59:59Z: the last second the deployed function takes for a date. Milliseconds lie far beyond it. */
const MAX_CREATED_SECONDS = 253_402_300_799;

const PLAIN = { roles: TRACE_ROLES, maxCreatedSeconds: MAX_CREATED_SECONDS };

const role = z.enum(TRACE_ROLES);
const anyObject = z.looseObject({});

/** One message: who said it, and the text. Nothing else: the deployed function refuses `name`, `tool_calls`, …. */
export const traceMessageSchema = z.strictObject({ role, content: z.string() });

const createdSeconds = z.int().check(z.minimum(0), z.maximum(MAX_CREATED_SECONDS));
const messages = z.array(traceMessageSchema).check(z.minLength(1));
/** Both forms, because the two layers of the endpoint disagree about it: a list, or an object keyed by index. */
const choices = z.optional(z.union([z.array(anyObject), anyObject]));
const usage = z.optional(anyObject);
const nonEmpty = z.string().check(z.minLength(1));

/** What a caller may hand to `logTrace`: everything but `model` and `messages` has a default. */
export const traceInputSchema = z.strictObject({
  model: z.string(),
  messages,
  id: z.optional(nonEmpty),
  object: z.optional(z.string()),
  created: z.optional(createdSeconds),
  system_fingerprint: z.optional(z.string()),
  choices,
  usage,
});

/** A whole trace: defaults filled in, ready to be stored. */
export const traceSchema = z.strictObject({
  model: z.string(),
  messages,
  id: nonEmpty,
  object: z.string(),
  created: createdSeconds,
  system_fingerprint: z.string(),
  choices,
  usage,
});

/** A trace as a caller writes it. See {@link traceInputSchema}. */
export type TraceInput = z.input<typeof traceInputSchema>;
/** A whole trace, defaults filled in. See {@link traceSchema}. */
export type Trace = z.output<typeof traceSchema>;
/** One message of a trace. */
export type TraceMessage = z.output<typeof traceMessageSchema>;

/** Where the defaults of a trace come from. */
export interface TraceDefaults {
  /** Used when the trace names none. @default the trace's model */
  readonly systemFingerprint?: string | undefined;
  /** Current time in milliseconds. @default Date.now */
  readonly now?: () => number;
}

/**
 * Validate a trace and fill its defaults: `id` = UUID v7, `object` = `"chat.trace"`, `created` = now in Unix seconds,
 * `system_fingerprint` = the default given, else the model.
 *
 * @throws {TraceValidationError} listing everything that is wrong: where, what was expected, what came, and what to
 *   write instead.
 */
export function parseTrace(input: unknown, defaults: TraceDefaults = {}): Trace {
  const plain = safely(() => readPlain(input, PLAIN));
  if (plain !== undefined && !(plain instanceof Error)) return withDefaults(plain, defaults);
  const result = safely(() => z.safeParse(traceInputSchema, input));
  if (result instanceof Error) throw unreadable(result);
  if (!result.success) throw new TraceValidationError(toIssues(result.error.issues, input), result.error);
  const { choices: chosen, usage: used } = result.data;
  return {
    ...withDefaults(result.data, defaults),
    ...(chosen === undefined ? {} : { choices: chosen }),
    ...(used === undefined ? {} : { usage: used }),
  };
}

function withDefaults(
  { id, object, created, model, system_fingerprint, messages }: TraceInput,
  defaults: TraceDefaults,
) {
  return {
    id: id ?? newId(),
    object: object ?? DEFAULT_TRACE_OBJECT,
    created: created ?? Math.floor((defaults.now ?? Date.now)() / 1000),
    model,
    system_fingerprint: system_fingerprint || defaults.systemFingerprint || model,
    messages,
  };
}

/** Random bytes for many ids at once: asking for 16 at a time costs more than the rest of `parseTrace` together. */
const pool = new Uint8Array(4096);
let poolAt = pool.length;

function newId(): string {
  if (poolAt + 16 > pool.length) {
    crypto.getRandomValues(pool);
    poolAt = 0;
  }
  poolAt += 16;
  return uuidv7({ random: pool.subarray(poolAt - 16, poolAt) });
}

function safely<T>(work: () => T): T | Error {
  try {
    return work();
  } catch (error) {
    return error instanceof Error ? error : new Error("a value that is not an Error was thrown", { cause: error });
  }
}

function unreadable(cause: Error): TraceValidationError {
  const issue = {
    path: "",
    expected: "plain data",
    got: `an object whose properties cannot be read (${cause.name})`,
    hint: "Hand over plain data: no getters that throw, no revoked proxies.",
  };
  return new TraceValidationError([issue], cause);
}

type ZodIssue = z.core.$ZodIssue;
type Path = readonly PropertyKey[];

function toIssues(issues: readonly ZodIssue[], input: unknown): TraceIssue[] {
  return issues.flatMap((issue) =>
    issue.code === "unrecognized_keys"
      ? issue.keys.map((key) => unknownField(issue.path, key, valueAt(input, [...issue.path, key])))
      : [wrongValue(issue, valueAt(input, issue.path))],
  );
}

function unknownField(parent: Path, key: string, value: unknown): TraceIssue {
  const inMessage = parent[0] === "messages";
  return {
    path: formatPath([...parent, key]),
    expected: inMessage
      ? "only `role` and `content`"
      : `only the fields ${Object.keys(traceInputSchema.shape).join(", ")}`,
    got: describeValue(value),
    hint: inMessage
      ? "Remove the field, or write what it says into `content` (`toTraceMessage` does so for OpenAI-style messages)."
      : "Remove the field: the endpoint refuses traces that carry others.",
  };
}

function wrongValue(issue: ZodIssue, value: unknown): TraceIssue {
  const rule = RULES[ruleName(issue.path)];
  return { path: formatPath(issue.path), got: describeValue(value, issue.path), ...rule(value) };
}

type RuleName =
  | ""
  | "model"
  | "messages"
  | "message"
  | "role"
  | "content"
  | "created"
  | "text"
  | "id"
  | "choices"
  | "usage";

/** What to say of a wrong value, by where it stands. The table is the whole of our advice. */
const RULES: Record<RuleName, (value: unknown) => Pick<TraceIssue, "expected" | "hint">> = {
  "": () => ({ expected: "an object", hint: 'Write { model: "…", messages: [{ role: "user", content: "…" }] }.' }),
  model: () => ({ expected: "a string", hint: 'Name the model, for example "gpt-5".' }),
  messages: (value) => ({
    expected: "a list of at least one message",
    hint: Array.isArray(value)
      ? "Log what was said: the endpoint refuses a trace without messages."
      : 'Write [{ role: "user", content: "…" }].',
  }),
  message: () => ({ expected: "a message", hint: 'Write { role: "user", content: "…" }.' }),
  role: (value) => ({
    expected: TRACE_ROLES.map((name) => `"${name}"`).join(" or "),
    hint:
      value === "developer"
        ? 'Write "system".'
        : "Use `toTraceMessage` to keep a message with another role, such as a tool's result.",
  }),
  content: (value) => ({
    expected: "a string",
    hint:
      value === null || value === undefined
        ? 'Write "" when nothing was said; `toTraceMessage` keeps the tool calls of such a message.'
        : "Write the text itself; `toTraceMessage` turns content parts and other OpenAI-style content into text.",
  }),
  created: (value) => ({
    expected: "whole Unix seconds",
    hint:
      typeof value === "number" && value > MAX_CREATED_SECONDS
        ? "These look like milliseconds: write Math.floor(Date.now() / 1000)."
        : "Write Math.floor(date.getTime() / 1000), or leave it out: now is the default.",
  }),
  text: () => ({ expected: "a string", hint: "Write a string, or leave it out." }),
  id: () => ({
    expected: "a string that is not empty",
    hint: "Leave it out to get a UUID, or write an id that no other trace has.",
  }),
  choices: () => ({
    expected: "a list of objects, or an object",
    hint: "Hand over the `choices` of the completion as they came, or leave it out.",
  }),
  usage: () => ({
    expected: "an object",
    hint: "Hand over the `usage` of the completion as it came, or leave it out.",
  }),
};

function ruleName([field = "", index, inMessage]: Path): RuleName {
  if (field === "messages" && index !== undefined)
    return inMessage === "role" || inMessage === "content" ? inMessage : "message";
  if (field === "object" || field === "system_fingerprint") return "text";
  return field in RULES ? (field as RuleName) : ""; // as just found
}

function formatPath(path: Path): string {
  return path
    .map((key) => (typeof key === "number" ? `[${key}]` : `.${String(key)}`))
    .join("")
    .replace(/^\./, "");
}

/** Type and size only: what a trace says never enters a message, except a role (a word of the contract) and a time. */
function describeValue(value: unknown, path: Path = []): string {
  if (value === null) return "null";
  if (value === undefined) return "nothing";
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === "object") return "an object";
  if (typeof value === "string") {
    const isRole = path.at(-1) === "role" && /^[a-z_]{1,20}$/.test(value);
    return isRole ? `"${value}"` : `a string of ${value.length} characters`;
  }
  return path[0] === "created" && typeof value === "number" ? `the number ${value}` : `a ${typeof value}`;
}
