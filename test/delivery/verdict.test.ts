import { describe, expect, test } from "vitest";
import { type Verdict, verdictOf, verdictOfFailure } from "../../src/delivery/verdict.ts";

const envelope = (statusCode: number, body: unknown) => JSON.stringify({ statusCode, body: JSON.stringify(body) });
const failure = (error: string) => ({ outcome: "failure", error, url: null });
const success = { outcome: "success", error: null, url: "https://b.s3.amazonaws.com/share/fp/20261122/1.html" };

function judge(status: number, body: string, headers: Record<string, string> = {}): Verdict {
  return verdictOf({ status, body, headers: new Headers(headers) }, Date.parse("2026-11-22T10:00:00Z"));
}

describe("an answer becomes a verdict (CONTRACT 3 and 4)", () => {
  const table: [string, number, string, Verdict["kind"], string?][] = [
    ["the envelope of a success", 200, envelope(200, success), "delivered"],
    ["the inner object of a success", 200, JSON.stringify(success), "delivered"],
    ["a success told with 201", 201, JSON.stringify(success), "delivered"],
    [
      "an envelope whose body is an object already",
      200,
      JSON.stringify({ statusCode: 200, body: success }),
      "delivered",
    ],
    [
      "AssertionError in a 200",
      200,
      envelope(500, failure("AssertionError: Choices must be a list")),
      "rejected",
      "rejected",
    ],
    ["TypeError in a 200", 200, envelope(500, failure("TypeError: unexpected keyword argument 'name'")), "rejected"],
    ["ValueError in a 200", 200, envelope(500, failure("ValueError: Invalid timestamp")), "rejected"],
    ["KeyError in a 200", 200, envelope(500, failure("KeyError: 'model'")), "rejected"],
    ["AttributeError in a 200", 200, envelope(500, failure("AttributeError: x")), "rejected"],
    ["ClientError in a 200", 200, envelope(500, failure("ClientError: SlowDown")), "retry", "server"],
    ["EndpointConnectionError in a 200", 200, envelope(500, failure("EndpointConnectionError: x")), "retry"],
    ["ReadTimeoutError in a 200", 200, envelope(500, failure("ReadTimeoutError: x")), "retry"],
    ["a bare statusCode 500", 200, JSON.stringify({ statusCode: 500 }), "retry", "not_an_endpoint"],
    ["an envelope without a body to read", 200, JSON.stringify({ statusCode: 500, body: "oops" }), "retry", "server"],
    ["an envelope that says 200 and no outcome", 200, JSON.stringify({ statusCode: 200, body: "" }), "retry"],
    ["an inner 413", 200, envelope(413, failure("too large")), "rejected"],
    ["an inner 429", 200, envelope(429, { message: "Too Many Requests" }), "throttled", "throttled"],
    [
      "a time-out of the function",
      200,
      '{"errorMessage": "2026 3f0c Task timed out after 60.00 seconds"}',
      "retry",
      "server",
    ],
    [
      "a crash of the function",
      200,
      '{"errorMessage": "x", "errorType": "Runtime.ExitError", "stackTrace": []}',
      "retry",
    ],
    ["a gateway time-out in a 200", 200, '{"message": "Endpoint request timed out"}', "retry", "server"],
    ["a captive portal", 200, "<html>Welcome to the hotel</html>", "retry", "not_an_endpoint"],
    ["an empty 200", 200, "", "retry", "not_an_endpoint"],
    ["JSON that is not ours", 200, '{"ok": true}', "retry", "not_an_endpoint"],
    ["a JSON list", 200, "[]", "retry", "not_an_endpoint"],
    ["JSON null", 200, "null", "retry", "not_an_endpoint"],
    ["the request validator", 400, '{"message": "Invalid request body"}', "rejected", "rejected"],
    ["a wrong key", 403, '{"message": "Forbidden"}', "held", "auth"],
    ["a wrong path", 403, '{"message": "Missing Authentication Token"}', "held", "auth"],
    ["401", 401, "", "held", "auth"],
    ["404", 404, "<html>", "held", "config"],
    ["405", 405, "", "held", "config"],
    ["415", 415, "", "held", "config"],
    ["a host's name that the endpoint does not know", 421, "", "held", "config"],
    ["a redirect", 302, "", "held", "config"],
    ["a redirect as browsers show it", 0, "", "held", "config"],
    ["413 of the gateway", 413, "HTTP content length exceeded 10485760 bytes.", "rejected"],
    ["413 in JSON", 413, '{"message": "Request Too Long"}', "rejected"],
    ["throttling", 429, '{"message": "Too Many Requests"}', "throttled", "throttled"],
    ["a used-up quota", 429, '{"message": "Limit Exceeded"}', "quota", "quota"],
    ["429 without a body", 429, "", "throttled"],
    ["500 of the gateway", 500, '{"message": "Internal server error"}', "retry", "server"],
    ["502", 502, "", "retry", "server"],
    ["503", 503, "", "retry", "server"],
    ["504", 504, '{"message": "Endpoint request timed out"}', "retry", "server"],
    ["408", 408, "", "retry"],
    ["422", 422, '{"message": "no"}', "rejected"],
    ["a proxy-style permanent failure", 500, JSON.stringify(failure("AssertionError: x")), "rejected"],
    ["a proxy-style transient failure", 500, JSON.stringify(failure("ClientError: x")), "retry"],
    ["a proxy-style refusal by status", 409, JSON.stringify(failure("Conflict: the id is taken")), "rejected"],
    ["a proxy-style 413", 413, JSON.stringify(failure("Too large")), "rejected"],
    ["a proxy-style success with an odd status", 500, JSON.stringify(success), "delivered"],
  ];
  test.each(table)("%s", (_name, status, body, kind, code) => {
    const verdict = judge(status, body);
    expect(verdict.kind).toBe(kind);
    if (code && "error" in verdict) expect(verdict.error.code).toBe(code);
  });
});

test("the url of the share page is handed on", () => {
  expect(judge(200, envelope(200, success))).toEqual({ kind: "delivered", url: success.url });
  expect(judge(200, envelope(200, { outcome: "success", error: null, url: null }))).toEqual({
    kind: "delivered",
    url: null,
  });
});

test.each([413, 200])("a trace that is too large is told apart from one that is refused (HTTP %i)", (status) => {
  const body = status === 200 ? envelope(413, failure("x")) : "";
  expect(judge(status, body)).toMatchObject({ kind: "rejected", tooLarge: true });
});

describe("Retry-After", () => {
  test.each([
    ["seconds", "7", 7_000],
    ["a date", "Sun, 22 Nov 2026 10:00:30 GMT", 30_000],
    ["a date that has passed", "Sun, 22 Nov 2026 09:00:00 GMT", 0],
    ["nonsense", "soon", 0],
    ["hours are capped at five minutes", "7200", 300_000],
    ["a negative number", "-5", 0],
  ])("%s", (_name, value, retryAfterMs) => {
    expect(judge(429, "{}", { "retry-after": value })).toMatchObject({ kind: "throttled", retryAfterMs });
  });
});

describe("errors", () => {
  test("carry the status and the request id", () => {
    const verdict = judge(403, '{"message": "Forbidden"}', { "x-amzn-RequestId": "3f0c" });
    expect(verdict).toMatchObject({
      error: { status: 403, requestId: "3f0c", message: expect.stringContaining("3f0c") },
    });
  });

  test("say what to mend", () => {
    expect(judge(403, "{}")).toMatchObject({ error: { message: expect.stringContaining("apiKey") } });
    expect(judge(404, "{}")).toMatchObject({ error: { message: expect.stringContaining("endpoint") } });
  });

  test("quote the function's words, but not what was said", () => {
    const error = "ValueError: content must be short, got 'my password is hunter2'";
    expect(judge(200, envelope(500, failure(error)))).toMatchObject({
      kind: "rejected",
      error: { message: expect.not.stringContaining("hunter2") },
    });
    const named = judge(200, envelope(500, failure("TypeError: unexpected keyword argument 'tool_calls'")));
    expect(named).toMatchObject({ error: { message: expect.stringContaining("'tool_calls'") } });
  });
});

test("no answer at all is tried again", () => {
  expect(verdictOfFailure(new TypeError("fetch failed"), false)).toMatchObject({
    kind: "retry",
    error: { code: "network" },
  });
  expect(verdictOfFailure(new Error("x"), true)).toMatchObject({ kind: "retry", error: { code: "timeout" } });
});
