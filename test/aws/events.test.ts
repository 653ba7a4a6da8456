/** Every kind of event that invokes a function, under AWS's runtime client, with a role's rights on a real S3 server. */
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LambdaResult } from "../../src/endpoint/lambda.ts";
import { forms, json } from "../endpoint/lambda-forms.ts";
import { trace } from "../endpoint/support.ts";
import { hasRuntime, type LambdaService, startLambda } from "./lambda-service.ts";
import { hasS3Server, type S3Server, startS3Server } from "./s3-server.ts";

const mayRun = hasS3Server() && hasRuntime;
if (!mayRun)
  console.warn("SKIPPED: radosgw or aws-lambda-ric is absent (test/aws/setup.sh); no event is tried on them");

describe.skipIf(!mayRun)("an event under AWS's runtime client", () => {
  let s3: S3Server;
  let lambda: LambdaService;
  beforeAll(async () => {
    s3 = await startS3Server();
    await s3.createBucket("events");
    const { accessKeyId, secretAccessKey } = await s3.createWriter("events");
    const env = {
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      TRACELOGGER_SHARE: "signed",
      TRACELOGGER_SHARE_SECRET: "a secret for the test",
      TRACELOGGER_LAYOUT: "partitioned",
    };
    lambda = await startLambda(s3.environment("events", env));
  }, 120_000);
  afterAll(async () => {
    await lambda[Symbol.asyncDispose]();
    await s3[Symbol.asyncDispose]();
  });

  const invoke = async (event: object) => (await lambda.invoke(event)).result as LambdaResult; // what our handler returns
  const base64 = (bytes: string | Buffer) => Buffer.from(bytes).toString("base64");

  test.each(Object.entries(forms))("of the form %s: in goes a trace, out comes its page", async (form, event) => {
    const id = form.toLowerCase().replaceAll(" ", "-");
    const body = base64(gzipSync(JSON.stringify([trace({ id }), trace({ id: `${id}-2` })])));
    const headers = { ...json, "content-encoding": "gzip" };
    const batch = await invoke(event({ body, isBase64Encoded: true, headers }));
    expect(JSON.parse(batch.body)).toMatchObject({ results: [{ result: "stored" }, { result: "stored" }] });
    const again = await invoke(event({ body: JSON.stringify(trace({ id })) }));
    const { outcome, url } = JSON.parse(again.body);
    expect([again.statusCode, outcome]).toEqual([200, "success"]);
    const { origin, pathname, searchParams } = new URL(url);
    const stage = form === "Function URL" ? "" : "/prod";
    expect(`${origin}${pathname}`).toBe(`https://api.example${stage}/share/dt=2024-05-04/fp=olmo-2/${id}.html`);
    const path = pathname.slice(stage.length);
    const page = await invoke(event({ method: "GET", path, query: searchParams.toString() }));
    expect([page.statusCode, page.headers?.["content-type"]]).toEqual([200, "text/html; charset=utf-8"]);
    expect(page.body).toContain("A language model.");
    expect((await invoke(event({ method: "GET", path }))).statusCode).toBe(403);
  });

  test.each(["../../examples/aws/tests/test_event.json", "../../../shared/contract/test_event.json"])(
    "that is the body itself: %s",
    async (path) => {
      let text: string;
      try {
        text = readFileSync(new URL(path, import.meta.url), "utf8");
      } catch {
        console.warn(`SKIPPED: ${path} is absent`);
        return;
      }
      const result = await invoke(JSON.parse(text));
      expect(Object.keys(result)).toEqual(["statusCode", "body"]);
      expect([result.statusCode, JSON.parse(result.body)]).toMatchObject([200, { outcome: "success", error: null }]);
    },
  );

  test("for a page that is not there is a 404, although S3 says AccessDenied to those who may not list", async () => {
    await using open = await startLambda(
      s3.environment("events", {
        AWS_ACCESS_KEY_ID: "WRITERKEY",
        AWS_SECRET_ACCESS_KEY: "a-writers-secret",
        TRACELOGGER_SHARE: "public",
      }),
    );
    const event = forms["REST proxy"]?.({ method: "GET", path: "/share/olmo-2/20240504/nobody.html" });
    expect((await open.invoke(event)).result).toMatchObject({ statusCode: 404 });
  });
});
