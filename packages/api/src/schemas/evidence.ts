import { z } from "zod";
import { nameSchema, tenantKeySchema } from "./values.ts";

const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

const stampCountSchema = z.object({
  requests: count,
  /** Answers of 500 and above, and connections that the stamp refused or cut. */
  errors: count,
  /** By the routers' upper bounds, and one for everything above. */
  latency: z.array(count).max(100),
});

/** Fields of a newer router are read over, never refused: an update of the control plane comes after theirs. */
export const countsReportSchema = z
  .object({
    router: nameSchema,
    /** Random, made when the router started; the counts are those since then. */
    life: z.string().regex(/^[\w-]{1,64}$/, "must be a short word"),
    /** Rises with every report of one life. */
    number: count,
    /** By the router's clock, milliseconds since 1970. */
    countedAt: count,
    stamps: z.record(nameSchema, stampCountSchema),
    /** Tenants that fail, by their last few dozen requests. */
    failing: z
      .array(
        z.object({
          stamp: nameSchema,
          tenant: tenantKeySchema,
          requests: count,
          errors: count,
          /** How long a third of its requests or more have failed. Milliseconds. */
          forMs: count,
        }),
      )
      .max(50_000),
  })
  .meta({ id: "CountsReport" });

export const countsAnswerSchema = z
  .object({
    /** Stamps that a rollout looks at: every failing tenant of theirs is to be told. */
    watched: z.array(z.string()),
    /** How soon the next report is wanted, milliseconds. */
    everyMs: z.number().int(),
  })
  .meta({ id: "CountsAnswer" });
