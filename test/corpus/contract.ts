/** The two layers of the contract, each asked in the form of `choices` that it wants. */
import { existsSync, readFileSync } from "node:fs";
import AjvDraft04 from "ajv-draft-04";
import * as z from "zod";
import { traceSchema } from "../../src/trace.ts";
import { traceJsonSchema } from "../../src/trace-json-schema.ts";
import type { JsonObject } from "./json.ts";

const PUBLISHED = new URL("../../../shared/contract/trace.draft-04.schema.json", import.meta.url);

// Ours is proven equal to the published one in test/trace.test.ts; the published one itself is better still.
const schema: object = existsSync(PUBLISHED) ? JSON.parse(readFileSync(PUBLISHED, "utf8")) : traceJsonSchema;
const satisfiesPublished = new AjvDraft04({ strict: false, allErrors: true }).compile(schema);

/** What either layer has against a stored trace: the published schema wants an object of choices, the function a list. */
export function contractFindings(trace: JsonObject): string[] {
  const { choices, ...rest } = trace;
  const list = listChoices(choices);
  const asObject = choices === undefined ? rest : { ...rest, choices: { ...list } };
  const asList = choices === undefined ? rest : { ...rest, choices: list };
  const findings = satisfiesPublished(asObject)
    ? []
    : (satisfiesPublished.errors ?? []).map((e) => `the published schema refuses ${e.instancePath}: ${e.message}`);
  const strict = z.safeParse(traceSchema, asList);
  if (!strict.success) findings.push(`the deployed function would refuse it: ${z.prettifyError(strict.error)}`);
  return findings;
}

/** Choices as a list, whichever of the two forms they are stored in. */
export function listChoices(choices: unknown): unknown[] {
  if (Array.isArray(choices)) return choices;
  return typeof choices === "object" && choices !== null ? Object.values(choices) : [];
}
