import { z } from "zod";
import { nameSchema, reasonSchema, tenantKeySchema } from "./values.ts";

const moveIdSchema = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/);
const inFlight = z.number().int().min(0).max(1_000_000_000);

export const holdCreateSchema = z
  .strictObject({
    /** Whose hold it is: only a release of the same id ends it early. */
    moveId: moveIdSchema.default("operator"),
    /** After so many milliseconds it ends by itself; requests that wait are then answered 503. */
    ttlMs: z.number().int().min(1).max(30_000).default(5_000),
    /** Milliseconds to wait until every live router holds the tenant and none of its requests is on its way. */
    waitMs: z.number().int().min(0).max(1_000).default(100),
    reason: reasonSchema.optional(),
  })
  .meta({ id: "HoldCreate" });

export const holdSchema = z
  .object({
    tenant: z.string(),
    moveId: z.string(),
    ttlMs: z.number().int(),
    /** Every live router held the tenant, and none of its requests was on its way, before the wait was over. */
    quiet: z.boolean(),
    routers: z.array(
      z.object({
        router: z.string(),
        /** Requests on their way when it was last heard; absent = it has not said that it holds the tenant. */
        inFlight: z.number().int().optional(),
      }),
    ),
  })
  .meta({ id: "Hold" });
export type HoldView = z.output<typeof holdSchema>;

export const releaseQuery = z.strictObject({ moveId: moveIdSchema.default("operator") });

export const holdAcknowledgementSchema = z
  .strictObject({ router: nameSchema, tenant: tenantKeySchema, moveId: moveIdSchema, inFlight })
  .meta({ id: "HoldAcknowledgement" });
