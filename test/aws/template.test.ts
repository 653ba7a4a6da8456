import { existsSync, readFileSync } from "node:fs";
import Ajv from "ajv-draft-04";
import { describe, expect, test } from "vitest";
import { handlerFromEnvironment } from "../../src/endpoint/lambda.ts";
import { parseTrace } from "../../src/trace.ts";
import { traceJsonSchema } from "../../src/trace-json-schema.ts";
import { asPlainCloudFormation, at, change, findings, readTemplate } from "./template-file.ts";

type Path = readonly (string | number)[];
const FUNCTION = ["Resources", "S3LoggingFunction", "Properties"];
const API = ["Resources", "TraceApi", "Properties"];
const PATHS = [...API, "DefinitionBody", "paths"];
const SCHEMAS = [...API, "DefinitionBody", "components", "schemas"];
const STATEMENTS = ["Resources", "FunctionRole", "Properties", "Policies", 0, "PolicyDocument", "Statement"];
const BUCKET = ["Resources", "TraceBucket", "Properties"];
const SECRET = ["Resources", "ShareSecret", "Properties"];
const PREFIXES = [{ "Fn::Sub": `\${TraceBucket.Arn}/logs/*` }, { "Fn::Sub": `\${TraceBucket.Arn}/share/*` }];

/** Everything that is wrong with a template: the validator's findings and ours, where it is blind. */
function wrongWith(template: object): string[] {
  const wrong = [...findings(asPlainCloudFormation(template))];
  const demand = (what: string, holds: boolean) => holds || wrong.push(what);
  for (const [what, path, wanted] of RULES) {
    demand(what, JSON.stringify(at(template, ...path)) === JSON.stringify(wanted));
  }
  demand("events are the API's methods", sameRoutes(template));
  const log = String(at(template, ...API, "AccessLogSetting", "Format"));
  demand("the access log holds no bodies and no keys", !/body|input|apiKey"?\$|identity\.apiKey"|header/i.test(log));
  demand("the access log is JSON", isJson(log));
  demand("nothing without a key but the share pages", Object.entries(Object(at(template, ...PATHS))).every(isGuarded));
  demand("the function starts with what it is given, whatever is chosen", starts(template));
  for (const kind of ["FunctionErrors", "FunctionThrottles", "ServerErrors"]) {
    demand(`${kind} tells somebody`, at(template, "Resources", kind, "Properties", "AlarmActions") !== undefined);
  }
  return wrong;
}

const RULES: readonly (readonly [string, Path, unknown])[] = [
  ["the function keeps its name", ["Resources", "S3LoggingFunction", "Type"], "AWS::Serverless::Function"],
  ["the code is what the build makes", [...FUNCTION, "CodeUri"], "../../dist/lambda/"],
  ["the function answers before the gateway does", [...FUNCTION, "Timeout"], 28],
  ["the function has its own role", [...FUNCTION, "Role"], { "Fn::GetAtt": ["FunctionRole", "Arn"] }],
  ["share pages are private by default", ["Parameters", "SharePages", "Default"], "signed"],
  ["what the function may do", [...STATEMENTS, "length"], 3],
  ["create only", [...STATEMENTS, 0, "Action"], "s3:PutObject"],
  ["create only what is not there", [...STATEMENTS, 0, "Condition"], { Null: { "s3:if-none-match": "false" } }],
  ["create under the two prefixes", [...STATEMENTS, 0, "Resource"], PREFIXES],
  ["read only", [...STATEMENTS, 1, "Action"], "s3:GetObject"],
  ["read under the two prefixes", [...STATEMENTS, 1, "Resource"], PREFIXES],
  ["write its log", [...STATEMENTS, 2, "Action"], ["logs:CreateLogStream", "logs:PutLogEvents"]],
  ["and no other log", [...STATEMENTS, 2, "Resource"], { "Fn::GetAtt": ["FunctionLogs", "Arn"] }],
  [
    "no public access",
    [...BUCKET, "PublicAccessBlockConfiguration"],
    { BlockPublicAcls: true, BlockPublicPolicy: true, IgnorePublicAcls: true, RestrictPublicBuckets: true },
  ],
  [
    "encrypted",
    [...BUCKET, "BucketEncryption", "ServerSideEncryptionConfiguration", 0, "ServerSideEncryptionByDefault"],
    { SSEAlgorithm: "AES256" },
  ],
  [
    "TLS only",
    ["Resources", "TraceBucketPolicy", "Properties", "PolicyDocument", "Statement", 0, "Condition"],
    { Bool: { "aws:SecureTransport": "false" } },
  ],
  ["traces survive the stack", ["Resources", "TraceBucket", "DeletionPolicy"], "Retain"],
  ["no bodies in execution logs", [...API, "MethodSettings", 0, "DataTraceEnabled"], false],
  ["no execution logs", [...API, "MethodSettings", 0, "LoggingLevel"], "OFF"],
  ["bodies are validated", [...PATHS, "/", "post", "x-amazon-apigateway-request-validator"], "body"],
  [
    "by a validator of bodies",
    [...API, "DefinitionBody", "x-amazon-apigateway-request-validators", "body", "validateRequestBody"],
    true,
  ],
  ["share pages open in a browser, which has no key", [...PATHS, "/share/{proxy+}", "get", "security"], []],
  ["links are signed with a secret made here", [...SECRET, "GenerateSecretString", "PasswordLength"], 48],
  [
    "the plan waits for the stage",
    ["Resources", "UsagePlan", "Properties", "ApiStages", 0, "Stage"],
    { Ref: "TraceApi.Stage" },
  ],
];

function sameRoutes(template: object): boolean {
  const events = Object.values(Object(at(template, ...FUNCTION, "Events"))).map((event) => {
    const api = at(event, "Type") === "Api" && at(event, "Properties", "RestApiId", "Ref") === "TraceApi";
    return api ? `${at(event, "Properties", "Method")} ${at(event, "Properties", "Path")}` : "no event of this API";
  });
  const routes = Object.entries(Object(at(template, ...PATHS))).flatMap(([path, methods]) =>
    Object.keys(Object(methods)).map((method) => `${method} ${path}`),
  );
  return JSON.stringify(events.sort()) === JSON.stringify(routes.sort());
}

function isGuarded([path, methods]: [string, unknown]): boolean {
  const withKey = JSON.stringify([{ apiKey: [] }]);
  const hasKey = (method: unknown) => JSON.stringify(at(method, "security")) === withKey;
  return path === "/share/{proxy+}" || Object.values(Object(methods)).every(hasKey);
}

/** Read the function's environment as CloudFormation would fill it in, and start the real handler on it. */
function starts(template: object): boolean {
  const choices = ["off", "signed", "public"].flatMap((SharePages) =>
    ["contract", "partitioned"].map((Layout) => ({ SharePages, Layout })),
  );
  try {
    for (const chosen of choices) handlerFromEnvironment(environmentOf(template, chosen));
    return true;
  } catch {
    return false;
  }
}

function environmentOf(template: object, chosen: Record<string, string>): Record<string, string> {
  const variables = Object(at(template, ...FUNCTION, "Environment", "Variables"));
  return Object.fromEntries(
    Object.entries(variables).map(([name, value]) => [name, filledIn(value, template, chosen)]),
  );
}

/** `Ref`, `Sub` and `If`, as far as the environment uses them. What `resolve` would find is as long as the secret. */
function filledIn(value: unknown, template: object, chosen: Record<string, string>): string {
  const condition = at(value, "Fn::If", 0);
  if (typeof condition === "string") {
    const equals = at(template, "Conditions", condition, "Fn::Equals");
    const isTrue = filledIn(at(equals, 0), template, chosen) === at(equals, 1);
    return filledIn(at(value, "Fn::If", isTrue ? 1 : 2), template, chosen);
  }
  const text = at(value, "Fn::Sub");
  if (typeof text === "string" && /^\{\{resolve:secretsmanager:\$\{ShareSecret\}/.test(text))
    return "s".repeat(Number(at(template, ...SECRET, "GenerateSecretString", "PasswordLength")));
  const name = at(value, "Ref");
  if (typeof name !== "string") return String(value);
  return chosen[name] ?? String(at(template, "Parameters", name, "Default") ?? name);
}

function isJson(text: string): boolean {
  try {
    return typeof JSON.parse(text) === "object";
  } catch {
    return false;
  }
}

describe("the SAM template", () => {
  test("has nothing wrong with it, warnings included", () => {
    expect(wrongWith(readTemplate())).toEqual([]);
  });

  const faults: readonly (readonly [string, Path, unknown])[] = [
    ["a runtime that does not exist", [...FUNCTION, "Runtime"], "nodejs25.x"],
    ["a timeout beyond Lambda's", [...FUNCTION, "Timeout"], 9000],
    ["a timeout beyond the gateway's", [...FUNCTION, "Timeout"], 60],
    ["memory as a word", [...FUNCTION, "MemorySize"], "lots"],
    ["a misspelt property", [...FUNCTION, "Enviroment"], {}],
    ["a reference to nothing", [...FUNCTION, "Environment", "Variables", "TRACELOGGER_BUCKET"], { Ref: "Buckett" }],
    ["an event with a typo in its path", [...FUNCTION, "Events", "Store", "Properties", "Path"], "/prod"],
    ["an event with a typo in its type", [...FUNCTION, "Events", "Store", "Type"], "API"],
    ["an event of a method that is not there", [...FUNCTION, "Events", "Share", "Properties", "Method"], "put"],
    ["an IAM action that does not exist", [...STATEMENTS, 0, "Action"], "s3:PutObjects"],
    ["every action", [...STATEMENTS, 1, "Action"], "s3:*"],
    ["the whole bucket", [...STATEMENTS, 1, "Resource"], "*"],
    ["overwriting", [...STATEMENTS, 0, "Condition"], undefined],
    ["a public bucket", [...BUCKET, "PublicAccessBlockConfiguration"], undefined],
    ["an encryption that does not exist", [...BUCKET, "BucketEncryption"], { SSEAlgorithm: "ROT13" }],
    ["a bucket that goes with the stack", ["Resources", "TraceBucket", "DeletionPolicy"], "Delete"],
    ["no TLS demanded", ["Resources", "TraceBucketPolicy"], undefined],
    ["bodies in the logs", [...API, "MethodSettings", 0, "DataTraceEnabled"], true],
    ["bodies in the access log", [...API, "AccessLogSetting", "Format"], '{"b":"$input.body"}'],
    ["traces without a key", [...PATHS, "/", "post", "security"], []],
    [
      "share pages that want a key, which no browser has",
      [...PATHS, "/share/{proxy+}", "get", "security"],
      [{ apiKey: [] }],
    ],
    ["links that nothing signs", [...FUNCTION, "Environment", "Variables", "TRACELOGGER_SHARE_SECRET"], undefined],
    ["a secret that could be guessed", [...SECRET, "GenerateSecretString", "PasswordLength"], 8],
    ["a layout that does not exist", [...FUNCTION, "Environment", "Variables", "TRACELOGGER_LAYOUT"], "flat"],
    ["unvalidated bodies", [...PATHS, "/", "post", "x-amazon-apigateway-request-validator"], undefined],
    ["share pages public by default", ["Parameters", "SharePages", "Default"], "public"],
    ["a log kept for an impossible time", ["Resources", "AccessLogs", "Properties", "RetentionInDays"], 17],
    ["an alarm that compares with nothing", ["Resources", "ServerErrors", "Properties", "ComparisonOperator"], "More"],
    ["an alarm that tells nobody", ["Resources", "FunctionErrors", "Properties", "AlarmActions"], undefined],
    [
      "a plan without its stage",
      ["Resources", "UsagePlan", "Properties", "ApiStages", 0, "Stage"],
      { Ref: "StageName" },
    ],
    ["a condition that is not defined", ["Resources", "AlarmTopic", "Condition"], "SomebodyIsTolled"],
    ["an output of nothing", ["Outputs", "Bucket", "Value"], { Ref: "Nothing" }],
  ];

  test.each(faults)("with %s is caught", (_, path, value) => {
    const template = readTemplate();
    if (path.at(-1) === "Enviroment") Reflect.set(Object(at(template, ...FUNCTION)), "Enviroment", value);
    else change(template, path, value);
    expect(wrongWith(template)).not.toEqual([]);
  });
});

describe("the request validation", () => {
  const schemas = Object(at(readTemplate(), ...SCHEMAS));

  test("is the SDK's own schema but for choices, which may be a list, too", () => {
    const { $schema, ...ours } = structuredClone(traceJsonSchema);
    const objects = [{ type: "object" }, { type: "array", items: { type: "object" } }];
    const choices = { anyOf: objects, description: ours.properties.choices.description };
    expect(schemas.Trace).toEqual({ ...ours, properties: { ...ours.properties, choices } });
  });

  // The gateway makes a draft-04 model of it; `definitions` is where `components/schemas` are then.
  const validate = new Ajv({ strict: false }).compile(
    JSON.parse(
      JSON.stringify({ ...schemas.Body, definitions: schemas }).replaceAll("#/components/schemas/", "#/definitions/"),
    ),
  );
  const trace = { model: "m", created: 1_714_857_600, messages: [{ role: "user", content: "Hello" }] };

  test.each([
    ["a trace", trace],
    ["choices as an object", { ...trace, choices: { 0: { index: 0 } } }],
    ["choices as a list", { ...trace, choices: [{ index: 0 }] }],
    ["a batch", [trace, trace]],
    ["a batch with a bad trace, which the function answers by itself", [trace, {}]],
  ])("lets %s through", (_, body) => expect(validate(body)).toBe(true));

  test.each([
    ["no messages", { ...trace, messages: undefined }],
    ["a role that is none", { ...trace, messages: [{ role: "robot", content: "" }] }],
    ["choices that are text", { ...trace, choices: "none" }],
    ["choices that are a list of texts", { ...trace, choices: ["none"] }],
    ["created as text", { ...trace, created: "now" }],
    ["text", "hello"],
    ["null", null],
  ])("refuses %s", (_, body) => expect(validate(JSON.parse(JSON.stringify(body)))).toBe(false));
});

describe("the test event", () => {
  const read = (url: URL): unknown => JSON.parse(readFileSync(url, "utf8"));
  const ours = new URL("../../examples/aws/tests/test_event.json", import.meta.url);
  const original = new URL("../../../shared/contract/test_event.json", import.meta.url);

  test("is a trace", () => {
    expect(parseTrace(read(ours))).toMatchObject({ model: "model-name-here", created: 1_714_857_600 });
  });

  test.skipIf(!existsSync(original))("has the form of the original's, which is a trace, too", () => {
    const form = (event: unknown) => ({
      fields: Object.keys(Object(event)),
      roles: parseTrace(event).messages.map(({ role }) => role),
    });
    expect(form(read(ours))).toEqual(form(read(original)));
  });
});
