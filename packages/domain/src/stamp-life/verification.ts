import { reservedKeyPrefix } from "../names.ts";
import type { Digest, Instant } from "../ports.ts";

/** What showed that a stamp serves tenants. */
export interface Verification {
  readonly at: Instant;
  /** Of the rendering that was shown to work. */
  readonly stampDigest: Digest;
  /**
   * How its tenant of ours came in: through a live router, or straight to the stamp's endpoint with a signed route header
   * because no router could be asked; `none` = there was no tenant: only health and digest were looked at.
   */
  readonly through: "router" | "endpoint" | "none";
  readonly router?: string;
  /** Steps of the template that passed. */
  readonly steps: number;
  readonly tookMs: number;
  /** What a reader must not overlook, e.g. `no verify steps declared`. */
  readonly note?: string;
}

const prefix = `${reservedKeyPrefix}verify-`;

/**
 * Key of the tenant that shows that a stamp works. Nobody can create a tenant with such a key, none is in the store, so
 * it takes no place and stands in no list. It is a DNS label like every key; stamp names are shorter than what is left.
 */
export function verifyTenantKey(stamp: string): string {
  return `${prefix}${stamp}`;
}
