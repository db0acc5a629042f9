import type { DirectoryChange } from "@stampyard/directory";

/** What the guard knows of the directory at its head, for the entries that a batch touches. */
export interface DirectoryFacts {
  /** Tenants in the directory. */
  readonly tenants: number;
  /** Present entries of tenants of the batch. */
  readonly homeOf: ReadonlyMap<string, string>;
  /** Tenants per stamp, for stamps that the batch may empty. */
  readonly tenantsOn: ReadonlyMap<string, number>;
  /** Stamps that an operator ordered removed (which took an empty stamp, or an audited force). */
  readonly leaving: ReadonlySet<string>;
}

/** Both must be exceeded: a small fleet changes a large part of itself with every step. */
const largeShare = 0.05;
const largeCount = 50;

/**
 * Why a transaction's changes need a person's word before routers get them, or undefined (decision D8). New tenants
 * are no danger to those that are there, so only changes of present entries count. A transaction about one tenant is
 * somebody's own word already, even if that tenant was the last of its stamp.
 */
export function whyHeld(changes: readonly DirectoryChange[], facts: DirectoryFacts): string | undefined {
  const touched = new Set<string>();
  const left = new Map<string, Set<string>>();
  for (const change of changes) {
    if (change.kind !== "tenant-put" && change.kind !== "tenant-remove") continue;
    const home = facts.homeOf.get(change.tenant);
    if (home === undefined) continue;
    touched.add(change.tenant);
    if (change.kind === "tenant-put" && change.stamp === home) continue;
    const leavers = left.get(home) ?? new Set<string>();
    left.set(home, leavers.add(change.tenant));
  }
  if (touched.size > largeCount && touched.size > facts.tenants * largeShare) {
    return `it changes ${touched.size} of ${facts.tenants} tenants`;
  }
  for (const [stamp, leavers] of left) {
    if (leavers.size > 1 && leavers.size === facts.tenantsOn.get(stamp)) {
      return `it takes all ${leavers.size} tenants from stamp ${stamp}`;
    }
  }
  for (const change of changes) {
    if (change.kind !== "stamp-remove" || facts.leaving.has(change.stamp)) continue;
    const rest = (facts.tenantsOn.get(change.stamp) ?? 0) - (left.get(change.stamp)?.size ?? 0);
    if (rest > 0) return `it withdraws stamp ${change.stamp}, the home of ${rest} tenants`;
  }
  return undefined;
}
