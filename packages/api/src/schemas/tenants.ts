import { z } from "zod";
import { movePhaseSchema } from "./moves.ts";
import {
  hostnameSchema,
  nameSchema,
  pageQuery,
  queryInt,
  reasonSchema,
  revisionSchema,
  tenantKeySchema,
  timeSchema,
  unitsSchema,
} from "./values.ts";

export const tenantPhaseSchema = z.enum([
  "requested",
  "placing",
  "preparing",
  "active",
  "suspending",
  "suspended",
  "resuming",
  "moving",
  "deleting",
  "gone",
]);

const tenancySchema = z.enum(["shared", "dedicated"]);

export const tenantSchema = z
  .object({
    key: z.string(),
    pool: z.string(),
    tier: z.string(),
    residency: z.array(z.string()),
    weight: z.record(z.string(), z.number()),
    hostnames: z.array(z.string()),
    phase: tenantPhaseSchema,
    goal: z.enum(["present", "suspended", "absent"]),
    /** Who stopped it and why; there while the goal is `suspended`. */
    suspension: z.object({ by: z.string(), reason: z.string(), at: timeSchema }).optional(),
    /** Absent: what its pool is. */
    tenancy: tenancySchema.optional(),
    /** Release channel that it is bound to. */
    channel: z.string().optional(),
    stamp: z.string().optional(),
    epoch: z.number().int(),
    attempt: z.number().int().optional(),
    cause: z.string().optional(),
    retryAt: timeSchema.optional(),
    waitingOn: z.string().optional(),
    /** Its move, from the request until the way back has ended; only where one tenant is asked for. */
    move: z
      .object({
        id: z.string(),
        phase: movePhaseSchema,
        from: z.string(),
        to: z.string(),
        waitingOn: z.string().optional(),
        wayBackUntil: timeSchema.optional(),
      })
      .optional(),
    /** Directory version that carries its latest entry; routers that acknowledged it know the tenant. */
    directoryVersion: z.number().int().optional(),
    revision: revisionSchema,
    createdAt: timeSchema.optional(),
    updatedAt: timeSchema.optional(),
  })
  .meta({ id: "Tenant" });
export type TenantView = z.output<typeof tenantSchema>;

const tenantFields = {
  key: tenantKeySchema,
  /** @default the fleet's only pool */
  pool: nameSchema.optional(),
  tier: nameSchema.default("standard"),
  /** Allowed regions; empty = any. */
  residency: z.array(nameSchema).max(50).default([]),
  /** @default what its tier weighs, and one place */
  weight: unitsSchema.optional(),
  hostnames: z.array(hostnameSchema).max(100).default([]),
  /** `dedicated` = a stamp of its own. @default what its pool is */
  tenancy: tenancySchema.optional(),
  /** Only stamps of this release channel. */
  channel: nameSchema.optional(),
  /** Its home, when it already has one (adoption); placed by the platform otherwise. */
  stamp: nameSchema.optional(),
};

export const tenantCreateSchema = z.strictObject(tenantFields).meta({ id: "TenantCreate" });

export const tenantCreateQuery = z.strictObject({
  /** Milliseconds to wait until it is active and every live router acknowledged its directory version. 0 = answer at once. */
  wait: queryInt(0, 120_000).default(0),
});

const waitQuery = {
  /** Milliseconds to wait until the tenant has come to rest. 0 = answer at once. */
  wait: queryInt(0, 120_000).default(0),
};

export const tenantSuspendSchema = z.strictObject({ reason: reasonSchema }).meta({ id: "TenantSuspend" });
export const tenantSettleQuery = z.strictObject(waitQuery);
export const tenantResumeQuery = z.strictObject({ ...waitQuery, reason: reasonSchema.optional() });

export const tenantImportSchema = z
  .strictObject({
    tenants: z.array(z.strictObject(tenantFields)).max(50_000),
    /** Say what would happen and change nothing. */
    dryRun: z.boolean().default(false),
  })
  .meta({ id: "TenantImport" });

export const tenantImportedSchema = z
  .object({
    /** False on a dry run, and while anything is in conflict: an import is done as a whole or not at all. */
    applied: z.boolean(),
    create: z.number().int(),
    unchanged: z.number().int(),
    /** Where the new ones live, or would. */
    placed: z.array(z.object({ stamp: z.string(), tenants: z.number().int() })),
    /** New ones without a home yet: a stamp for them is still to be built. */
    waiting: z.number().int(),
    conflict: z.array(z.object({ key: z.string(), why: z.string() })),
  })
  .meta({ id: "TenantImported" });
export type TenantImportedView = z.output<typeof tenantImportedSchema>;

export const tenantListQuery = z.strictObject({
  ...pageQuery,
  pool: nameSchema.optional(),
  stamp: nameSchema.optional(),
  phase: tenantPhaseSchema.optional(),
});

export const tenantEventSchema = z
  .object({
    at: timeSchema,
    event: z.string(),
    phase: z.string().optional(),
    stamp: z.string().optional(),
    epoch: z.number().int().optional(),
    actor: z.string().optional(),
    detail: z.string().optional(),
  })
  .meta({ id: "TenantEvent" });
export type TenantEventView = z.output<typeof tenantEventSchema>;

export const tenantWhereSchema = z
  .object({
    tenant: z.string(),
    at: timeSchema,
    /** Absent when it had no home then. */
    stamp: z.string().optional(),
    epoch: z.number().int().optional(),
    since: timeSchema.optional(),
  })
  .meta({ id: "TenantWhere" });
export type TenantWhereView = z.output<typeof tenantWhereSchema>;

export const tenantCertificateSchema = z
  .object({
    /** With every field it has: the digest is over all of them. */
    certificate: z.looseObject({
      tenant: z.string(),
      stamp: z.string().optional(),
      epoch: z.number().int(),
      at: timeSchema,
      /**
       * `withdrawn` = there was neither a hook nor a table to count: nothing is known of its data. `stamp-gone` = its stamp
       * was destroyed before, and its data with it.
       */
      basis: z.enum(["erased", "withdrawn", "stamp-gone", "never-placed"]),
      hook: z.enum(["called", "none", "not-needed"]),
      column: z.string().optional(),
      /** Every table that has the tenant column, with the rows of the tenant that were found. */
      databases: z.array(
        z.object({
          component: z.string(),
          tables: z.array(z.object({ table: z.string(), rows: z.number().int() })),
        }),
      ),
      unchecked: z.string().optional(),
      /** SHA-256 over the canonical JSON of all other fields. */
      digest: z.string(),
    }),
    /** Its row in the chained audit; absent until that is numbered (up to 1 s). */
    audit: z.object({ number: z.number().int(), chain: z.string() }).optional(),
    ordered: z.object({ by: z.string(), reason: z.string().optional(), at: timeSchema }).optional(),
  })
  .meta({ id: "TenantCertificate" });
export type TenantCertificateView = z.output<typeof tenantCertificateSchema>;
