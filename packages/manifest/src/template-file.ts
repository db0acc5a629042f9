import { z } from "zod";
import { componentsFile } from "./component-file.ts";
import { apiVersion, duration, fields, listOf, mapOf, name, oneOf, whole, words } from "./field.ts";

export const parameterName = words("a parameter name such as logLevel", /^[A-Za-z][A-Za-z0-9_-]*$/, 40);
export const scalar = z.union([z.string().max(32_768), z.number(), z.boolean()], {
  error: "a text, a number, true or false",
});

const parameter = fields("a map with type, default and description", {
  type: oneOf(["string", "number", "boolean"]).describe("Type of its value"),
  default: scalar.optional().describe("Value where a pool gives none; without it every pool must give one"),
  description: words("a text", /^[^\0]*$/, 4_096)
    .optional()
    .describe("For readers"),
});

const hook = fields("a map with service and path, or with job", {
  service: name("service").optional().describe("Service that is called with POST"),
  path: words("a path such as /hooks/tenant-created", /^\/[A-Za-z0-9._~/-]*$/, 512)
    .optional()
    .describe("Path to call"),
  job: name("job").optional().describe("Job that runs once per tenant, instead of service and path"),
  timeout: duration("100ms", "30m", "30s").optional().describe("How long it may take. Default 30s"),
});

const stage = fields("a map with name, engine and components", {
  name: name("stage").describe("Name of the stage"),
  engine: oneOf(["local", "kubernetes", "command"]).describe("What makes the components of this stage real"),
  components: componentsFile.describe("Components of this stage, by name"),
});

const verifyText = (expects: string, most: number) => words(expects, /^[^\0]*$/, most);

const verifyStep = fields("a map with method and path, and what the answer must be", {
  method: oneOf(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]).optional().describe("Default GET"),
  path: words("a path such as /notes?limit=1", /^\/[^\s\0#]*$/, 2_048).describe(
    "Path as a client of a tenant writes it",
  ),
  headers: mapOf(
    words("a header name", /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/, 100),
    words("a header value of visible ASCII characters", /^[\x20-\x7e]*$/, 4_096),
    "a map of header names and values",
  )
    .optional()
    .describe("Sent with it, beside those of the route"),
  json: z.json({ error: "a JSON value" }).optional().describe("Body, sent as application/json"),
  status: whole(200, 599).optional().describe("Status of the answer. Default any of 200 to 299"),
  text: verifyText("a text", 4_096).optional().describe("What the answer must hold"),
  timeout: duration("100ms", "1m", "5s").optional().describe("How long it may take. Default 5s"),
}).describe("One request");

const count = z.number({ error: "a number above 0" }).positive({ error: "a number above 0" }).max(1e12, {
  error: "a number up to 1e12",
});

export const units = mapOf(name("unit"), count, "a map of units and numbers");

export const metadata = {
  name: name("file").describe("Name, 1 to 40 lower-case letters, digits and single hyphens"),
};

/** The shape of `stamp.yaml`. What needs more than one field to decide is in template-checks.ts. */
export const templateFile = fields("a map of fields", {
  apiVersion: z.literal(apiVersion, { error: apiVersion }).describe("Version of this file's format"),
  kind: z.literal("StampTemplate", { error: "StampTemplate" }).describe("Kind of this file"),
  metadata: fields("a map with name and version", {
    ...metadata,
    version: words(
      "a version such as 1.4.0, of letters, digits and . _ + -",
      /^[A-Za-z0-9][A-Za-z0-9._+-]*$/,
      64,
    ).describe("Version of this release, for people; its digest is what counts"),
  }).describe("What this template is called"),
  parameters: mapOf(parameterName, parameter.describe("One parameter"), "a map of parameter names and parameters")
    .optional()
    .describe("What may differ between pools; used as ${params.name}"),
  components: componentsFile.optional().describe("Components by name, in one local stage; or use stages"),
  stages: listOf(stage.describe("One stage"), "a list of stages", 1, 20)
    .optional()
    .describe("Ordered stages, each with its engine; instead of components"),
  ingress: fields("a map with service", {
    service: name("service").describe("Service that receives the traffic; it needs port: auto"),
  }).describe("Where requests enter a stamp"),
  capacity: fields("a map with tenants and units", {
    tenants: whole(1, 1_000_000).describe("Most tenants of one stamp"),
    units: units.optional().describe("Other limits by name, such as rps: 200"),
  }).describe("What one stamp may hold"),
  tenancy: z
    .discriminatedUnion(
      "model",
      [
        fields("a map with model and column", {
          model: z.literal("rows").describe("Every row names its tenant"),
          column: words("a column name such as tenant_id", /^[a-z_][a-z0-9_]*$/, 63).describe("Tenant column"),
        }),
        fields("a map with model", { model: z.literal("schema").describe("One database schema per tenant") }),
        fields("a map with model", { model: z.literal("database").describe("One database per tenant") }),
      ],
      { error: "a map with model rows, schema or database" },
    )
    .describe("How tenants share a stamp's database, for tenant moves"),
  hooks: fields("a map of hooks such as tenant.onCreate", {
    "tenant.onCreate": hook.optional().describe("Called before a tenant's first request; may be repeated"),
    "tenant.onDelete": hook.optional().describe("Called after a tenant's last request; may be repeated"),
    "tenant.onDrain": hook
      .optional()
      .describe(
        "Asked on the source of a move how much of the tenant's work is under way, until it is 0 twice in a row",
      ),
    "tenant.onExport": hook
      .optional()
      .describe("Called on the source of a move: puts away what is not in the database; may be repeated"),
    "tenant.onImport": hook
      .optional()
      .describe("Called on the target of a move with the answer of tenant.onExport: fetches it; may be repeated"),
    "tenant.onRebuild": hook
      .optional()
      .describe("Called on the target once it serves a tenant that moved: makes derived data again; may be repeated"),
  })
    .optional()
    .describe("What a stamp does when it learns or forgets a tenant, and when one moves"),
  verify: listOf(verifyStep, "a list of requests", 1, 20)
    .optional()
    .describe(
      "Requests of a tenant of Stampyard's own, in order, before a new stamp takes tenants; ${tenant.key}, ${stamp.name}, ${stamp.region} and ${verify.id}, a new UUID, may stand in them",
    ),
});

export type TemplateFile = z.infer<typeof templateFile>;
export type HookFile = z.infer<typeof hook>;
export type HooksFile = NonNullable<TemplateFile["hooks"]>;
export type VerifyStepFile = z.infer<typeof verifyStep>;
