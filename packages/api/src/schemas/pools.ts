import { z } from "zod";
import { poolViewSchema } from "./fleet.ts";
import { nameSchema, reasonSchema, timeSchema } from "./values.ts";

const growSchema = z.object({
  id: z.string(),
  kind: z.literal("grow"),
  region: z.string(),
  /** Key of the one tenant that it would be built for. */
  reservedFor: z.string().optional(),
  why: z.string(),
});
const scaleDownSchema = z.object({
  id: z.string(),
  kind: z.literal("scale-down"),
  stamp: z.string(),
  step: z.enum(["drain", "destroy"]),
  why: z.string(),
});
const rebalanceSchema = z.object({
  id: z.string(),
  kind: z.literal("rebalance"),
  from: z.string(),
  to: z.string(),
  unit: z.string(),
  /** How much of the unit should go. */
  amount: z.number(),
  why: z.string(),
});

export const poolDetailSchema = z
  .object({
    ...poolViewSchema.shape,
    /** Tenants without a home that wait for a place here, at most 1,000. */
    waiting: z.number().int(),
    /** Why the pool does not grow, or what it waits for. */
    waitingOn: z.string().optional(),
    alerts: z.array(
      z.object({ kind: z.enum(["at-max", "too-big", "no-region", "stuck", "over", "late"]), text: z.string() }),
    ),
    /** What the platform would do, and does only when somebody says so. `id` stays as long as the proposal does. */
    proposals: z.array(z.discriminatedUnion("kind", [growSchema, scaleDownSchema, rebalanceSchema])),
    forecast: z.object({
      /** The unit that is closest to its limit over the whole pool, those that wait included. */
      unit: z.string(),
      share: z.number(),
      /** Growth by unit; only what grows. */
      perDay: z.record(z.string(), z.number()),
      /** How long the history is that it is taken from. */
      basedOnMs: z.number(),
      buildTimeMs: z.number(),
      fullAt: timeSchema.optional(),
      orderBy: timeSchema.optional(),
    }),
  })
  .meta({ id: "PoolDetail" });
export type PoolDetailView = z.output<typeof poolDetailSchema>;

export const poolProposalSchema = z
  .strictObject({
    /** `id` of a proposal as the pool makes it now. */
    proposal: z
      .string()
      .max(200)
      .regex(/^[a-z0-9-]+$/),
    reason: reasonSchema.optional(),
  })
  .meta({ id: "PoolProposal" });

export const poolProposalAppliedSchema = z
  .object({
    pool: z.string(),
    proposal: z.string(),
    /** The stamp that is being built, drained or destroyed now. */
    stamp: z.string(),
  })
  .meta({ id: "PoolProposalApplied" });
export type PoolProposalAppliedView = z.output<typeof poolProposalAppliedSchema>;

export const poolNameParams = z.strictObject({ name: nameSchema });
