import { defineConfig } from "vitest/config";

/** `npm run test:faults`: outages, crashes, full disks, floods, with real processes; `FAULTS=long` for the full numbers. */
export default defineConfig({
  test: {
    include: ["test/faults/**/*.test.ts"],
    testTimeout: process.env["FAULTS"] === "long" ? 1_800_000 : 600_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
    restoreMocks: true,
  },
});
