import { z } from "zod";
import { digestSchema, nameSchema, timeSchema } from "./values.ts";

export const releaseDiffQuery = z.strictObject({
  /** What it is compared with. @default what the stamp runs, or the fleet's release */
  from: digestSchema.optional(),
  /** With this stamp's parameters and capacity. */
  stamp: nameSchema.optional(),
});

const named = z.object({ digest: digestSchema, version: z.string() });

export const releaseDiffSchema = z
  .object({
    from: named,
    to: named,
    stamp: z.string().optional(),
    /** Nothing of a stamp would change. */
    same: z.boolean(),
    changes: z.array(
      z.object({
        /** A component, or `parameters`, `capacity`, `content`, …. */
        what: z.string(),
        change: z.enum(["add", "update", "remove"]),
        /** One line for each field that differs. */
        lines: z.array(z.string()),
      }),
    ),
  })
  .meta({ id: "ReleaseDiff" });
export type ReleaseDiffView = z.output<typeof releaseDiffSchema>;

/** Which stamp runs which release, and what is wrong about it. */
export const releaseMatrixSchema = z
  .object({
    /** The newest first; those that no stamp runs or is to run are left out. */
    releases: z.array(
      z.object({
        digest: digestSchema,
        version: z.string(),
        createdAt: timeSchema,
        current: z.boolean(),
        /** Stamps that run it. */
        stamps: z.number().int(),
      }),
    ),
    stamps: z.array(
      z.object({
        stamp: z.string(),
        pool: z.string(),
        region: z.string(),
        /** The release that its row says it should run. */
        release: digestSchema,
        version: z.string().optional(),
        /** Whether it was seen to run that; absent = it cannot be looked at. */
        converged: z.boolean().optional(),
        /** How long the release that it runs has been out of date, in milliseconds; 0 = it has the fleet's. */
        behindMs: z.number(),
        rollout: z.string().optional(),
        pinned: z.string().optional(),
      }),
    ),
    alerts: z.array(z.object({ kind: z.string(), stamp: z.string(), text: z.string(), since: timeSchema.optional() })),
  })
  .meta({ id: "ReleaseMatrix" });
export type ReleaseMatrixView = z.output<typeof releaseMatrixSchema>;
