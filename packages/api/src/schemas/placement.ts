import { z } from "zod";
import { nameSchema, reasonSchema, tenantKeySchema, timeSchema } from "./values.ts";

const until = z.iso.datetime({ offset: true });

/** An operator's word about one tenant. */
export const overrideSetSchema = z
  .discriminatedUnion("kind", [
    z.strictObject({
      kind: z.literal("pin"),
      stamp: nameSchema,
      /** @default for good */
      until: until.optional(),
      reason: reasonSchema.optional(),
    }),
    z.strictObject({
      kind: z.literal("quarantine"),
      /** @default for good */
      until: until.optional(),
      reason: reasonSchema.optional(),
    }),
  ])
  .meta({ id: "OverrideSet" });

export const overrideSchema = z
  .object({
    tenant: tenantKeySchema,
    kind: z.enum(["pin", "quarantine"]),
    stamp: z.string().optional(),
    until: timeSchema.optional(),
    reason: z.string().optional(),
    setBy: z.string(),
    setAt: timeSchema,
  })
  .meta({ id: "Override" });
export type OverrideView = z.output<typeof overrideSchema>;

/** Where a tenant would go now, and for every stamp of its pool why or why not. */
export const placementSchema = z
  .object({
    tenant: z.string(),
    pool: z.string(),
    tier: z.string(),
    tenancy: z.enum(["shared", "dedicated"]),
    channel: z.string().optional(),
    /** What it takes, its tier's weights applied. */
    weight: z.record(z.string(), z.number()),
    /** Regions it may live in, residency rules applied; empty = any. */
    residency: z.array(z.string()),
    residencyRule: z.string().optional(),
    override: z
      .object({ kind: z.enum(["pin", "quarantine"]), stamp: z.string().optional(), until: timeSchema.optional() })
      .optional(),
    /** Where it lives now. */
    home: z.string().optional(),
    outcome: z.enum(["place", "wait", "full"]),
    stamp: z.string().optional(),
    /** What it would wait for, or why there is no place. */
    why: z.string().optional(),
    /** The chosen stamp, those that could have been, then the refused. */
    verdicts: z.array(
      z.object({
        stamp: z.string(),
        outcome: z.enum(["chosen", "eligible", "refused"]),
        /** Which rule refuses it. */
        filter: z.string().optional(),
        /** To be read after the stamp's name. */
        why: z.string(),
        scores: z.record(z.string(), z.number()).optional(),
        total: z.number().optional(),
      }),
    ),
  })
  .meta({ id: "Placement" });
export type PlacementView = z.output<typeof placementSchema>;
