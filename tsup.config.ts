import { defineConfig, type Options } from "tsup";

/** What users import: ESM + CJS + types, no dependency bundled (zod, ky and uuid are installed beside it). */
const library: Options = {
  entry: {
    index: "src/index.ts",
  },
  format: ["esm", "cjs"],
  target: "es2023",
  dts: true,
  splitting: true,
  sourcemap: false,
  treeshake: true,
  clean: true,
};

export default defineConfig([library]);
