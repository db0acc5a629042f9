import { z } from "zod";
import { roles } from "../roles.ts";
import { heldBatchSchema, routerSchema } from "./directory.ts";
import { moveProgressSchema } from "./moves.ts";
import { rolloutSchema } from "./rollouts.ts";
import { nameSchema, pageQuery, queryFlag, queryInt, tenantKeySchema, timeSchema } from "./values.ts";

export const healthSchema = z.object({ status: z.literal("ok") }).meta({ id: "Health" });

export const readySchema = z
  .object({ status: z.enum(["ready", "unready"]), role: z.enum(["leader", "standby"]) })
  .meta({ id: "Ready" });

export const statusSchema = z
  .object({
    fleet: z.string().optional(),
    fleetRevision: z.number().int(),
    mode: z.enum(["normal", "recovering"]),
    modeReason: z.string().optional(),
    role: z.enum(["leader", "standby"]),
    leader: z.string().optional(),
    /** Version of the control plane. */
    version: z.string(),
    directory: z.object({
      incarnation: z.number().int(),
      version: z.number().int(),
      /** Milliseconds since the head was made; absent while there is none. */
      ageMs: z.number().optional(),
    }),
    stamps: z.record(z.string(), z.number()),
    tenants: z.record(z.string(), z.number()),
    routers: z.array(routerSchema),
    /** Bulk changes of the directory that wait for a person (`directoryConfirm`). */
    held: z.array(heldBatchSchema),
    /** Rollouts that have not ended. */
    rollouts: z.array(rolloutSchema).default([]),
    /** Freezes in force, in words. */
    frozen: z.array(z.string()).default([]),
    /** Stamps that are behind for long, or do not run what they should. */
    alerts: z
      .array(z.object({ kind: z.string(), stamp: z.string(), text: z.string(), since: timeSchema.optional() }))
      .default([]),
    /** Why something is not happening, in words. */
    waitingOn: z.array(
      z.object({
        kind: z.enum(["pool", "stamp", "tenant", "directory", "rollout"]),
        name: z.string(),
        why: z.string(),
      }),
    ),
  })
  .meta({ id: "Status" });
export type StatusView = z.output<typeof statusSchema>;

export const auditSchema = z
  .object({
    /** Gapless; absent for the moment (up to 1 s) before the sequencer has numbered the row. */
    seq: z.number().int().optional(),
    at: timeSchema,
    actor: z.string(),
    action: z.string(),
    subject: z.string(),
    reason: z.string().optional(),
    requestId: z.string().optional(),
    detail: z.record(z.string(), z.unknown()),
    chain: z.string().optional(),
  })
  .meta({ id: "Audit" });
export type AuditView = z.output<typeof auditSchema>;

export const auditQuery = z.strictObject({
  ...pageQuery,
  /** E.g. `tenant/acme` or `stamp/shared-1`. */
  subject: z.string().max(300).optional(),
  /** Rows after this number. */
  after: queryInt(0, Number.MAX_SAFE_INTEGER).optional(),
  /** Also check the chain from its first row. */
  verify: queryFlag.default(false),
});

export const auditPageSchema = z.object({
  items: z.array(auditSchema),
  nextCursor: z.string().optional(),
  verification: z
    .object({
      ok: z.boolean(),
      rows: z.number().int(),
      /** First row whose chain value does not follow. */
      brokenAt: z.number().int().optional(),
    })
    .optional(),
});

export const tokenSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    role: z.enum(roles),
    createdAt: timeSchema,
    createdBy: z.string(),
    lastUsedAt: timeSchema.optional(),
    revokedAt: timeSchema.optional(),
  })
  .meta({ id: "Token" });
export type TokenView = z.output<typeof tokenSchema>;

export const tokenCreateSchema = z.strictObject({ name: nameSchema, role: z.enum(roles) }).meta({ id: "TokenCreate" });

export const tokenCreatedSchema = z
  .object({
    ...tokenSchema.shape,
    /** Shown once, here; only its hash is kept. */
    secret: z.string(),
  })
  .meta({ id: "TokenCreated" });
export type TokenCreatedView = z.output<typeof tokenCreatedSchema>;

/** What happens, as it happens. Not a record: a reader that was away reads the resources again. */
export const eventSchema = z
  .discriminatedUnion("kind", [
    z.object({
      kind: z.literal("stamp-phase"),
      at: timeSchema,
      stamp: z.string(),
      phase: z.string(),
      cause: z.string().optional(),
    }),
    z.object({
      kind: z.literal("tenant-phase"),
      at: timeSchema,
      tenant: z.string(),
      phase: z.string(),
      stamp: z.string().optional(),
      cause: z.string().optional(),
    }),
    z.object({
      kind: z.literal("progress"),
      at: timeSchema,
      stamp: z.string(),
      component: z.string().optional(),
      step: z.string(),
      state: z.enum(["begin", "end", "fail"]),
      ms: z.number().optional(),
      detail: z.string().optional(),
    }),
    z.object({
      kind: z.literal("move-phase"),
      at: timeSchema,
      move: z.string(),
      tenant: z.string(),
      phase: z.string(),
      waitingOn: z.string().optional(),
    }),
    z.object({
      kind: z.literal("move-progress"),
      at: timeSchema,
      move: z.string(),
      tenant: z.string(),
      progress: moveProgressSchema,
    }),
    z.object({
      kind: z.literal("rollout-phase"),
      at: timeSchema,
      rollout: z.string(),
      phase: z.string(),
      waitingOn: z.string().optional(),
    }),
    /** A freeze or a pin began or ended. */
    z.object({ kind: z.literal("freeze"), at: timeSchema }),
    z.object({ kind: z.literal("directory"), at: timeSchema, version: z.number().int() }),
    z.object({ kind: z.literal("waiting"), at: timeSchema, subject: z.string(), why: z.string() }),
  ])
  .meta({ id: "Event" });
export type EventView = z.output<typeof eventSchema>;

export const recoverySchema = z
  .object({
    mode: z.enum(["normal", "recovering"]),
    reason: z.string().optional(),
    /** What was read, and from whom it is still missing. */
    reports: z.array(z.object({ source: z.string(), complete: z.boolean(), tenants: z.number().int() })),
    /** What finishing would write. */
    adopt: z.array(z.object({ tenant: z.string(), stamp: z.string(), epoch: z.number().int(), why: z.string() })),
    conflicts: z.array(
      z.object({
        tenant: z.string(),
        why: z.string(),
        claims: z.array(z.object({ stamp: z.string(), epoch: z.number().int(), source: z.string() })),
      }),
    ),
    waitingOn: z.array(z.string()),
  })
  .meta({ id: "Recovery" });
export type RecoveryView = z.output<typeof recoverySchema>;

export const recoveryResolveSchema = z
  .strictObject({
    /** The stamp that a person says is the home, per tenant in conflict; without a stamp the tenant is forgotten. */
    resolve: z
      .array(z.strictObject({ tenant: tenantKeySchema, stamp: nameSchema.optional() }))
      .max(10_000)
      .default([]),
    /** Leave recovering now; refused while a conflict is open. */
    finish: z.boolean().default(false),
    /** With `finish`: go on although some stamp or router could not be read. */
    incomplete: z.boolean().default(false),
  })
  .meta({ id: "RecoveryResolve" });
