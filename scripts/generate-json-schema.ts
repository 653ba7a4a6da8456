/** Writes src/trace-json-schema.ts from the zod schema. Run by `npm run generate`; a test fails when it was not. */
import { writeFileSync } from "node:fs";
import { renderTraceJsonSchema } from "./trace-json-schema.ts";

writeFileSync(new URL("../src/trace-json-schema.ts", import.meta.url), renderTraceJsonSchema());
