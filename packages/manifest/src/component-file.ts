import { z } from "zod";
import { duration, fields, flag, listOf, mapOf, name, oneOf, size, whole, words } from "./field.ts";

/** Names that a reference may start with and that are no component. */
export const reservedComponentNames = ["stamp", "params", "route", "release", "self"] as const;

const envName = words("an environment name of letters, digits and _, not starting with a digit", /^[A-Za-z_]\w*$/, 128);
const envValue = z.union([z.string().max(32_768), z.number(), z.boolean()], {
  error: "a text, a number, true or false",
});
const argument = words("a text", /^[^\0]*$/, 32_768);
const path = words("a path such as /healthz", /^\/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*$/, 512);

const resources = fields("a map with memory and cpus", {
  memory: size("8Mi", "1024Gi", "256Mi").optional().describe("Memory, such as 256Mi (MB and Mi both mean 2^20 bytes)"),
  cpus: z
    .number({ error: "a number of cores from 0.01 to 256" })
    .min(0.01, { error: "a number of cores from 0.01 to 256" })
    .max(256, { error: "a number of cores from 0.01 to 256" })
    .optional()
    .describe("Cores; 0.5 is half a core"),
})
  .optional()
  .describe("What one replica may use");

const protect = flag().optional().describe("Refuse to destroy this data without an explicit force. Default false");

const process = {
  command: z
    .union([argument.min(1), listOf(argument, "a list of words", 1, 256)], {
      error: "a command line, or a list of its words",
    })
    .optional()
    .describe("Program and arguments: one line, or a list of words. No shell runs it; `node` is Stampyard's own Node"),
  image: words("a container image such as registry.example.com/app:1.4.0", /^[^\s\0]+$/, 512)
    .optional()
    .describe("Container image, for engines that run containers"),
  workdir: words("a path relative to this file", /^(?![/~])(?![A-Za-z]:)[^\0\\]+$/, 512)
    .optional()
    .describe("Directory to start in, relative to this file. Default: the directory of this file"),
  env: mapOf(envName, envValue, "a map of environment names and values")
    .optional()
    .describe("Environment. Values may hold references such as ${db.url}; $${ is a literal ${"),
  resources,
  after: listOf(name("component"), "a list of component names", 0, 100)
    .optional()
    .describe("Components that must be ready first, besides those that references already name"),
};

const health = fields("a map with path, timeout and startWithin", {
  path: path.describe("Answers 2xx when the service is ready, such as /healthz"),
  timeout: duration("10ms", "1m", "2s").optional().describe("How long one check may take. Default 2s"),
  startWithin: duration("100ms", "1h", "60s").optional().describe("How long a start may take. Default 60s"),
});

const service = fields("a map of service fields", {
  kind: z.literal("service").describe("A long-running process"),
  ...process,
  replicas: whole(1, 16).optional().describe("Processes of it per stamp. Default 1"),
  port: z
    .literal("auto", { error: "the word auto" })
    .optional()
    .describe("auto: it listens on the port given as env PORT and ${self.port}; leave out if it does not listen"),
  health: health.optional().describe("How to see that it is ready; needs port"),
  stopGrace: duration("0s", "10m", "10s").optional().describe("Time between SIGTERM and SIGKILL. Default 10s"),
});

const job = fields("a map of job fields", {
  kind: z.literal("job").describe("Runs to its end: once per stamp and release, or for a hook that names it"),
  ...process,
  timeout: duration("100ms", "24h", "5m").optional().describe("How long it may take. Default 5m"),
});

const idPolicy = z
  .union(
    [
      z.enum(["uuid", "composite"]),
      z.strictObject({ block: whole(1_000, 1_000_000_000_000).describe("Numbers per block") }),
      z.strictObject({ stride: whole(2, 65_536).describe("Distance between two numbers of one stamp") }),
    ],
    { error: "uuid, composite, {block: 1000000} or {stride: 1024}" },
  )
  .describe("uuid, composite (unique with the tenant), or number blocks or strides given out per stamp");

const tableName = words("a table name, such as order_lines", /^[a-z_][a-z0-9_]*(?:\.[a-z_][a-z0-9_]*)?$/, 127);

const tables = (expects: string) => listOf(tableName, expects, 0, 500);

const postgres = fields("a map of postgres fields", {
  kind: z.literal("postgres").describe("A PostgreSQL of this stamp's own"),
  version: whole(14, 18).optional().describe("Major version. Default 18"),
  maxConnections: whole(5, 10_000).optional().describe("Default 50"),
  resources,
  protect,
  ids: mapOf(tableName, idPolicy, "a map of tables or sequences and their policies")
    .optional()
    .describe("How the numbers of each table or sequence stay unique across stamps, for tenant moves"),
  via: mapOf(tableName, listOf(tableName, "a list of tables", 1, 8), "a map of child tables and their paths")
    .optional()
    .describe("Foreign-key path from a child table without tenant column to one that has it"),
  fence: oneOf(["off", "report", "enforce"])
    .optional()
    .describe(
      "Guard of every table of tenants, which moves need. report: lets writes pass and notes what enforce would refuse. Default off",
    ),
  reference: tables("a list of tables such as currencies")
    .optional()
    .describe("Tables that are the same in every stamp, made by migrations: compared by a move, never moved"),
  ignored: tables("a list of tables such as schema_migrations")
    .optional()
    .describe("Tables that belong to no tenant and stay where they are, such as a migration tool's own"),
});

const redis = fields("a map of redis fields", {
  kind: z.literal("redis").describe("A Redis or Valkey of this stamp's own"),
  maxMemory: size("1Mi", "1024Gi", "64Mi").optional().describe("Default 64Mi"),
  persistence: oneOf(["none", "aof"]).optional().describe("none: a cache; aof: kept on disk. Default none"),
  resources,
  protect,
});

const nats = fields("a map of nats fields", {
  kind: z.literal("nats").describe("A NATS server of this stamp's own"),
  jetstream: flag().optional().describe("Keep streams on disk. Default false"),
  resources,
  protect,
});

const external = fields("a map of external fields", {
  kind: z.literal("external").describe("Something another tool made"),
  url: words(
    "a URL such as https://search.internal:9200, without password",
    /^[a-z][a-z0-9+.-]*:\/\/\S+$/,
    2_048,
  ).describe("Its URL, without secrets. May hold ${stamp.*} and ${params.*}"),
  secret: words("env:NAME or file:/absolute/path", /^(?:env:[A-Za-z_]\w*|file:\/[^\0]+)$/, 1_024)
    .optional()
    .describe("Where its secret is found: env:NAME or file:/absolute/path; never the secret itself"),
});

export const componentKinds = ["service", "job", "postgres", "redis", "nats", "external"] as const;

export const componentFile = z
  .discriminatedUnion("kind", [service, job, postgres, redis, nats, external], {
    error: `a map with kind ${componentKinds.join(", ")}`,
  })
  .describe("One part of a stamp");

export type ComponentFile = z.infer<typeof componentFile>;

export const componentsFile = mapOf(name("component"), componentFile, "a map of component names and components");
