import { createHmac } from "node:crypto";
import { StampyardError } from "@stampyard/domain";

const prefix = "whsec_";

/**
 * Headers of a message by version 1 of the Standard Webhooks specification: what is signed is id, time and body, so that
 * none of them can be replayed with another.
 * @param secret `whsec_` and base64
 * @param atMs Instant of this attempt; the header has whole seconds
 * @throws StampyardError INTERNAL; the message never holds the secret
 */
export function signedHeaders(
  message: { readonly id: string; readonly body: string },
  secret: string,
  atMs: number,
): Readonly<Record<"webhook-id" | "webhook-timestamp" | "webhook-signature", string>> {
  const timestamp = String(Math.floor(atMs / 1_000));
  const hmac = createHmac("sha256", keyOf(secret)).update(`${message.id}.${timestamp}.${message.body}`, "utf8");
  return {
    "webhook-id": message.id,
    "webhook-timestamp": timestamp,
    "webhook-signature": `v1,${hmac.digest("base64")}`,
  };
}

function keyOf(secret: string): Buffer {
  const key = secret.startsWith(prefix) ? Buffer.from(secret.slice(prefix.length), "base64") : Buffer.alloc(0);
  if (key.length >= 24 && key.length <= 64) return key;
  throw new StampyardError("INTERNAL", "The secret of a webhook is not one of ours");
}
