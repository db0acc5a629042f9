export { type FleetParseOptions, type ParsedFleet, parseFleet } from "./fleet.ts";
export { formatProblems } from "./format-problems.ts";
export { manifestError } from "./manifest-error.ts";
export { type OverriddenStrategy, overrideStrategy } from "./override-strategy.ts";
export { type ParameterFault, parameterFaults } from "./parameters.ts";
export type { Problem } from "./problem.ts";
export { referenceFields, secretReferences } from "./references.ts";
export { releaseDigest, renderStamp } from "./render.ts";
export { type ParsedTemplate, type ParseOptions, parseTemplate } from "./template.ts";

// For tools.
export { jsonSchemas } from "./json-schema.ts";
export { maxFileBytes } from "./read-yaml.ts";
