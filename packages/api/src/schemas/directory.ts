import { z } from "zod";
import { fleetSchema } from "./fleet.ts";
import { endpointSchema } from "./stamps.ts";
import { chainSchema, nameSchema, queryInt, reasonSchema, tenantKeySchema, timeSchema } from "./values.ts";

const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

export const positionShape = { incarnation: count, version: count, chain: chainSchema };

/** One step of the directory as routers report it; the same union as `DirectoryChange` of the directory package. */
export const directoryChangeSchema = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("stamp-put"),
    stamp: nameSchema,
    pool: nameSchema,
    region: z.string().max(100),
    endpoints: z.array(endpointSchema).max(1_000),
    endpointRevision: count,
  }),
  z.strictObject({ kind: z.literal("stamp-remove"), stamp: nameSchema }),
  z.strictObject({
    kind: z.literal("tenant-put"),
    tenant: tenantKeySchema,
    stamp: nameSchema,
    epoch: count,
    hostnames: z.array(z.string().max(253)).max(1_000),
    aliases: z.array(z.string().max(255)).max(1_000).optional(),
    tier: nameSchema.optional(),
    home: nameSchema.optional(),
  }),
  z.strictObject({ kind: z.literal("tenant-remove"), tenant: tenantKeySchema }),
  z.strictObject({ kind: z.literal("routing-put"), routing: fleetSchema.shape.routing }),
]);

export const feedQuery = z.strictObject({
  incarnation: queryInt(0, Number.MAX_SAFE_INTEGER).default(0),
  version: queryInt(0, Number.MAX_SAFE_INTEGER).default(0),
  chain: chainSchema.default("0".repeat(64)),
  router: nameSchema,
  /** Where its admin listener answers, e.g. `http://127.0.0.1:8081`; shown to viewers. */
  admin: z
    .url({ protocol: /^https?$/ })
    .max(300)
    .optional(),
});

export const acknowledgementSchema = z
  .strictObject({ ...positionShape, router: nameSchema })
  .meta({ id: "Acknowledgement" });

export const reportSchema = z
  .strictObject({
    ...positionShape,
    router: nameSchema,
    part: count,
    last: z.boolean(),
    changes: z.array(directoryChangeSchema).max(20_000),
  })
  .meta({ id: "DirectoryReport" });

export const routerSchema = z
  .object({
    name: z.string(),
    /** What it acknowledged last: applied by every worker and journaled. */
    incarnation: z.number().int(),
    ackedVersion: z.number().int(),
    /** Versions behind the head. */
    lag: z.number().int(),
    /** Seen within the last 15 s. */
    live: z.boolean(),
    lastSeenAt: timeSchema.optional(),
    address: z.string().optional(),
    admin: z.string().optional(),
    /** Where clients enter it. */
    entrance: z.string().optional(),
  })
  .meta({ id: "Router" });
export type RouterView = z.output<typeof routerSchema>;

/** A held batch of changes, by the id that `status` shows. */
export const confirmQuery = z.strictObject({
  batch: queryInt(1, Number.MAX_SAFE_INTEGER),
  reason: reasonSchema.optional(),
});

export const heldBatchSchema = z
  .object({
    id: z.number().int(),
    why: z.string(),
    changes: z.number().int(),
    actor: z.string(),
    since: timeSchema,
    /** Batches that wait behind this one, because they touch the same entries. */
    behind: z.number().int(),
  })
  .meta({ id: "HeldBatch" });
