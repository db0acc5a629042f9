import { z } from "zod";
import { nameSchema, timeSchema } from "./values.ts";
import { stampPhaseSchema } from "./stamps.ts";

const amountsSchema = z.record(z.string(), z.number());

const unitUseSchema = z
  .object({
    unit: z.string(),
    limit: z.number(),
    /** Weights of the tenants that have their place here. */
    reserved: z.number(),
    /** 95th percentile of what was measured; absent when it is not measured. */
    observed: z.number().optional(),
    /** The larger of both, with what is on its way (decision D19). */
    used: z.number(),
    /** Below the high mark. */
    free: z.number(),
    /** Of the limit. */
    share: z.number(),
  })
  .meta({ id: "UnitUse" });

const tightestSchema = z.object({ unit: z.string(), share: z.number() });

const stampCapacitySchema = z
  .object({
    stamp: z.string(),
    region: z.string(),
    phase: stampPhaseSchema,
    /** Whether new tenants may be placed here; what such stamps hold is the pool's. */
    takesTenants: z.boolean(),
    /** `reserved`: nothing was measured, or not within the last ten minutes. */
    basis: z.enum(["observed", "reserved"]),
    units: z.array(unitUseSchema),
    tightest: tightestSchema.optional(),
    /** A unit is past its limit: growth did it, and placement has stopped. */
    over: z.boolean(),
  })
  .meta({ id: "StampCapacity" });

const poolRulesSchema = z.object({
  regions: z.array(z.string()),
  tiers: z.array(z.string()).optional(),
  strategy: z.enum(["spread", "pack"]),
  low: z.number(),
  high: z.number(),
  headroom: z.number(),
  stamps: z.object({ min: z.number(), max: z.number(), spare: z.number() }),
});

export const poolCapacitySchema = z
  .object({
    pool: z.string(),
    tenancy: z.enum(["shared", "dedicated"]),
    rules: poolRulesSchema,
    /** What the next stamp will hold, by unit. */
    newStamp: amountsSchema,
    /** What one stamp costs per month, by region; absent without prices. */
    stampCost: z.object({ currency: z.string(), regions: amountsSchema }).optional(),
    /** Sums over the stamps that take tenants. */
    units: z.array(unitUseSchema),
    tightest: tightestSchema.optional(),
    over: z.boolean(),
    stamps: z.array(stampCapacitySchema),
  })
  .meta({ id: "PoolCapacity" });

export const capacitySchema = z
  .object({
    at: timeSchema,
    pools: z.array(poolCapacitySchema),
    /** What a tenant of a tier takes unless it says otherwise, by tier; absent without tiers. */
    tiers: z.record(z.string(), amountsSchema).optional(),
  })
  .meta({ id: "CapacityAnswer" });
export type CapacityView = z.output<typeof capacitySchema>;
export type PoolCapacityView = CapacityView["pools"][number];
export type UnitUseView = PoolCapacityView["units"][number];

const unitForecastSchema = z
  .object({
    unit: z.string(),
    used: z.number(),
    limit: z.number(),
    /** `steady`: not full within ten years at this pace; `unknown`: too little history. */
    kind: z.enum(["full", "unknown", "steady", "growing"]),
    why: z.string().optional(),
    daysOfHistory: z.number().int().optional(),
    perDay: z.number().optional(),
    growthPerMonth: z.number().optional(),
    fullAt: timeSchema.optional(),
    /** One in ten lies before, and one in ten after; no `latestAt` = it may as well never be. */
    earliestAt: timeSchema.optional(),
    latestAt: timeSchema.optional(),
    /** To have the next stamp by `earliestAt`. */
    orderBy: timeSchema.optional(),
    note: z.string().optional(),
    /** Use at the end of each day. */
    history: z.array(z.object({ day: z.iso.date(), used: z.number() })),
  })
  .meta({ id: "UnitForecast" });

export const capacityForecastSchema = z
  .object({
    at: timeSchema,
    pools: z.array(
      z.object({
        pool: z.string(),
        /** From asking for a stamp until it is active. */
        buildTimeMs: z.number().optional(),
        buildTimeFrom: z.enum(["pool", "measured", "unknown"]),
        units: z.array(unitForecastSchema),
      }),
    ),
  })
  .meta({ id: "CapacityForecast" });
export type CapacityForecastView = z.output<typeof capacityForecastSchema>;

export const capacitySizesSchema = z
  .object({
    pools: z.array(
      z.object({
        pool: z.string(),
        tenants: z.number(),
        units: z.array(
          z.object({
            unit: z.string(),
            /** Share of the pool's tenants that take any of it. */
            share: z.number(),
            /** Of all tenants of the pool, the smallest first. */
            buckets: z.array(z.object({ share: z.number(), value: z.number() })),
            /** Share of the unit that the biggest tenant takes. */
            biggestShare: z.number(),
          }),
        ),
      }),
    ),
  })
  .meta({ id: "CapacitySizes" });
export type CapacitySizesView = z.output<typeof capacitySizesSchema>;

export const capacityQuery = z.strictObject({ pool: nameSchema.optional() });

export const planCostSchema = z
  .object({
    currency: z.string(),
    /** Per month, over all stamps, both at the prices of the file. */
    before: z.number(),
    after: z.number(),
    changes: z.array(z.object({ stamp: z.string(), region: z.string(), monthly: z.number() })),
    /** Components without a price. */
    unpriced: z.array(z.string()),
  })
  .meta({ id: "PlanCost" });
