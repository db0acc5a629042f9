import { z } from "zod";
import { pinSchema } from "./pins.ts";
import { memberPhaseSchema, rolloutPhaseSchema } from "./rollouts.ts";
import { adoptionSchema, goalDetailSchema, verificationSchema } from "./stamp-life.ts";
import {
  capacitySchema,
  digestSchema,
  nameSchema,
  pageQuery,
  parametersSchema,
  queryFlag,
  queryInt,
  reasonSchema,
  revisionSchema,
  timeSchema,
} from "./values.ts";

export const stampPhaseSchema = z.enum([
  "requested",
  "provisioning",
  "verifying",
  "active",
  "cordoned",
  "draining",
  "empty",
  "failed",
  "destroying",
  "gone",
]);

export const endpointSchema = z.object({ host: z.string(), port: z.number().int() });

export const componentSchema = z
  .object({
    name: z.string(),
    replica: z.number().int(),
    status: z.enum(["absent", "starting", "healthy", "unhealthy", "stopped", "done", "failed"]),
    pid: z.number().int().optional(),
    restarts: z.number().int(),
    reason: z.string().optional(),
    since: timeSchema,
  })
  .meta({ id: "Component" });

export const observationSchema = z
  .object({
    presence: z.enum(["absent", "present", "unknown"]),
    host: z.enum(["up", "down", "none"]),
    stampDigest: digestSchema.optional(),
    /** Of the endpoints that its engine sees; the published ones follow. */
    endpointRevision: z.number().int().optional(),
    components: z.array(componentSchema),
    reason: z.string().optional(),
    /** When it was looked at. */
    at: timeSchema,
  })
  .meta({ id: "Observation" });

export const stampSchema = z
  .object({
    name: z.string(),
    pool: z.string(),
    region: z.string(),
    phase: stampPhaseSchema,
    goal: z.enum(["present", "cordoned", "drained", "absent"]),
    goalDetail: goalDetailSchema.optional(),
    /** Built from a release, or running before and only registered. */
    origin: z.enum(["built", "adopted"]),
    /** Key of the tenant that it is kept for. */
    reservedFor: z.string().optional(),
    releaseDigest: digestSchema,
    stampDigest: digestSchema,
    parameters: parametersSchema,
    capacity: capacitySchema,
    /** Places taken, also by tenants still preparing. */
    used: capacitySchema,
    /** Last published. */
    endpoints: z.array(endpointSchema),
    endpointRevision: z.number().int(),
    /** Of provisioning, or of its last failure. */
    attempt: z.number().int().optional(),
    cause: z.string().optional(),
    retryAt: timeSchema.optional(),
    waitingOn: z.string().optional(),
    /** How the routing rules for its tenants differ from the fleet's, where a rollout has brought it others. */
    routing: z.array(z.string()).optional(),
    /** Its own and its tenants', where one stamp is asked for. Absent = none. */
    pins: z.array(pinSchema).optional(),
    /** Those that have not ended and have it as a member, the oldest first, where one stamp is asked for. Absent = none. */
    rollouts: z
      .array(z.object({ id: z.string(), phase: rolloutPhaseSchema, wave: z.string(), member: memberPhaseSchema }))
      .optional(),
    /** Units of which more is taken than it may hold, as of one that was adopted. */
    over: z.array(z.string()).optional(),
    verification: verificationSchema.optional(),
    adoption: adoptionSchema.optional(),
    observation: observationSchema.optional(),
    revision: revisionSchema,
    createdAt: timeSchema.optional(),
    updatedAt: timeSchema.optional(),
  })
  .meta({ id: "Stamp" });
export type StampView = z.output<typeof stampSchema>;

const overrideWantsReason = { error: "Overriding freezes wants a reason", path: ["reason"] };
function hasReason({ overrideFreeze, reason }: { overrideFreeze: boolean; reason?: string | undefined }): boolean {
  return !overrideFreeze || (reason ?? "").trim() !== "";
}

export const stampCreateSchema = z
  .strictObject({
    pool: nameSchema,
    /** @default the pool's next free name */
    name: nameSchema.optional(),
    /** @default the pool's next region in turn */
    region: nameSchema.optional(),
    /** On top of the pool's. */
    parameters: parametersSchema.optional(),
    /** Also while a freeze stops scaling. Wants a reason. */
    overrideFreeze: z.boolean().default(false),
    reason: reasonSchema.optional(),
  })
  .refine(hasReason, overrideWantsReason)
  .meta({ id: "StampCreate" });

export const stampListQuery = z.strictObject({
  ...pageQuery,
  pool: nameSchema.optional(),
  phase: stampPhaseSchema.optional(),
});

export const stampLogsQuery = z.strictObject({
  component: nameSchema.optional(),
  /** Last lines per component. */
  tail: queryInt(0, 10_000).default(100),
  follow: queryFlag.default(false),
});

export const stampDeleteQuery = z
  .strictObject({
    /** Also when tenants live on it: they lose their home and its data (audited, I31). */
    force: queryFlag.default(false),
    /** Also while a freeze stops the removal of stamps. Wants a reason. */
    overrideFreeze: queryFlag.default(false),
    reason: reasonSchema.optional(),
  })
  .refine(hasReason, overrideWantsReason);

export const stampDiffSchema = z
  .object({
    stamp: z.string(),
    same: z.boolean(),
    goalDigest: digestSchema,
    observedDigest: digestSchema.optional(),
    /** What an apply would do now. */
    changes: z.array(
      z.object({
        component: z.string(),
        change: z.enum(["create", "update", "remove", "start"]),
        why: z.string(),
      }),
    ),
    /** What its pool has done about it: `heal` = the control plane mends it within a minute or so. */
    drift: z.enum(["report", "heal"]).optional(),
    observation: observationSchema,
  })
  .meta({ id: "StampDiff" });
export type StampDiffView = z.output<typeof stampDiffSchema>;

/** Route keys are named, never shown (D7): the stamp learns `next`, routers sign with it, the old one is dropped. */
export const keyRotationSchema = z
  .object({
    stamp: z.string(),
    step: z.string(),
    kids: z.array(z.string()),
    waitingOn: z.string().optional(),
  })
  .meta({ id: "KeyRotation" });
export type KeyRotationView = z.output<typeof keyRotationSchema>;
