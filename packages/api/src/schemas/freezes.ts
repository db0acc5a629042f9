import { frozenThings } from "@stampyard/domain";
import { z } from "zod";
import { nameSchema, reasonSchema, timeSchema } from "./values.ts";

export const freezeIdSchema = z.string().regex(/^fz-[a-z0-9]{1,40}$/, { error: "A freeze's id such as fz-0a1b2c3d4e" });
export const freezeParams = z.strictObject({ id: freezeIdSchema });

const names = z.array(nameSchema).min(1).max(1_000);
const stopsSchema = z.array(z.enum(frozenThings)).min(1);

/** The whole fleet, or what these name; every field that is there must match. */
const scopeSchema = z.object({
  pools: z.array(z.string()).optional(),
  regions: z.array(z.string()).optional(),
  stamps: z.array(z.string()).optional(),
});

export const freezeSchema = z
  .object({
    kind: z.literal("person"),
    id: z.string(),
    scope: scopeSchema,
    stops: z.array(z.enum(frozenThings)),
    reason: z.string(),
    startedBy: z.string(),
    since: timeSchema,
    until: timeSchema.optional(),
  })
  .meta({ id: "Freeze" });
export type FreezeView = z.output<typeof freezeSchema>;

/** Of `freezes:` of fleet.yaml. */
export const freezeWindowSchema = z
  .object({
    kind: z.literal("window"),
    name: z.string(),
    scope: scopeSchema,
    stops: z.array(z.enum(frozenThings)),
    zone: z.string(),
    /** E.g. `every Friday 16:00 to Monday 08:00`. */
    when: z.string(),
    /** Whether it stops something now. */
    active: z.boolean(),
    /** Of one that does: its end. */
    until: timeSchema.optional(),
  })
  .meta({ id: "FreezeWindow" });
export type FreezeWindowView = z.output<typeof freezeWindowSchema>;

export const freezeListSchema = z
  .object({ items: z.array(z.discriminatedUnion("kind", [freezeSchema, freezeWindowSchema])) })
  .meta({ id: "FreezeList" });
export type FreezeListView = z.output<typeof freezeListSchema>;

export const freezeStartSchema = z
  .strictObject({
    /** @default the whole fleet */
    scope: z.strictObject({ pools: names.optional(), regions: names.optional(), stamps: names.optional() }).default({}),
    /** @default all of it */
    stops: stopsSchema.default([...frozenThings]),
    until: timeSchema.optional(),
    reason: reasonSchema.min(1),
  })
  .meta({ id: "FreezeStart" });

export const freezeEndQuery = z.strictObject({ reason: reasonSchema.optional() });
