import { defineConfig, type Options } from "tsup";

/** What users import: no dependency bundled (zod, ky and uuid are installed beside it). */
const library: Options = {
  entry: {
    index: "src/index.ts",
  },
  target: "es2023",
  treeshake: true,
};

export default defineConfig([
  // Split, so that what is loaded on demand stays apart from what an import costs.
  { ...library, format: "esm", dts: true, splitting: true },
  // Whole files: `import()` from CommonJS does not work everywhere (Jest), and `require` does.
  { ...library, format: "cjs", dts: true, splitting: false },
]);
