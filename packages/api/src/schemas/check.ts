import { z } from "zod";
import { nameSchema, pageQuery, queryFlag } from "./values.ts";

export const fleetCheckQuery = z.strictObject({
  /** Only findings about this stamp; all stamps are compared with it. */
  stamp: nameSchema.optional(),
});

export const fleetCheckSchema = z
  .object({
    /** How many stamps were compared. */
    stamps: z.number().int(),
    /** The gravest first. */
    findings: z.array(
      z.object({
        /**
         * `shared` = two stamps depend on one thing; `undeclared` = an address outside that no component declares;
         * `declared-outside` = an external component names it; `advisory` = a wall that this machine does not enforce.
         */
        verdict: z.enum(["shared", "undeclared", "declared-outside", "advisory"]),
        kind: z.enum([
          "database",
          "cache",
          "queue",
          "credential",
          "directory",
          "uid",
          "process",
          "port",
          "endpoint",
          "external",
        ]),
        stamps: z.array(z.string()),
        what: z.string(),
        where: z.array(z.string()),
        mend: z.string(),
      }),
    ),
    /** What could not be looked at. */
    unseen: z.array(z.object({ stamp: z.string(), why: z.string() })),
  })
  .meta({ id: "FleetCheck" });
export type FleetCheckView = z.output<typeof fleetCheckSchema>;

export const residencyQuery = z.strictObject({
  ...pageQuery,
  /** Leave out tenants that live where they may. A page may then be empty and still have a next one. */
  violations: queryFlag.default(false),
});

export const residencySchema = z
  .object({
    tenant: z.string(),
    tier: z.string(),
    phase: z.string(),
    /** What the tenant itself asks for. */
    residency: z.array(z.string()),
    /** Regions it may live in; empty = any. */
    allowed: z.array(z.string()),
    /** The rule that narrowed them. */
    rule: z.string().optional(),
    stamp: z.string().optional(),
    /** Where its data is; absent while it has no home, or its home is gone. */
    region: z.string().optional(),
    /** Absent: it lives where it may, or nowhere yet. */
    violation: z.string().optional(),
  })
  .meta({ id: "TenantResidency" });
export type TenantResidencyView = z.output<typeof residencySchema>;
