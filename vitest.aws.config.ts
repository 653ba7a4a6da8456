import { defineConfig } from "vitest/config";

/** `npm run test:aws`: the Lambda handler under AWS's runtime client, over a real S3 server; the template in AWS's own tools (test/aws). Needs a build. */
export default defineConfig({
  test: {
    include: ["test/aws/{e2e,events,sam}.test.ts"],
    exclude: ["**/node_modules/**"],
    testTimeout: 30_000,
    hookTimeout: 120_000,
  },
});
