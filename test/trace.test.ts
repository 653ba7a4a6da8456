import { expect, test } from "vitest";
import { parseTrace } from "../src/trace.ts";

test("fills the defaults", () => {
  const trace = parseTrace(
    { model: "olmo-2", messages: [{ role: "user", content: "hi" }] },
    { now: () => 1_700_000_000_999 },
  );
  expect(trace).toMatchObject({ object: "chat.trace", created: 1_700_000_000, system_fingerprint: "olmo-2" });
});
