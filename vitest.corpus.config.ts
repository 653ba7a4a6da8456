import { defineConfig } from "vitest/config";

/** `npm run test:corpus`: recorded provider traffic, replayed over loopback (test/corpus). */
export default defineConfig({
  test: {
    include: ["test/corpus/**/*.test.ts"],
    testTimeout: 120_000,
    hookTimeout: 60_000,
  },
});
