import { z } from "zod";
import { strategySchema } from "./rollout-strategy.ts";
import {
  capacitySchema,
  digestSchema,
  nameSchema,
  pageQuery,
  parametersSchema,
  queryFlag,
  reasonSchema,
  revisionSchema,
  timeSchema,
} from "./values.ts";

export const rolloutIdSchema = z
  .string()
  .regex(/^ro-[a-z0-9]{1,40}$/, { error: "A rollout's id such as ro-0a1b2c3d4e" });
export const rolloutParams = z.strictObject({ id: rolloutIdSchema });

export const rolloutPhaseSchema = z.enum([
  "queued",
  "updating",
  "baking",
  "approval",
  "paused",
  "aborting",
  "aborted",
  "done",
  "superseded",
]);
export const memberPhaseSchema = z.enum([
  "waiting",
  "updating",
  "updated",
  "failed",
  "returning",
  "returned",
  "skipped",
]);
const verdictSchema = z.enum(["go", "abort", "inconclusive"]);

export const gateReportSchema = z
  .object({
    at: timeSchema,
    /** The worst of its checks. */
    verdict: verdictSchema,
    checks: z.array(z.object({ name: z.string(), verdict: verdictSchema, text: z.string() })),
    /** Of an inconclusive one: when there will be enough at the present traffic, milliseconds from then. */
    enoughInMs: z.number().optional(),
  })
  .meta({ id: "GateReport" });
export type GateReportView = z.output<typeof gateReportSchema>;

const waveSchema = z.object({
  name: z.string(),
  bakeMs: z.number(),
  maxUnavailable: z.number().int(),
  /** A person has to let it begin. */
  approval: z.boolean(),
});

const spentSchema = z.object({
  /** Milliseconds so far, with the phase under way. */
  activeMs: z.number(),
  bakingMs: z.number(),
  /** For a person (approvals, pauses), or for its turn. */
  waitingMs: z.number(),
});

export const rolloutSchema = z
  .object({
    id: z.string(),
    release: digestSchema,
    /** Of the release, as its template names it. */
    version: z.string().optional(),
    /** Parts of a stamp that it changes; empty = all. */
    components: z.array(z.string()),
    phase: rolloutPhaseSchema,
    /** The wave under way, counted from 0; absent while it is queued and after its end. */
    wave: z.number().int().optional(),
    waves: z.array(waveSchema),
    /** Since when it is in this phase. */
    since: timeSchema,
    /** Until when this phase lasts, where that is known: the end of a bake, or of a freeze. */
    until: timeSchema.optional(),
    /** In words. */
    waitingOn: z.string().optional(),
    /** Why it is paused, or was taken back. */
    why: z.string().optional(),
    /** Who paused or aborted it: an actor, or `gate`; of a superseded one the rollout that took its place. */
    endedBy: z.string().optional(),
    /** Members by what has become of them. */
    members: z.object({
      waiting: z.number().int(),
      updating: z.number().int(),
      updated: z.number().int(),
      failed: z.number().int(),
      returning: z.number().int(),
      returned: z.number().int(),
      skipped: z.number().int(),
    }),
    hotfix: z.boolean(),
    undoes: z.string().optional(),
    /** The reason for which it passes freezes. */
    overridesFreeze: z.string().optional(),
    reason: z.string().optional(),
    startedBy: z.string(),
    /** The fleet's revision that it makes true when it is done. */
    fleetRevision: z.number().int().optional(),
    spent: spentSchema,
    revision: revisionSchema,
    createdAt: timeSchema,
    updatedAt: timeSchema,
  })
  .meta({ id: "Rollout" });
export type RolloutView = z.output<typeof rolloutSchema>;

export const rolloutDetailSchema = z
  .object({
    ...rolloutSchema.shape,
    strategy: strategySchema,
    /** Routing rules that it brings (`+`), takes away (`−`) or changes (`~`); absent where it leaves them. */
    routing: z.array(z.string()).optional(),
    /** The last report of its gate. */
    gate: gateReportSchema.optional(),
    /** Looks that have spent of the gate's alpha. */
    looks: z.number().int(),
    /** `<point>/<wave>/<name>` of the hooks that have been called. */
    hooksDone: z.array(z.string()),
  })
  .meta({ id: "RolloutDetail" });
export type RolloutDetailView = z.output<typeof rolloutDetailSchema>;

const aimSchema = z.object({
  release: digestSchema,
  version: z.string().optional(),
  stampDigest: digestSchema,
  parameters: parametersSchema,
  capacity: capacitySchema,
  /** Digest of the routing rules for its tenants; absent = those that hold already. */
  routing: digestSchema.optional(),
});

export const rolloutMemberSchema = z
  .object({
    stamp: z.string(),
    wave: z.number().int(),
    place: z.number().int(),
    phase: memberPhaseSchema,
    /** When its update, or its way back, began. */
    since: timeSchema.optional(),
    /** When it arrived, failed or was back. */
    at: timeSchema.optional(),
    /** Why it failed or was skipped. */
    why: z.string().optional(),
    from: aimSchema,
    to: aimSchema,
  })
  .meta({ id: "RolloutMember" });
export type RolloutMemberView = z.output<typeof rolloutMemberSchema>;

export const rolloutMembersSchema = z.object({ items: z.array(rolloutMemberSchema) });

export const rolloutListQuery = z.strictObject({
  ...pageQuery,
  phase: rolloutPhaseSchema.optional(),
  release: digestSchema.optional(),
  /** Only those in which this stamp is a member. */
  stamp: nameSchema.optional(),
  /** Only those that have not ended. */
  open: queryFlag.default(false),
});

/** Something a strategy says, in the words of `rollout:` of fleet.yaml. */
const overridesSchema = z.record(z.string().max(100), z.unknown());

export const rolloutStartQuery = z.strictObject({
  /** Say what would happen; change nothing. */
  dryRun: queryFlag.default(false),
});

export const rolloutStartSchema = z
  .strictObject({
    /** @default the newest one: what was applied last */
    release: digestSchema.optional(),
    /** Only these parts of a stamp; the rest stays as each stamp runs it. @default all */
    components: z.array(nameSchema).max(100).default([]),
    /** Over the fleet's strategy, in the words of `rollout:` of fleet.yaml, e.g. `{"bake": "10m"}`. */
    strategy: overridesSchema.default({}),
    /** A security mend: before queued ones, without canary bake and freeze windows. Wants a reason. */
    hotfix: z.boolean().default(false),
    /** Goes on through freezes. Wants a reason. */
    overrideFreeze: z.boolean().default(false),
    reason: reasonSchema.optional(),
  })
  .refine(({ hotfix, overrideFreeze, reason }) => !(hotfix || overrideFreeze) || (reason ?? "").trim() !== "", {
    error: "A hotfix, and one that overrides freezes, wants a reason",
    path: ["reason"],
  })
  .meta({ id: "RolloutStart" });
export type RolloutStartBody = z.input<typeof rolloutStartSchema>;

/** What it would be now. Nothing was changed. */
export const rolloutPreviewSchema = z
  .object({
    release: digestSchema,
    version: z.string().optional(),
    components: z.array(z.string()),
    hotfix: z.boolean(),
    strategy: strategySchema,
    waves: z.array(
      z.object({
        ...waveSchema.shape,
        members: z.array(
          z.object({
            stamp: z.string(),
            from: digestSchema,
            to: digestSchema,
            /** Requests a minute, as measured; absent = not measured yet. */
            perMinute: z.number().optional(),
          }),
        ),
      }),
    ),
    /** The stamp that goes first, and why this one. */
    canary: z.object({ stamp: z.string(), why: z.string() }).optional(),
    skipped: z.array(z.object({ stamp: z.string(), why: z.string() })),
    /** Routing rules that it would bring (`+`), take away (`−`) or change (`~`); absent where it leaves them. */
    routing: z.array(z.string()).optional(),
    /** What its gate could see at the traffic there is, in sentences. */
    power: z.array(z.string()),
    /** Why something of it could not begin now. */
    frozen: z.array(z.string()),
    /** Ways back of moves that it may close. */
    waysBack: z.array(z.string()),
    notes: z.array(z.string()),
    /** From its begin to its end if nothing stands in its way, in milliseconds. */
    takesMs: z.number().optional(),
    /** The rollout that it would wait for. */
    behind: z.string().optional(),
  })
  .meta({ id: "RolloutPreview" });
export type RolloutPreviewView = z.output<typeof rolloutPreviewSchema>;

export const rolloutStartedSchema = z
  .discriminatedUnion("dryRun", [
    z.object({ dryRun: z.literal(false), rollout: rolloutSchema }),
    z.object({ dryRun: z.literal(true), preview: rolloutPreviewSchema }),
  ])
  .meta({ id: "RolloutStarted" });

export const rolloutReasonSchema = z.strictObject({ reason: reasonSchema.optional() }).meta({ id: "RolloutReason" });

export const rolloutPromoteSchema = z
  .strictObject({
    /** Past all the waves that follow, too. */
    full: z.boolean().default(false),
    reason: reasonSchema.optional(),
  })
  .meta({ id: "RolloutPromote" });

export const rolloutUndoSchema = z
  .strictObject({ overrideFreeze: z.boolean().default(false), reason: reasonSchema.optional() })
  .refine(({ overrideFreeze, reason }) => !overrideFreeze || (reason ?? "").trim() !== "", {
    error: "Overriding freezes wants a reason",
    path: ["reason"],
  })
  .meta({ id: "RolloutUndo" });
