import { z } from "zod";
import { timeSchema } from "./values.ts";

export const webhookIdSchema = z
  .string()
  .regex(/^wh-[a-z0-9]{1,40}$/, { error: "A webhook's id such as wh-0a1b2c3d4e" });
export const webhookParams = z.strictObject({ id: webhookIdSchema });

/** `rollout.paused`, `rollout.*` or `*`. */
const eventPatternSchema = z
  .string()
  .regex(/^(?:\*|[a-z]{1,30}\.(?:\*|[a-z-]{1,30}))$/, { error: "An event such as rollout.paused, or rollout.*" });

export const webhookSchema = z
  .object({
    id: z.string(),
    /** Without what follows a question mark: that may be a secret. */
    url: z.string(),
    events: z.array(z.string()),
    /** Given up: it failed for too long. */
    disabled: z.boolean(),
    createdAt: timeSchema,
  })
  .meta({ id: "Webhook" });
export type WebhookView = z.output<typeof webhookSchema>;

export const webhookListSchema = z.object({ items: z.array(webhookSchema) });

export const webhookAddSchema = z
  .strictObject({
    url: z
      .string()
      .max(2_000)
      .refine(isWebhookUrl, { error: "Must be an http or https address without a user or password" }),
    events: z.array(eventPatternSchema).min(1).max(50).default(["rollout.*"]),
  })
  .meta({ id: "WebhookAdd" });

function isWebhookUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password } = new URL(text);
  return (protocol === "https:" || protocol === "http:") && username === "" && password === "";
}

export const webhookAddedSchema = z
  .object({
    ...webhookSchema.shape,
    /** Shown once, here: what messages are signed with, by the Standard Webhooks specification. */
    secret: z.string(),
  })
  .meta({ id: "WebhookAdded" });
export type WebhookAddedView = z.output<typeof webhookAddedSchema>;

export const webhookMessageSchema = z
  .object({
    /** The same at every attempt: `webhook-id`. */
    id: z.string(),
    event: z.string(),
    at: timeSchema,
    state: z.enum(["waiting", "delivered", "given-up"]),
    attempt: z.number().int(),
    retryAt: timeSchema.optional(),
    /** Of the last attempt. */
    outcome: z.string().optional(),
    body: z.string(),
  })
  .meta({ id: "WebhookMessage" });
export type WebhookMessageView = z.output<typeof webhookMessageSchema>;

export const webhookMessagesSchema = z.object({ items: z.array(webhookMessageSchema) });
export const webhookTestedSchema = z.object({
  /** `webhook-id` of the message that was written down for delivery. */
  message: z.string(),
});
