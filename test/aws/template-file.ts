/** The SAM template as data, and what AWS's own validator says of it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RegoEngine, TemplateFile } from "@aws/cloudformation-validate";
import { isMap, isScalar, isSeq, parseDocument } from "yaml";

export const TEMPLATE = new URL("../../examples/aws/template.yaml", import.meta.url);

/** Read anything at a path of plain data; undefined where there is nothing. */
export function at(value: unknown, ...path: readonly (string | number)[]): unknown {
  return path.reduce<unknown>(
    (node, key) => (typeof node === "object" && node !== null ? Reflect.get(node, key) : undefined),
    value,
  );
}

/** Set or, with `undefined`, take out what is at a path that exists. */
export function change(template: unknown, path: readonly (string | number)[], value: unknown): void {
  const key = path.at(-1) ?? "";
  const parent = at(template, ...path.slice(0, -1));
  if (typeof parent !== "object" || parent === null || !Reflect.has(parent, key)) throw new RangeError(path.join("/"));
  if (value === undefined) Reflect.deleteProperty(parent, key);
  else Reflect.set(parent, key, value);
}

/** The template with the short forms of intrinsic functions written out: `!Ref x` is `{ Ref: "x" }`. */
export function readTemplate(): object {
  const document = parseDocument(readFileSync(TEMPLATE, "utf8"), { logLevel: "silent" });
  if (document.errors.length > 0) throw document.errors[0];
  const template = plain(document.contents);
  if (typeof template !== "object" || template === null) throw new TypeError("the template is no object");
  return template;
}

function plain(node: unknown): unknown {
  if (isScalar(node)) return written(node.tag, node.value);
  if (isSeq(node)) return written(node.tag, node.items.map(plain));
  if (!isMap(node)) return null;
  return Object.fromEntries(node.items.map(({ key, value }) => [String(plain(key)), plain(value)]));
}

function written(tag: string | undefined, value: unknown): unknown {
  if (!tag?.startsWith("!")) return value;
  if (tag === "!Ref" || tag === "!Condition") return { [tag.slice(1)]: value };
  return { [`Fn::${tag.slice(1)}`]: tag === "!GetAtt" && typeof value === "string" ? value.split(".") : value };
}

const engine = new RegoEngine();

/** Findings of the validator, warnings too, as `RULE Resource Path`. */
export function findings(template: object): string[] {
  const folder = mkdtempSync(join(tmpdir(), "tracelogger-template-"));
  try {
    const path = join(folder, "template.json");
    writeFileSync(path, JSON.stringify(template));
    const { status, diagnostics } = engine.validateStandard(new TemplateFile(path));
    if (status !== "OK") throw new Error(`the validator gave up: ${status}`);
    return diagnostics
      .filter(({ severity }) => severity !== "INFO" && severity !== "DEBUG")
      .map(({ ruleId, entity, propertyPath, message }) => `${ruleId} ${entity?.logicalId} ${propertyPath}: ${message}`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/**
 * What the validator would look at after the transform: it knows neither SAM's `Api.Stage` nor what a
 * `Serverless::Function` may hold, so the copy has the stage's name and the function as Lambda knows it.
 */
export function asPlainCloudFormation(template: object): object {
  const copy: unknown = JSON.parse(JSON.stringify(template).replaceAll('"TraceApi.Stage"', '"StageName"'));
  const lambda = at(copy, "Resources", "S3LoggingFunction");
  if (typeof copy !== "object" || copy === null || typeof lambda !== "object" || lambda === null) return template;
  const { CodeUri, Events, Tags, ...properties } = Object(at(lambda, "Properties"));
  Reflect.set(lambda, "Type", "AWS::Lambda::Function");
  Reflect.set(lambda, "Properties", {
    ...properties,
    Code: { S3Bucket: "code", S3Key: "code.zip" },
    Tags: Object.entries(Object(Tags)).map(([Key, Value]) => ({ Key, Value })),
  });
  return copy;
}
