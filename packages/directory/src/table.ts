import type { Endpoint, Routing } from "@stampyard/domain";
import type { DirectoryChange } from "./change.ts";

export interface TenantEntry {
  readonly tenant: string;
  readonly stamp: string;
  readonly epoch: number;
  readonly hostnames: readonly string[];
}

export interface StampEntry {
  readonly stamp: string;
  readonly pool: string;
  readonly region: string;
  readonly endpoints: readonly Endpoint[];
  readonly endpointRevision: number;
}

/** Why a change may not be applied. */
export type ChangeRefusal =
  /** A route epoch never falls (I2). */
  | "epoch-decreases"
  /** Another tenant has one of these hostnames (I1, I5). */
  | "hostname-taken";

export interface DirectoryCounts {
  readonly tenants: number;
  readonly stamps: number;
  readonly hostnames: number;
}

/** What is read from the table; all that a decision needs. */
export interface DirectoryView {
  lookupTenant(key: string): TenantEntry | undefined;
  /** Custom hostnames only; subdomains are a matter of routing. */
  lookupHostname(host: string): TenantEntry | undefined;
  lookupStamp(name: string): StampEntry | undefined;
  routing(): Routing;
  counts(): DirectoryCounts;
  /** Number of puts a snapshot of it holds. */
  entryCount(): number;
  tenantCountOf(stamp: string): number;
  stamps(): Iterable<StampEntry>;
  tenants(): Iterable<TenantEntry>;
  /** Everything as puts: routing and stamps before tenants. */
  puts(): Iterable<DirectoryChange>;
  /** Why `apply` would refuse this change, or undefined. */
  check(change: DirectoryChange): ChangeRefusal | undefined;
}

export interface Directory extends DirectoryView {
  /** Applies one valid change. A refused change changes nothing. Applying one twice is the same as once. */
  apply(change: DirectoryChange): ChangeRefusal | undefined;
}

const noRouting: Routing = { domains: [] };

/** An empty table on plain Maps. */
export function createDirectory(): Directory {
  const tenants = new Map<string, TenantEntry>();
  const hostnames = new Map<string, TenantEntry>();
  const stamps = new Map<string, StampEntry>();
  const tenantCounts = new Map<string, number>();
  let routing: Routing | undefined;

  function addToCount(stamp: string, difference: 1 | -1): void {
    const count = (tenantCounts.get(stamp) ?? 0) + difference;
    if (count === 0) tenantCounts.delete(stamp);
    else tenantCounts.set(stamp, count);
  }

  function removeTenant(key: string): void {
    const old = tenants.get(key);
    if (old === undefined) return;
    tenants.delete(key);
    addToCount(old.stamp, -1);
    for (const hostname of old.hostnames) hostnames.delete(hostname);
  }

  function check(change: DirectoryChange): ChangeRefusal | undefined {
    if (change.kind !== "tenant-put") return undefined;
    const old = tenants.get(change.tenant);
    if (old !== undefined && change.epoch < old.epoch) return "epoch-decreases";
    const taken = change.hostnames.some((hostname) => {
      const owner = hostnames.get(hostname);
      return owner !== undefined && owner.tenant !== change.tenant;
    });
    return taken ? "hostname-taken" : undefined;
  }

  function* puts(): Iterable<DirectoryChange> {
    if (routing !== undefined) yield { kind: "routing-put", routing };
    for (const stamp of stamps.values()) yield { kind: "stamp-put", ...stamp };
    for (const tenant of tenants.values()) yield { kind: "tenant-put", ...tenant };
  }

  return {
    lookupTenant: (key) => tenants.get(key),
    lookupHostname: (host) => hostnames.get(host),
    lookupStamp: (name) => stamps.get(name),
    routing: () => routing ?? noRouting,
    counts: () => ({ tenants: tenants.size, stamps: stamps.size, hostnames: hostnames.size }),
    entryCount: () => tenants.size + stamps.size + (routing === undefined ? 0 : 1),
    tenantCountOf: (stamp) => tenantCounts.get(stamp) ?? 0,
    stamps: () => stamps.values(),
    tenants: () => tenants.values(),
    puts,
    check,
    apply(change) {
      const refusal = check(change);
      if (refusal !== undefined) return refusal;
      switch (change.kind) {
        case "stamp-put": {
          const { kind: _, ...entry } = change;
          stamps.set(entry.stamp, entry);
          return undefined;
        }
        case "stamp-remove":
          stamps.delete(change.stamp);
          return undefined;
        case "tenant-put": {
          const { kind: _, ...entry } = change;
          removeTenant(entry.tenant);
          tenants.set(entry.tenant, entry);
          addToCount(entry.stamp, 1);
          for (const hostname of entry.hostnames) hostnames.set(hostname, entry);
          return undefined;
        }
        case "tenant-remove":
          removeTenant(change.tenant);
          return undefined;
        case "routing-put":
          routing = change.routing;
          return undefined;
      }
    },
  };
}
