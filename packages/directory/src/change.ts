import { canonicalJson, type Endpoint, type Json, type Routing, type Sha256, toHex, utf8 } from "@stampyard/domain";

/**
 * One numbered step of the directory. Puts carry the whole new value, so applying one twice changes nothing.
 * Route keys are never in here: changes are kept and hashed for ever, secrets are not (decisions D7, I33).
 */
export type DirectoryChange =
  | {
      readonly kind: "stamp-put";
      readonly stamp: string;
      readonly pool: string;
      readonly region: string;
      readonly endpoints: readonly Endpoint[];
      readonly endpointRevision: number;
    }
  | { readonly kind: "stamp-remove"; readonly stamp: string }
  | {
      readonly kind: "tenant-put";
      readonly tenant: string;
      readonly stamp: string;
      readonly epoch: number;
      /** Custom hostnames. */
      readonly hostnames: readonly string[];
      /** Other keys that lead to the tenant, e.g. `account:4711`; unique over all tenants. Absent when there are none. */
      readonly aliases?: readonly string[];
      /** Absent for `standardTier`. Limits go by it (FEED.md); a router that does not know it applies those of the pool. */
      readonly tier?: string;
      /**
       * Where a suspended tenant really lives; `stamp` is then `suspendedHome`, which no stamp is called, so that a
       * router that knows nothing of suspension refuses the tenant too (FEED.md). For people only: nothing routes by it.
       */
      readonly home?: string;
    }
  | { readonly kind: "tenant-remove"; readonly tenant: string }
  | { readonly kind: "routing-put"; readonly routing: Routing };

/** A change with its place in the chain: `chain = sha256(previous chain || canonical change)`, hex (decision D9). */
export interface DirectoryVersion {
  readonly incarnation: number;
  /** Gapless from 1 within the life of a store; never reused under the same incarnation. */
  readonly version: number;
  readonly chain: string;
  readonly change: DirectoryChange;
}

/** Chain value before version 1. */
export const chainStart = "0".repeat(64);

export function nextChain(previous: string, change: DirectoryChange, sha256: Sha256): string {
  return toHex(sha256(utf8(`${previous}\n${canonicalJson(change as unknown as Json)}`)));
}
