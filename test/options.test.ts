import { afterEach, describe, expect, test, vi } from "vitest";
import { TraceLoggerError } from "../src/errors.ts";
import { PUBLISHED_ENDPOINT, resolveOptions } from "../src/options.ts";

afterEach(() => {
  vi.unstubAllEnvs();
});

test("everything has a default", () => {
  expect(resolveOptions()).toEqual({
    endpoint: PUBLISHED_ENDPOINT,
    wire: "single",
    compress: "none",
    headers: {},
    timeoutMs: 32_000,
    batch: { maxTraces: 100, maxBytes: 1_048_576, maxWaitMs: 200 },
    maxConcurrency: 10,
    queue: { maxTraces: 10_000, maxBytes: 67_108_864, overflow: "reject-newest" },
    maxTraceBytes: 6_000_000,
    maxAgeMs: 86_400_000,
    sampleRate: 1,
    enabled: true,
    handleSignals: false,
  });
});

describe("the environment is read where the option is absent", () => {
  test("endpoint and key", () => {
    vi.stubEnv("TRACELOGGER_ENDPOINT", "http://127.0.0.1:1/env");
    vi.stubEnv("TRACELOGGER_API_KEY", "env-key");
    expect(resolveOptions()).toMatchObject({ endpoint: "http://127.0.0.1:1/env", apiKey: "env-key" });
    const given = { endpoint: new URL("http://127.0.0.1:1/given"), apiKey: "given" };
    expect(resolveOptions(given)).toMatchObject({ endpoint: "http://127.0.0.1:1/given", apiKey: "given" });
  });

  test.each([
    ["1", false],
    ["true", false],
    ["yes", false],
    ["0", true],
    ["false", true],
    ["", true],
  ])("TRACELOGGER_DISABLED=%s", (value, enabled) => {
    vi.stubEnv("TRACELOGGER_DISABLED", value);
    expect(resolveOptions().enabled).toBe(enabled);
    expect(resolveOptions({ enabled: true }).enabled).toBe(true);
  });
});

describe("a bad option is refused: which, what was expected, what came", () => {
  test.each<[string, unknown, RegExp]>([
    ["a misspelt name", { apikey: "x" }, /no option `apikey`/],
    ["a misspelt nested name", { batch: { maxTrace: 1 } }, /no option `batch\.maxTrace`/],
    ["a number as text", { timeoutMs: "5" }, /`timeoutMs`: expected a whole number of milliseconds from 1, got string/],
    ["zero concurrency", { maxConcurrency: 0 }, /`maxConcurrency`: expected a whole number from 1, got 0/],
    ["half a byte", { queue: { maxBytes: 0.5 } }, /`queue\.maxBytes`: .*got 0\.5/],
    [
      "an unknown policy",
      { queue: { overflow: "explode" } },
      /`queue\.overflow`: expected "reject-newest", "drop-oldest" or "wait", got string/,
    ],
    ["a rate above one", { sampleRate: 1.5 }, /`sampleRate`: expected a number from 0 to 1, got 1\.5/],
    ["an endpoint that is no URL", { endpoint: "example.com" }, /`endpoint`: expected an http\(s\) URL/],
    ["an endpoint without a host", { endpoint: "http://" }, /`endpoint`: expected an http\(s\) URL/],
    ["a port that there cannot be", { endpoint: "http://127.0.0.1:99999" }, /`endpoint`: expected an http\(s\) URL/],
    ["a URL that no fetch takes", { endpoint: "http://user:pass@127.0.0.1" }, /`endpoint`: .*without a user name/],
    ["a key that no header can hold", { apiKey: "two\nlines" }, /`apiKey`: .*got string/],
    ["a key with other letters than a header's", { apiKey: "clé€" }, /`apiKey`: .*got string/],
    ["a header with an impossible name", { headers: { "x y": "1" } }, /`headers`: .*got object/],
    ["a header with an impossible value", { headers: { "x-y": "a\nb" } }, /`headers`: .*got object/],
    ["an empty key", { apiKey: "" }, /`apiKey`: expected a string that is not empty/],
    ["a callback that is none", { onLoss: "log" }, /`onLoss`: expected a function, got string/],
    ["a number instead of options", 5, /options must be an object/],
    ["a URL instead of options", "http://127.0.0.1:1", /options must be an object/],
    ["null instead of options", null, /options must be an object/],
  ])("%s", (_name, options, message) => {
    const act = () => resolveOptions(options as never); // the point of the test
    expect(act).toThrow(message);
    expect(act).toThrow(TraceLoggerError);
    expect(act).toThrow(expect.objectContaining({ code: "invalid_option" }));
  });

  test("one that came from the environment, too", () => {
    vi.stubEnv("TRACELOGGER_ENDPOINT", "localhost:4319");
    expect(() => resolveOptions()).toThrow(/`endpoint`: .* TRACELOGGER_ENDPOINT, .*got string/);
  });

  test("a key never enters a message", () => {
    // @ts-expect-error the point of the test
    expect(() => resolveOptions({ apiKey: ["sk-secret"], headers: { "x-a": "sk-secret", b: 1 } })).toThrow(
      /^(?!.*sk-secret)/,
    );
  });

  test("authorization is refused for API Gateway only", () => {
    const headers = { Authorization: "Bearer x" };
    expect(() => resolveOptions({ headers })).toThrow(/authorization/);
    expect(resolveOptions({ endpoint: "https://traces.example.com/", headers }).headers).toEqual(headers);
  });
});
