import { defaultMaxPauseMs, defaultRestMs, maxPauseBounds } from "@stampyard/domain";
import { z } from "zod";
import {
  nameSchema,
  pageQuery,
  queryFlag,
  reasonSchema,
  revisionSchema,
  tenantKeySchema,
  timeSchema,
} from "./values.ts";

/** A tenant cannot keep two places for longer than this: 30 days. */
const longestRestMs = 30 * 86_400_000;

export const moveIdSchema = z.string().regex(/^[a-z0-9-]{1,80}$/);

export const movePhaseSchema = z.enum([
  "requested",
  "checking",
  "copying",
  "switching",
  "opening",
  "verifying",
  "resting",
  "erasing",
  "done",
  "disputed",
  "aborting",
  "aborted",
  "returned",
]);

const modeSchema = z.enum(["capture", "stream"]);
const verifySchema = z.enum(["incremental", "before", "after"]);
const maxPauseSchema = z.number().int().min(maxPauseBounds.least).max(maxPauseBounds.most);
const restSchema = z.number().int().min(0).max(longestRestMs);

/** Where a move stands now; `MoveProgress` of domain. */
export const moveProgressSchema = z
  .object({
    step: z.enum(["copy", "follow", "verify", "erase"]),
    table: z.string().optional(),
    tablesDone: z.number().int(),
    tables: z.number().int(),
    rows: z.number().int(),
    bytes: z.number().int(),
    ofRows: z.number().int(),
    ofBytes: z.number().int(),
    rowsPerSecond: z.number(),
    etaMs: z.number().optional(),
    lag: z.number().int().optional(),
    waitingOn: z.string().optional(),
  })
  .meta({ id: "MoveProgress" });
export type MoveProgressView = z.output<typeof moveProgressSchema>;

const switchSchema = z.object({
  at: timeSchema,
  outcome: z.enum(["decided", "opened-again"]),
  cause: z.string().optional(),
  /** Milliseconds between the order to hold and the answers of all live routers. */
  holdMs: z.number(),
  /** Milliseconds between the closed fence and the decision, or its end. */
  fencedMs: z.number(),
  /** The write pause as the control plane saw it: from the order to hold until every live router knew where to go. */
  pauseMs: z.number().optional(),
  /** Rows brought and compared inside the pause. */
  rows: z.number().int(),
});

const reportSchema = z
  .object({
    expected: z.object({ tables: z.number().int(), rows: z.number(), bytes: z.number() }).optional(),
    copied: z.object({ rows: z.number().int(), bytes: z.number().int(), ms: z.number() }).optional(),
    followed: z.object({ changes: z.number().int(), rounds: z.number().int() }).optional(),
    compared: z
      .object({
        policy: verifySchema,
        rows: z.number().int(),
        isEqual: z.boolean(),
        differences: z.array(
          z.object({ table: z.string(), key: z.string(), what: z.enum(["missing", "extra", "different"]) }),
        ),
      })
      .optional(),
    /** Every try of the switch; the last is the one that decided. */
    switches: z.array(switchSchema).optional(),
    drainMs: z.number().optional(),
    /** Of the hook that makes derived data again on the target; nobody waits for it. */
    rebuild: z
      .object({
        attempts: z.number().int(),
        ms: z.number().optional(),
        cause: z.string().optional(),
        retryAt: timeSchema.optional(),
      })
      .optional(),
    erased: z
      .object({ at: timeSchema, tables: z.array(z.object({ table: z.string(), rows: z.number().int() })) })
      .optional(),
  })
  .meta({ id: "MoveReport" });

export const moveSchema = z
  .object({
    id: z.string(),
    tenant: z.string(),
    from: z.string(),
    to: z.string(),
    /** Of the tenant on its source; its target opens at the next one. */
    epoch: z.number().int(),
    phase: movePhaseSchema,
    /** `abort` = the tenant is to stay where it was. */
    goal: z.enum(["finish", "abort"]),
    /** Why it was aborted, or is disputed. */
    cause: z.string().optional(),
    /** Of the switch. */
    attempt: z.number().int().optional(),
    /** While it rests: until then the tenant can be taken back. */
    wayBackUntil: timeSchema.optional(),
    /** What failed last, and when it is tried again. */
    setback: z.object({ attempt: z.number().int(), cause: z.string(), retryAt: timeSchema }).optional(),
    waitingOn: z.string().optional(),
    options: z.object({ mode: modeSchema, verify: verifySchema, maxPauseMs: z.number(), restMs: z.number() }),
    /** The move that this one takes back. */
    returns: z.string().optional(),
    campaign: z.string().optional(),
    /** A person has accepted copies that differ, or that could not be compared. */
    accepted: z.boolean(),
    /** The measured write pause in milliseconds, once the source has decided. */
    pauseMs: z.number().optional(),
    report: reportSchema,
    /** Known to the control plane that does the work, while it does it. */
    progress: z.object({ ...moveProgressSchema.shape, at: timeSchema }).optional(),
    revision: revisionSchema,
    createdAt: timeSchema,
    updatedAt: timeSchema,
  })
  .meta({ id: "Move" });
export type MoveView = z.output<typeof moveSchema>;

export const moveCreateSchema = z
  .strictObject({
    tenant: tenantKeySchema,
    /** The stamp that it goes to. @default one of its pool that placement finds */
    to: nameSchema.optional(),
    /** The pool in which placement finds a stamp. */
    toPool: nameSchema.optional(),
    mode: modeSchema.default("capture"),
    /** When both copies are compared: before the switch, and in the pause only what changed since; in the pause; after it. */
    verify: verifySchema.default("incremental"),
    /** Longest write pause in milliseconds; the source opens again by itself after it. */
    maxPauseMs: maxPauseSchema.default(defaultMaxPauseMs),
    /** The way back: for so many milliseconds the source keeps its copy. 0 = none. */
    restMs: restSchema.default(defaultRestMs),
    reason: reasonSchema.optional(),
  })
  .refine(({ to, toPool }) => to === undefined || toPool === undefined, {
    error: "A move goes to a stamp or to a pool, not to both",
    path: ["toPool"],
  })
  .meta({ id: "MoveCreate" });

export const moveCreateQuery = z.strictObject({
  /** Say what would happen, and what stands in its way; change nothing. */
  dryRun: queryFlag.default(false),
});

const problemSchema = z.object({
  /** E.g. `table public.notes` or `stamp shared-2`. */
  where: z.string(),
  what: z.string(),
  mend: z.string(),
});

/** What a dry run found. */
export const moveProposalSchema = z
  .object({
    tenant: z.string(),
    from: z.string(),
    to: z.string(),
    epoch: z.number().int(),
    /** The move would be refused while there is any. */
    problems: z.array(problemSchema),
    warnings: z.array(problemSchema),
    tables: z.array(
      z.object({
        table: z.string(),
        /** `tenant` rows go with it; `reference` tables must be the same on both sides; `ignored` ones stay. */
        kind: z.enum(["tenant", "reference", "ignored"]),
        rows: z.number(),
        bytes: z.number(),
        via: z.array(z.string()).optional(),
      }),
    ),
    rows: z.number(),
    bytes: z.number(),
    estimate: z.object({
      /** Milliseconds from the request until the tenant is served by its target. */
      totalMs: z.number(),
      /** The write pause inside it. */
      pauseMs: z.number(),
      /** From how many finished moves of this fleet; 0 = assumed. */
      basedOn: z.number().int(),
    }),
  })
  .meta({ id: "MoveProposal" });
export type MoveProposalView = z.output<typeof moveProposalSchema>;

export const moveCreatedSchema = z
  .discriminatedUnion("dryRun", [
    z.object({ dryRun: z.literal(false), move: moveSchema }),
    z.object({ dryRun: z.literal(true), proposal: moveProposalSchema }),
  ])
  .meta({ id: "MoveCreated" });
export type MoveCreatedView = z.output<typeof moveCreatedSchema>;

export const moveListQuery = z.strictObject({
  ...pageQuery,
  tenant: tenantKeySchema.optional(),
  /** Its source or its target. */
  stamp: nameSchema.optional(),
  phase: movePhaseSchema.optional(),
  campaign: z.string().min(1).max(100).optional(),
  /** Only those that have not ended; a resting one has not. */
  open: queryFlag.default(false),
});

export const moveParams = z.strictObject({ id: moveIdSchema });
export const moveAbortSchema = z.strictObject({ reason: reasonSchema.optional() }).meta({ id: "MoveAbort" });
export const moveRollbackSchema = z
  .strictObject({
    /** @default what the move had */
    maxPauseMs: maxPauseSchema.optional(),
    /** @default what the move had */
    restMs: restSchema.optional(),
    reason: reasonSchema.optional(),
  })
  .meta({ id: "MoveRollback" });
export const moveFinishSchema = z
  .strictObject({
    /** A person's word: copies that differ, or that could not be compared, are accepted as they are. */
    accept: z.boolean().default(false),
    reason: reasonSchema.optional(),
  })
  .meta({ id: "MoveFinish" });
