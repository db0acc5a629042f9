import { createHash } from "node:crypto";

/** SHA-256 for the pure packages, which name no runtime's crypto. */
export function sha256(bytes: Uint8Array): Uint8Array {
  return createHash("sha256").update(bytes).digest();
}
