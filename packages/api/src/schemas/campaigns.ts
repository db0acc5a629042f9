import { campaignBounds, maxPauseBounds } from "@stampyard/domain";
import { z } from "zod";
import { nameSchema, pageQuery, queryFlag, queryInt, reasonSchema, revisionSchema, timeSchema } from "./values.ts";

const { concurrency, perStamp, tries, wayBackMs } = campaignBounds;
/** As much as a day may hold. */
const longestBudgetMs = 86_400_000;

/** What may be asked of a campaign; the rest is as `campaignSettings` of domain says. */
const asked = {
  /** Moves of the campaign at a time. @default 2 */
  concurrency: z.number().int().min(concurrency.least).max(concurrency.most).optional(),
  /** Moves at a time that touch one stamp, beside the one that is drained. @default 2, or the concurrency */
  perStamp: z.number().int().min(perStamp.least).max(perStamp.most).optional(),
  /** Longest write pause of one try, in milliseconds. @default 2000 */
  maxPauseMs: z.number().int().min(maxPauseBounds.least).max(maxPauseBounds.most).optional(),
  /** How long the old copies are kept as ways back, in milliseconds; 0 = not at all. @default one hour */
  wayBackMs: z.number().int().min(wayBackMs.least).max(wayBackMs.most).optional(),
  /** Write pauses of one tenant within a day, in milliseconds. @default twice the worst that one move can take */
  pauseBudgetMs: z.number().int().min(maxPauseBounds.least).max(longestBudgetMs).optional(),
  /** Moves of one tenant within a day. @default 3 */
  triesPerDay: z.number().int().min(tries.least).max(tries.most).optional(),
  /** Ways back of earlier moves that stand in the way are ended, instead of waited for. @default false */
  finishWaysBack: z.boolean().optional(),
};

export const campaignAskedSchema = z.strictObject(asked).meta({ id: "CampaignSettingsAsked" });
export type CampaignAskedView = z.output<typeof campaignAskedSchema>;

export const campaignIdSchema = z
  .string()
  .regex(/^cp-[a-z0-9]{1,40}$/, { error: "A campaign's id such as cp-0a1b2c3d4e" });
export const campaignParams = z.strictObject({ id: campaignIdSchema });
const kindSchema = z.enum(["drain", "rebalance"]);
const phaseSchema = z.enum(["running", "paused", "cancelling", "cancelled", "done", "failed"]);
const settingsSchema = z.object({
  maxPauseMs: z.number(),
  wayBackMs: z.number(),
  concurrency: z.number().int(),
  perStamp: z.number().int(),
  /** What one tenant is put through within any 24 hours. */
  budget: z.object({ pauseMs: z.number(), tries: z.number().int() }),
  finishWaysBack: z.boolean(),
});

/** How long it takes, and what that is reckoned from. Absent: no move was measured yet, so nothing is known. */
const estimateSchema = z.object({ ms: z.number(), basis: z.string() });

export const campaignItemSchema = z
  .object({
    tenant: z.string(),
    from: z.string(),
    /** `blocked`: it cannot go now; `left`: gone by other ways; `kept`: it stays where it is. */
    phase: z.enum(["planned", "blocked", "moving", "moved", "left", "kept"]),
    to: z.string().optional(),
    move: z.string().optional(),
    why: z.string().optional(),
    /** Not before then. */
    until: timeSchema.optional(),
  })
  .meta({ id: "CampaignItem" });
export type CampaignItemView = z.output<typeof campaignItemSchema>;

export const campaignSchema = z
  .object({
    id: z.string(),
    kind: kindSchema,
    /** The stamp that is emptied, or the pool that is evened out. */
    subject: z.string(),
    phase: phaseSchema,
    /** Why it failed, or was cancelled. */
    why: z.string().optional(),
    waitingOn: z.string().optional(),
    deadline: timeSchema.optional(),
    /** It goes on, and its deadline has passed. */
    late: z.boolean(),
    settings: settingsSchema,
    /** Tenants by what has become of them. */
    tenants: z.object({
      planned: z.number().int(),
      blocked: z.number().int(),
      moving: z.number().int(),
      moved: z.number().int(),
      left: z.number().int(),
      kept: z.number().int(),
    }),
    revision: revisionSchema,
    createdAt: timeSchema,
    updatedAt: timeSchema,
  })
  .meta({ id: "Campaign" });
export type CampaignView = z.output<typeof campaignSchema>;

export const campaignDetailSchema = z
  .object({
    ...campaignSchema.shape,
    /** Moves of it that rest: until the last of them ends, the old stamp keeps a copy. */
    waysBack: z.object({ count: z.number().int(), until: timeSchema.optional() }),
    /** Of what is left. */
    left: estimateSchema.optional(),
  })
  .meta({ id: "CampaignDetail" });
export type CampaignDetailView = z.output<typeof campaignDetailSchema>;

export const campaignListQuery = z.strictObject({
  ...pageQuery,
  kind: kindSchema.optional(),
  /** A stamp or a pool. */
  subject: nameSchema.optional(),
  phase: phaseSchema.optional(),
  /** Only those that have not ended. */
  open: queryFlag.default(false),
});

export const campaignItemsQuery = z.strictObject(pageQuery);

export const campaignReasonSchema = z.strictObject({ reason: reasonSchema.optional() }).meta({ id: "CampaignReason" });

/** What it would be now. Nothing was changed. */
export const campaignPlanSchema = z
  .object({
    kind: kindSchema,
    subject: z.string(),
    /** In the order in which they would go. */
    items: z.array(campaignItemSchema),
    /** Of a rebalancing: share of the tightest unit by stamp. */
    shares: z.array(z.object({ stamp: z.string(), before: z.number(), after: z.number() })),
    /** Stamps that stay too full. */
    unmet: z.array(z.object({ stamp: z.string(), why: z.string() })),
    settings: settingsSchema,
    /** Why no tenant can be moved at all. */
    barred: z.string().optional(),
    estimate: estimateSchema.optional(),
    /** The campaign of this subject that goes on already. */
    open: z.string().optional(),
  })
  .meta({ id: "CampaignPlan" });
export type CampaignPlanView = z.output<typeof campaignPlanSchema>;

export const campaignPlanQuery = z.strictObject({
  /** Settings as the campaign would be asked for. */
  concurrency: queryInt(concurrency.least, concurrency.most).optional(),
  maxPauseMs: queryInt(maxPauseBounds.least, maxPauseBounds.most).optional(),
  wayBackMs: queryInt(wayBackMs.least, wayBackMs.most).optional(),
  pauseBudgetMs: queryInt(maxPauseBounds.least, longestBudgetMs).optional(),
  triesPerDay: queryInt(tries.least, tries.most).optional(),
  finishWaysBack: queryFlag.optional(),
});

export const campaignRebalanceSchema = z
  .strictObject({ ...asked, reason: reasonSchema.optional() })
  .meta({ id: "PoolRebalance" });
