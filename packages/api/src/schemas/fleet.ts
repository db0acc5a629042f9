import { z } from "zod";
import { planCostSchema } from "./capacity.ts";
import { capacitySchema, digestSchema, parametersSchema, revisionSchema, timeSchema } from "./values.ts";

export const poolSchema = z
  .object({
    name: z.string(),
    tenancy: z.enum(["shared", "dedicated"]),
    regions: z.array(z.string()),
    /** `spare` empty active stamps are kept ready. */
    stamps: z.object({ min: z.number(), max: z.number(), spare: z.number().optional() }),
    /** Tiers that may live here; absent = any. */
    tiers: z.array(z.string()).optional(),
    channel: z.string().optional(),
    placement: z
      .object({
        strategy: z.enum(["spread", "pack"]).optional(),
        bigFrom: z.number().optional(),
        bigShare: z.number().optional(),
      })
      .optional(),
    growth: z
      .object({
        low: z.number().optional(),
        high: z.number().optional(),
        headroom: z.number().optional(),
        buildTimeMs: z.number().optional(),
      })
      .optional(),
    automation: z
      .object({
        scaleUp: z.enum(["act", "propose"]).optional(),
        scaleDown: z.enum(["act", "propose"]).optional(),
        rebalance: z.enum(["act", "propose"]).optional(),
        drift: z.enum(["report", "heal"]).optional(),
      })
      .optional(),
    capacity: capacitySchema.partial().optional(),
    parameters: parametersSchema,
    catchAll: z.object({ stamp: z.string(), until: z.string() }).optional(),
  })
  .meta({ id: "Pool" });

const routingRuleSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("subdomain"), domain: z.string() }),
  z.object({ kind: z.literal("hostname") }),
  z.object({ kind: z.literal("path"), prefix: z.string(), strip: z.boolean() }),
  z.object({ kind: z.literal("header"), name: z.string(), trustedPeers: z.array(z.string()) }),
  z.object({ kind: z.literal("alias"), alias: z.string(), header: z.string(), until: z.string() }),
  z.object({ kind: z.literal("host"), host: z.string() }),
]);

const tenantLimitsSchema = z.object({
  requestsPerSecond: z.number().optional(),
  burst: z.number().optional(),
  concurrency: z.number().optional(),
});

const routingRulesShape = {
  domains: z.array(z.string()),
  path: z.object({ prefix: z.string(), strip: z.boolean() }).optional(),
  header: z.object({ name: z.string(), trustedPeers: z.array(z.string()) }).optional(),
  /** Instead of the three above: in this order, the first that matches decides. */
  rules: z.array(routingRuleSchema).optional(),
  geography: z
    .object({
      country: z.object({ header: z.string(), trustedPeers: z.array(z.string()) }),
      pool: z.string(),
      regions: z.record(z.string(), z.array(z.string())),
      default: z.string().optional(),
    })
    .optional(),
};

export const routingSchema = z
  .object({
    ...routingRulesShape,
    limits: tenantLimitsSchema
      .extend({
        pools: z.record(z.string(), tenantLimitsSchema).optional(),
        tiers: z.record(z.string(), tenantLimitsSchema).optional(),
      })
      .optional(),
    /** What takes requests that no tenant claims, from the pool that names it. */
    catchAll: z.object({ stamp: z.string(), until: z.string() }).optional(),
    /** Other rules, for tenants of these stamps: where a rollout has brought them already. */
    trials: z.array(z.object({ stamps: z.array(z.string()), routing: z.object(routingRulesShape) })).optional(),
  })
  .meta({ id: "Routing" });

export const fleetSchema = z
  .object({
    name: z.string(),
    template: z.string(),
    pools: z.array(poolSchema),
    routing: routingSchema,
    /** Release that new stamps get. */
    releaseDigest: digestSchema.optional(),
    revision: revisionSchema,
  })
  .meta({ id: "Fleet" });
export type FleetView = z.output<typeof fleetSchema>;

export const poolViewSchema = z
  .object({
    ...poolSchema.shape,
    /** Stamps that are there or being built. */
    present: z.number().int(),
    active: z.number().int(),
    /** Places taken and places there, over its present stamps. */
    used: capacitySchema,
    total: capacitySchema,
  })
  .meta({ id: "PoolView" });
export type PoolView = z.output<typeof poolViewSchema>;

export const releaseSchema = z
  .object({
    digest: digestSchema,
    template: z.string(),
    version: z.string(),
    createdAt: timeSchema,
    createdBy: z.string().optional(),
    notes: z.string().optional(),
    /** Digest of the files that its components run from. */
    content: digestSchema.optional(),
    /** Whether these files are still kept, so that a stamp can run it. */
    kept: z.boolean().optional(),
    /** The release that the fleet's stamps are to run. */
    current: z.boolean(),
    /** Stamps that are to run it now. */
    stamps: z.number().int(),
  })
  .meta({ id: "Release" });
export type ReleaseView = z.output<typeof releaseSchema>;

/** The two files of a fleet as texts, with the names that errors show. */
export const manifestsSchema = z
  .strictObject({
    fleetYaml: z.string().max(1_048_576),
    fleetFile: z.string().min(1).max(4_096).default("fleet.yaml"),
    templateYaml: z.string().max(1_048_576),
    templateFile: z.string().min(1).max(4_096).default("stamp.yaml"),
    /** Absolute directory, on the control plane's machine, that `workdir` and relative commands start from. */
    sourceDir: z
      .string()
      .max(4_096)
      .refine((text) => /^(?:\/|[A-Za-z]:[\\/])/.test(text) && !text.includes("\0"), {
        error: "Must be an absolute path",
      }),
  })
  .meta({ id: "Manifests" });

export const applySchema = z
  .strictObject({
    ...manifestsSchema.shape,
    /** `fleetRevision` of the plan that was looked at; another change since then is STALE_REVISION. */
    expectedFleetRevision: revisionSchema.optional(),
  })
  .meta({ id: "Apply" });

/** How many tenants a change reaches: those on the stamp, in the pool, or all. Absent where it reaches none that is there. */
const tenantsAffected = { tenants: z.number().int().optional() };

const fleetChangeSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("release-create"), digest: digestSchema, version: z.string() }),
  /** `rules`: what comes (`+`), goes (`−`) and changes (`~`). */
  z.object({ kind: z.literal("routing-update"), rules: z.array(z.string()).optional(), ...tenantsAffected }),
  /** Of the fleet as a whole: `tiers`, `residency`, `prices`. */
  z.object({ kind: z.literal("policy-update"), fields: z.array(z.string()), ...tenantsAffected }),
  z.object({ kind: z.literal("pool-create"), pool: z.string() }),
  z.object({ kind: z.literal("pool-update"), pool: z.string(), fields: z.array(z.string()), ...tenantsAffected }),
  z.object({ kind: z.literal("stamp-create"), stamp: z.string(), pool: z.string(), region: z.string() }),
  z.object({
    kind: z.literal("stamp-update"),
    stamp: z.string(),
    from: digestSchema,
    to: digestSchema,
    ...tenantsAffected,
  }),
]);

export const planSchema = z
  .object({
    fleet: z.string(),
    changes: z.array(fleetChangeSchema),
    notes: z.array(z.string()),
    /** Tenants that any of the changes reaches, each counted once, by stamp; `total` = tenants of the fleet. */
    affected: z
      .object({
        tenants: z.number().int(),
        total: z.number().int(),
        stamps: z.array(z.object({ stamp: z.string(), pool: z.string(), tenants: z.number().int() })),
      })
      .optional(),
    releaseDigest: digestSchema,
    /** What `expectedFleetRevision` of an apply should say; 0 = no fleet yet. */
    fleetRevision: revisionSchema,
    /** Absent when the file has no prices. */
    cost: planCostSchema.optional(),
  })
  .meta({ id: "Plan" });
export type PlanView = z.output<typeof planSchema>;

export const appliedSchema = z
  .object({
    plan: planSchema,
    fleetRevision: revisionSchema,
    releaseDigest: digestSchema,
    /** Brings what changes of stamps that are there; absent when nothing of them does. */
    rollout: z.string().optional(),
  })
  .meta({ id: "Applied" });
export type AppliedView = z.output<typeof appliedSchema>;
