/** The rooms and which way imports may point (README, "How it is built"). Run by `npm run lint`. */
const client =
  "^src/(index|trace|trace-json-schema|options|errors|receipts|sink|trace-logger|transcript|redact)\\.ts$|^src/(delivery|capture|redact)/";

module.exports = {
  forbidden: [
    { name: "no-cycles", severity: "error", from: {}, to: { circular: true } },
    {
      name: "client-never-imports-the-endpoint",
      comment: "AWS, node:http and fs must never enter the client. The sides meet at trace.ts and errors.ts alone.",
      severity: "error",
      from: { path: client },
      to: { path: "^src/(endpoint|cli|viewer)/" },
    },
    {
      name: "endpoint-meets-the-client-at-the-contract",
      severity: "error",
      from: { path: "^src/(endpoint|viewer)/" },
      to: {
        path: "^src/",
        pathNot: "^src/(endpoint|viewer)/|^src/(trace|published-contract|errors|transcript|json|errno|processes)\\.ts$",
      },
    },
    {
      name: "capture-knows-a-sink-not-the-logger",
      severity: "error",
      from: { path: "^src/capture/" },
      to: { path: "^src/(trace-logger|options|index)\\.ts$|^src/delivery/" },
    },
    {
      name: "delivery-knows-nothing-above-it",
      severity: "error",
      from: { path: "^src/delivery/" },
      to: { path: "^src/(trace-logger|index)\\.ts$|^src/capture/" },
    },
    {
      name: "the-queue-knows-deliver-never-http",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/delivery/attempt\\.ts$" },
      to: { path: "node_modules/ky/|^src/delivery/attempt\\.ts$", dependencyTypesNot: ["type-only"] },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    exclude: { dynamic: true },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "default", "types"] },
  },
};
