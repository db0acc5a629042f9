import { z } from "zod";
import { campaignAskedSchema } from "./campaigns.ts";
import { nameSchema, reasonSchema, timeSchema, unitsSchema } from "./values.ts";

/** What shows that a stamp serves tenants. */
export const verificationSchema = z
  .object({
    at: timeSchema,
    /** `none`: there was no tenant; only health and digest were looked at. */
    through: z.enum(["router", "endpoint", "none"]),
    router: z.string().optional(),
    /** Steps of the template that passed. */
    steps: z.number().int(),
    tookMs: z.number(),
    note: z.string().optional(),
  })
  .meta({ id: "Verification" });

const capabilitySchema = z.enum(["guard", "fence", "drain", "restore"]);

/** What an adopted stamp can do, and what adds the rest. */
export const adoptionSchema = z
  .object({
    healthPath: z.string().optional(),
    /** Whether a database URL is sealed; it is never shown. */
    hasDatabase: z.boolean(),
    capabilities: z.array(capabilitySchema),
    lacking: z.array(z.object({ capability: capabilitySchema, add: z.string() })),
  })
  .meta({ id: "Adoption" });

/** Who wants the goal, why, and until when. */
export const goalDetailSchema = z
  .object({
    reason: z.string().optional(),
    by: z.string().optional(),
    since: timeSchema.optional(),
    deadline: timeSchema.optional(),
    message: z.string().optional(),
    force: z.boolean().optional(),
  })
  .meta({ id: "GoalDetail" });

export const stampReasonSchema = z.strictObject({ reason: reasonSchema.optional() }).meta({ id: "StampReason" });

export const stampDrainSchema = z
  .strictObject({
    reason: reasonSchema.optional(),
    /** When it should have ended; past it, it is said, and nothing else happens. */
    deadline: timeSchema.optional(),
    /** For the people of the tenants that leave. */
    message: reasonSchema.optional(),
    /** How its tenants are moved; of a drain that goes on already it changes that. */
    moves: campaignAskedSchema.optional(),
  })
  .meta({ id: "StampDrain" });

const endpointUrl = z
  .string()
  .max(300)
  .refine((text) => /^http:\/\/(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}\/?$/.test(text) && URL.canParse(text), {
    error: "An address such as http://10.0.0.7:8080, without a path",
  });

/** The value never stands in a message: it holds a password. */
const databaseUrl = z
  .string()
  .max(4_096)
  .refine((text) => URL.canParse(text) && /^postgres(?:ql)?:$/.test(new URL(text).protocol), {
    error: "A postgres:// URL",
  });

export const stampAdoptSchema = z
  .strictObject({
    /** @default the fleet's only pool */
    pool: nameSchema.optional(),
    region: nameSchema,
    endpoints: z.array(endpointUrl).min(1).max(64),
    /** Path to ask for health. @default an open port is enough */
    healthPath: z
      .string()
      .max(512)
      .regex(/^\/[A-Za-z0-9._~/?=&%-]*$/, { error: "A path such as /healthz" })
      .optional(),
    /** @default what a stamp of its pool may hold */
    capacity: unitsSchema.optional(),
    /** Sealed like every secret. Absent in a repeat: it stays. */
    databaseUrl: databaseUrl.optional(),
    /** `kid:secret` that its application verifies route headers with; 32 bytes as base64url. Absent in a repeat: it stays. */
    routeKey: z
      .string()
      .regex(/^[A-Za-z0-9_-]{1,32}:[A-Za-z0-9_-]{43}$/, {
        error: "kid:secret, the secret as 43 characters of base64url",
      })
      .optional(),
    /** A restore of its data was rehearsed. */
    restoreTested: z.boolean().default(false),
    /** Placement may choose it for new tenants; otherwise it is cordoned until somebody uncordons it. */
    open: z.boolean().default(false),
    reason: reasonSchema.optional(),
  })
  .meta({ id: "StampAdopt" });
