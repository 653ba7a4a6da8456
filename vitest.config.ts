import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    exclude: [
      "test/corpus/recorded.test.ts",
      "test/aws/{e2e,events,sam}.test.ts",
      "test/faults/**",
      "**/node_modules/**",
    ],
    testTimeout: 60_000, // a deadline for slow machines, not an expectation
    hookTimeout: 30_000,
    restoreMocks: true,
  },
});
