/** What the stamp itself knows of a tenant: the row `stampyard.tenant_home`. */
export interface TenantHome {
  readonly state: "importing" | "active" | "suspended" | "fenced" | "moved" | "deleting";
  readonly epoch: number;
}

export interface OwnershipQuestion {
  /** True: the answer must come from a read that began after this call. False: up to a second old is good enough. */
  readonly fresh: boolean;
  /** The epoch in the verified header; only an ownership that has no better source looks at it. */
  readonly claimedEpoch: number;
}

/** Where a guard learns who owns a tenant (decision D6). */
export interface Ownership {
  /** `tenant-home` reads the record that moves decide by; `highest-seen` only notices a router that fell behind. */
  readonly assurance: "tenant-home" | "highest-seen";
  /** The tenant's home, or undefined when this stamp does not know the tenant. Rejects when it cannot be read. */
  home(tenant: string, question: OwnershipQuestion): Promise<TenantHome | undefined>;
  /** Ends its connection and timers, if it has any. */
  close(): Promise<void>;
}

/**
 * For stamps without PostgreSQL: believes the highest epoch that any verified header claimed. Weaker, and says so: it
 * forgets at a restart and beyond `maxTenants`, and it cannot know a tenant that was moved away until a newer header
 * comes.
 */
export function highestSeenOwnership(options: { readonly maxTenants?: number } = {}): Ownership {
  const maxTenants = options.maxTenants ?? 100_000;
  const seen = new Map<string, number>();
  return {
    assurance: "highest-seen",
    async home(tenant, { claimedEpoch }) {
      const epoch = Math.max(seen.get(tenant) ?? 0, claimedEpoch);
      // Deleted and set again, a Map keeps its keys in order of use: the first one is the longest unused.
      seen.delete(tenant);
      seen.set(tenant, epoch);
      if (seen.size > maxTenants) {
        const oldest = seen.keys().next();
        if (oldest.done !== true) seen.delete(oldest.value);
      }
      return { state: "active", epoch };
    },
    async close() {},
  };
}
