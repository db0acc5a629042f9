import { rolloutHookPoints } from "@stampyard/domain";
import { z } from "zod";

const labelsSchema = z.object({
  region: z.array(z.string()).optional(),
  pool: z.array(z.string()).optional(),
  tier: z.array(z.string()).optional(),
  ring: z.array(z.string()).optional(),
});

const sizeSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("count"), count: z.number().int() }),
  z.object({ kind: z.literal("percent"), percent: z.number() }),
  z.object({ kind: z.literal("labels"), labels: labelsSchema, count: z.number().int().optional() }),
  z.object({ kind: z.literal("rest") }),
]);

/** What a wave is judged by before the next one begins. */
export const gateRuleSchema = z
  .object({
    /** False: its verdicts are only reported. */
    enforced: z.boolean(),
    errors: z.object({
      worse: z.number(),
      leastRequests: z.object({ updated: z.number(), siblings: z.number() }),
    }),
    latency: z.object({ worseMs: z.number() }),
    mostErrors: z.number(),
    tenant: z.object({ leastRequests: z.number(), errorShare: z.number() }),
    mostRestarts: z.number(),
    queueLag: z.object({ most: z.number() }).optional(),
    /** By name: what they call may hold secrets. */
    probes: z.array(z.object({ name: z.string(), kind: z.string() })),
    queries: z.array(z.object({ name: z.string() })),
    alpha: z.number(),
    waitMs: z.number(),
  })
  .meta({ id: "GateRule" });

/** As the rollout was started with, every default filled in. */
export const strategySchema = z
  .object({
    canary: z
      .object({
        stamp: z.string().optional(),
        leastPerMinute: z.number(),
        bakeMs: z.number().optional(),
        approval: z.boolean().optional(),
      })
      .optional(),
    waves: z.array(
      z.object({
        name: z.string().optional(),
        size: sizeSchema,
        bakeMs: z.number().optional(),
        maxUnavailable: z.number().int().optional(),
        approval: z.boolean().optional(),
      }),
    ),
    maxUnavailable: z.number().int(),
    bakeMs: z.number(),
    updateWithinMs: z.number(),
    lateRing: z.boolean(),
    gate: gateRuleSchema,
    /** By name and point: whom they call is no answer of ours. */
    hooks: z.array(
      z.object({
        name: z.string(),
        point: z.enum(rolloutHookPoints),
        kind: z.enum(["http", "command"]),
        onFailure: z.enum(["abort", "pause", "ignore"]),
      }),
    ),
    onAbort: z.enum(["rollback", "pause"]),
    onNewer: z.enum(["queue", "batch", "supersede"]),
  })
  .meta({ id: "RolloutStrategy" });
export type StrategyView = z.output<typeof strategySchema>;
