import { z } from "zod";
import { reasonSchema } from "./values.ts";

const mode = z.enum(["off", "report", "enforce"]);

export const fenceSetSchema = z
  .strictObject({
    /** `report` lets writes pass and notes what `enforce` would refuse. */
    mode,
    /** Says what would be done and what stands in the way; changes nothing. */
    dryRun: z.boolean().default(false),
    reason: reasonSchema.optional(),
  })
  .meta({ id: "FenceSet" });

const fenceTable = z.object({
  /** `schema.table`. */
  table: z.string(),
  mode,
  /** Tables between it and the one that names the tenant. */
  via: z.array(z.string()).optional(),
});

const fenceReport = z.object({
  table: z.string(),
  /** Absent = the row named none. */
  tenant: z.string().optional(),
  /** Of the tenant's home; absent = it has none here. */
  state: z.string().optional(),
  writes: z.number().int(),
  latest: z.iso.datetime(),
});

const fenceChange = z.object({
  table: z.string(),
  change: z.enum(["install", "remove"]),
  /** Who holds the table now, oldest transaction first. */
  heldBy: z.array(z.string()),
});

const fenceDatabase = z.object({
  /** Component of the template; `database` of an adopted stamp. */
  name: z.string(),
  /** What the template says; it is brought about with the next release or leader. */
  declared: mode.optional(),
  /** Changes of tables wait for moves; only a superuser can install that. */
  holdsTables: z.boolean(),
  tables: z.array(fenceTable),
  /** Neither of tenants nor named as anything else: nothing guards them, and a move refuses them. */
  unknown: z.array(z.string()),
  /** What `report` let pass, most first. */
  report: z.array(fenceReport),
  /** Of a dry run: what would be done. */
  changes: z.array(fenceChange).optional(),
  /** Of a dry run: tenants of the data without a home here; `enforce` is refused while there is any. */
  homeless: z.array(z.object({ table: z.string(), tenants: z.array(z.string()) })).optional(),
});

export const fenceSchema = z.object({ stamp: z.string(), databases: z.array(fenceDatabase) }).meta({ id: "Fence" });
export type FenceView = z.output<typeof fenceSchema>;
