import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { costPerMillion, costTable, USUAL } from "../../../examples/scale/costs.ts";

test("the page's table is what the script makes", () => {
  const page = readFileSync(new URL("../../../docs/at-scale.md", import.meta.url), "utf8");
  const cells = (markdown: string) =>
    markdown
      .replace(/ +/g, " ")
      .replace(/-{3,}/g, "---")
      .replace(/(?<=\|) | (?=\|)/g, "");
  expect(cells(page)).toContain(cells(costTable(USUAL, 100)));
});

test("a batch costs less at the gateway, and the same in S3", () => {
  const single = costPerMillion("REST API", USUAL);
  const batched = costPerMillion("REST API", { ...USUAL, tracesPerRequest: 100 });
  expect(batched.gateway).toBeCloseTo(single.gateway / 100);
  expect(batched.puts).toBe(single.puts);
});

test("an HTTP API counts every begun 512 KB", () => {
  const load = { ...USUAL, kilobytesPerTrace: 6, tracesPerRequest: 100 };
  expect(costPerMillion("HTTP API", load).gateway).toBeCloseTo(0.02);
});
