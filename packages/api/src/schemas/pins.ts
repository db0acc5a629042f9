import { z } from "zod";
import { digestSchema, reasonSchema, timeSchema } from "./values.ts";

/** Keeps a stamp, or every stamp that holds a tenant, on a release until a time. */
export const pinSchema = z
  .object({
    kind: z.enum(["stamp", "tenant"]),
    name: z.string(),
    /** Absent = whatever it runs when a rollout comes by. */
    release: digestSchema.optional(),
    version: z.string().optional(),
    until: timeSchema,
    reason: z.string(),
    setBy: z.string(),
    since: timeSchema,
  })
  .meta({ id: "Pin" });
export type PinView = z.output<typeof pinSchema>;

export const pinListSchema = z.object({ items: z.array(pinSchema) }).meta({ id: "PinList" });

export const pinSetSchema = z
  .strictObject({
    release: digestSchema.optional(),
    until: timeSchema,
    reason: reasonSchema.min(1),
  })
  .meta({ id: "PinSet" });

export const pinRemoveQuery = z.strictObject({ reason: reasonSchema.optional() });
