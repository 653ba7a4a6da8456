import { existsSync, readFileSync } from "node:fs";
import Ajv from "ajv-draft-04";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import * as z from "zod/mini";
import { deriveTraceJsonSchema } from "../scripts/trace-json-schema.ts";
import { TraceValidationError } from "../src/errors.ts";
import { publishedTraceSchema } from "../src/published-contract.ts";
import { parseTrace, traceInputSchema, traceSchema } from "../src/trace.ts";
import { traceJsonSchema } from "../src/trace-json-schema.ts";

const said = [{ role: "user", content: "hi" }];
const publishedFile = new URL("../../shared/contract/trace.draft-04.schema.json", import.meta.url);
const testEventFile = new URL("../../shared/contract/test_event.json", import.meta.url);

function issuesOf(input: unknown) {
  try {
    parseTrace(input);
  } catch (error) {
    if (error instanceof TraceValidationError) return error.issues;
    throw error;
  }
  return [];
}

describe("parseTrace fills the defaults", () => {
  test("id, object, created in seconds, and the model as fingerprint", () => {
    const trace = parseTrace({ model: "olmo-2", messages: said }, { now: () => 1_700_000_000_999 });
    expect(trace).toEqual({
      id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/),
      object: "chat.trace",
      created: 1_700_000_000,
      model: "olmo-2",
      system_fingerprint: "olmo-2",
      messages: said,
    });
  });

  test("a fingerprint of the logger stands before the model, and the trace's own before both", () => {
    const defaults = { systemFingerprint: "fp_logger" };
    expect(parseTrace({ model: "m", messages: said }, defaults).system_fingerprint).toBe("fp_logger");
    const own = parseTrace({ model: "m", messages: said, system_fingerprint: "fp_own" }, defaults);
    expect(own.system_fingerprint).toBe("fp_own");
  });

  test("what was given stays as it was", () => {
    const given = {
      model: "m",
      messages: said,
      id: "mine",
      object: "chat.other",
      created: 0,
      choices: [{ index: 0, odd: { deep: [1, null] } }],
      usage: { total_tokens: 3, prompt_tokens_details: { cached_tokens: 1 } },
    };
    expect(parseTrace(given)).toEqual({ ...given, system_fingerprint: "m" });
  });
});

describe("what the deployed function refuses is refused here, with advice", () => {
  const cases: [string, unknown, { path: string; got: RegExp; hint: RegExp }][] = [
    ["nothing", undefined, { path: "", got: /nothing/, hint: /Write \{ model/ }],
    ["null", null, { path: "", got: /null/, hint: /Write/ }],
    ["no messages", { model: "m", messages: [] }, { path: "messages", got: /list of 0/, hint: /Log what was said/ }],
    ["messages as text", { model: "m", messages: "hi" }, { path: "messages", got: /string of 2/, hint: /Write \[/ }],
    ["no model", { messages: said }, { path: "model", got: /nothing/, hint: /Name the model/ }],
    [
      "milliseconds",
      { model: "m", messages: said, created: 1_700_000_000_000 },
      { path: "created", got: /1700000000000/, hint: /Math\.floor\(Date\.now\(\) \/ 1000\)/ },
    ],
    [
      "half seconds",
      { model: "m", messages: said, created: 1.5 },
      { path: "created", got: /1\.5/, hint: /whole|floor/ },
    ],
    [
      "content parts",
      { model: "m", messages: [{ role: "user", content: [{ type: "text", text: "a secret" }] }] },
      { path: "messages[0].content", got: /list of 1/, hint: /toTraceMessage/ },
    ],
    [
      "a tool's message",
      { model: "m", messages: [{ role: "tool", content: "a secret" }] },
      { path: "messages[0].role", got: /"tool"/, hint: /toTraceMessage/ },
    ],
    [
      "a developer's message",
      { model: "m", messages: [{ role: "developer", content: "x" }] },
      { path: "messages[0].role", got: /"developer"/, hint: /"system"/ },
    ],
    [
      "a name in a message",
      { model: "m", messages: [{ role: "user", content: "x", name: "Ann" }] },
      { path: "messages[0].name", got: /string/, hint: /Remove the field/ },
    ],
    [
      "an unknown field",
      { model: "m", messages: said, metadata: {} },
      { path: "metadata", got: /object/, hint: /Remove/ },
    ],
    [
      "choices as text",
      { model: "m", messages: said, choices: "x" },
      { path: "choices", got: /string/, hint: /leave it out/ },
    ],
    [
      "choices of text",
      { model: "m", messages: said, choices: ["x"] },
      { path: "choices", got: /list of 1/, hint: /came/ },
    ],
    [
      "a number where text belongs",
      { model: "m", messages: [{ role: "user", content: 4111111111111111 }] },
      { path: "messages[0].content", got: /^a number$/, hint: /toTraceMessage/ },
    ],
    ["null usage", { model: "m", messages: said, usage: null }, { path: "usage", got: /null/, hint: /leave it out/ }],
    ["an empty id", { model: "m", messages: said, id: "" }, { path: "id", got: /string of 0/, hint: /Leave it out/ }],
  ];
  test.each(cases)("%s", (_name, input, { path, got, hint }) => {
    const issue = issuesOf(input).find((candidate) => candidate.path === path);
    expect(issue).toMatchObject({ got: expect.stringMatching(got), hint: expect.stringMatching(hint) });
    expect(issue?.expected).not.toBe("");
  });

  test("the error lists everything, and holds nothing of what was said", () => {
    const input = {
      messages: [{ role: "robot!", content: ["my password is hunter2"] }],
      created: "hunter2",
      x: "hunter2",
    };
    const issues = issuesOf(input);
    expect(issues.map(({ path }) => path).sort()).toEqual(
      ["created", "messages[0].content", "messages[0].role", "model", "x"].sort(),
    );
    expect(new TraceValidationError(issues).message).not.toContain("hunter2");
  });

  test("properties that throw are an invalid trace, not an exception of the host's", () => {
    const input = Object.defineProperty({ model: "m" }, "messages", {
      enumerable: true,
      get() {
        throw new Error("boom");
      },
    });
    expect(issuesOf(input)).toHaveLength(1);
  });
});

describe("a plain trace is read without the schema", () => {
  test("and taken where the schema takes it, with the same outcome, for any value that looks like a trace", () => {
    fc.assert(
      fc.property(fc.oneof(nearlyTraces(), nearlyPlainTraces()), (value) => {
        const bySchema = z.safeParse(traceInputSchema, value);
        expect(issuesOf(value).length > 0).toBe(!bySchema.success);
        if (!bySchema.success) return;
        const { system_fingerprint, ...kept } = bySchema.data;
        const filled = { ...kept, system_fingerprint: system_fingerprint || kept.model };
        expect(parseTrace(value)).toMatchObject(JSON.parse(JSON.stringify(filled)));
      }),
      { numRuns: 2_000 },
    );
  });

  test("and copied: changing the input afterwards changes nothing", () => {
    const message = { role: "user", content: "hi" };
    const messages = [message];
    const trace = parseTrace({ model: "m", messages });
    message.content = "changed";
    messages.push(message);
    expect(trace.messages).toEqual([{ role: "user", content: "hi" }]);
  });

  test.each([
    ["an inherited field", Object.create({ temperature: 1 }, {})],
    ["`__proto__` as a field", JSON.parse('{ "__proto__": 1 }')],
    ["`toString` as a field", { toString: "x" }],
  ])("%s is refused as an unknown one", (_, more) => {
    const input = Object.assign(more, { model: "m", messages: said });
    expect(issuesOf(input)).toMatchObject([{ expected: expect.stringContaining("only the fields") }]);
    const inMessage = { model: "m", messages: [Object.assign(more, { model: undefined }, said[0])] };
    expect(issuesOf(inMessage).length).toBeGreaterThan(0);
  });
});

describe("traceJsonSchema", () => {
  const ajv = new Ajv({ strict: false, logger: false });
  const ours = ajv.compile(structuredClone(traceJsonSchema));

  test("is what the zod schema says (run `npm run generate` when this fails)", () => {
    expect(traceJsonSchema).toEqual(deriveTraceJsonSchema());
  });

  test("means what publishedTraceSchema means, for any value that looks like a trace", () => {
    fc.assert(
      fc.property(nearlyTraces(), (value) => {
        expect(ours(value)).toBe(z.safeParse(publishedTraceSchema, value).success);
      }),
      { numRuns: 1_000 },
    );
  });

  test("takes every trace that passes the stricter rules, once `choices` is an object", () => {
    fc.assert(
      fc.property(nearlyTraces(), (value) => {
        const strict = z.safeParse(traceSchema, value);
        if (!strict.success) return;
        const { choices, ...rest } = strict.data;
        expect(ours({ ...rest, ...(choices === undefined ? {} : { choices: { ...choices } }) })).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });

  describe.skipIf(!existsSync(publishedFile))("against the published document (skipped without ../shared)", () => {
    const published = existsSync(publishedFile)
      ? new Ajv({ strict: false, logger: false }).compile(JSON.parse(readFileSync(publishedFile, "utf8")))
      : () => false;

    test("says the same of any value that looks like a trace", () => {
      fc.assert(
        fc.property(nearlyTraces(), (value) => {
          expect(ours(value)).toBe(published(value));
        }),
        { numRuns: 2_000 },
      );
    });

    test("says the same, word for word, but for the order", () => {
      expect(traceJsonSchema).toEqual(JSON.parse(readFileSync(publishedFile, "utf8")));
    });

    test("both take the original's test event, and so does parseTrace", () => {
      const event = JSON.parse(readFileSync(testEventFile, "utf8"));
      expect([ours(event), published(event)]).toEqual([true, true]);
      expect(parseTrace(event)).toMatchObject(event);
    });
  });
});

/** Valid traces with at most a few things bent, so that both answers occur often. */
function nearlyTraces(): fc.Arbitrary<unknown> {
  const message = fc.record({ role: fc.constantFrom("system", "user", "assistant"), content: fc.string() });
  const bentMessage = fc.oneof(
    { weight: 8, arbitrary: message as fc.Arbitrary<unknown> },
    { weight: 1, arbitrary: fc.record({ role: fc.constantFrom("tool", "user", 1), content: fc.anything() }) },
    { weight: 1, arbitrary: fc.record({ role: fc.constant("user"), content: fc.string(), name: fc.string() }) },
    { weight: 1, arbitrary: fc.anything() },
  );
  const created = fc.oneof(fc.nat(), fc.constantFrom(1.5, -1, 1e21, "1", null, 1_700_000_000_000));
  const messages = fc.oneof(
    { weight: 6, arbitrary: fc.array(bentMessage, { maxLength: 3 }) as fc.Arbitrary<unknown> },
    { weight: 1, arbitrary: fc.anything() },
  );
  const open = fc.oneof(
    fc.dictionary(fc.string(), fc.jsonValue()),
    fc.array(fc.object({ maxDepth: 1 })),
    fc.anything(),
  );
  return fc
    .record(
      {
        model: fc.oneof(
          { weight: 9, arbitrary: fc.string() as fc.Arbitrary<unknown> },
          { weight: 1, arbitrary: fc.anything() },
        ),
        created,
        messages,
        id: fc.oneof(fc.string(), fc.constant(1)),
        object: fc.oneof(fc.string(), fc.constant(null)),
        system_fingerprint: fc.string(),
        choices: open,
        usage: open,
        other: fc.anything(),
      },
      { requiredKeys: [] },
    )
    .map((value) => JSON.parse(JSON.stringify(value) ?? "null"));
}

function nearlyPlainTraces(): fc.Arbitrary<unknown> {
  return nearlyTraces().map((value) => {
    const { choices, usage, other, ...plain } = Object(value);
    return { model: "m", ...plain };
  });
}
