import type { DirectoryChange } from "./change.ts";
import type { DirectoryView } from "./directory.ts";

/** What one transaction does to the directory, in numbers. */
export interface ChangeMeasure {
  /** Tenants in the directory before. */
  readonly tenants: number;
  /** Different tenants whose home changes or that go away. New tenants harm nobody and are not counted. */
  readonly touched: number;
  /** Stamps that have tenants before and none after, with how many they lose. */
  readonly emptied: readonly { readonly stamp: string; readonly tenants: number }[];
}

export type ChangeRateVerdict =
  | { readonly kind: "ok" }
  | { readonly kind: "needs-confirmation"; readonly reasons: readonly string[] };

/**
 * The producer's guard against a wrong bulk change (decision D8): more than 5% of the tenants and more than 50, or a
 * stamp that loses all its tenants at once. A stamp that loses its only tenant is no bulk change: whoever deletes or
 * moves that tenant has named it.
 */
export function changeRateGuard(measure: ChangeMeasure): ChangeRateVerdict {
  const reasons: string[] = [];
  if (measure.touched > 50 && measure.touched > measure.tenants / 20) {
    reasons.push(`changes ${measure.touched} of ${measure.tenants} tenants`);
  }
  for (const { stamp, tenants } of measure.emptied) {
    if (tenants > 1) reasons.push(`takes all ${tenants} tenants from stamp ${stamp}`);
  }
  return reasons.length === 0 ? { kind: "ok" } : { kind: "needs-confirmation", reasons };
}

/** Measures the changes of one transaction against the table as it is before them. */
export function measureChanges(table: DirectoryView, changes: readonly DirectoryChange[]): ChangeMeasure {
  const homes = new Map<string, string | undefined>();
  for (const change of changes) {
    if (change.kind === "tenant-put") homes.set(change.tenant, change.stamp);
    if (change.kind === "tenant-remove") homes.set(change.tenant, undefined);
  }
  const differences = new Map<string, number>();
  const add = (stamp: string, difference: number) => differences.set(stamp, (differences.get(stamp) ?? 0) + difference);
  let touched = 0;
  for (const [tenant, home] of homes) {
    const before = table.lookupTenant(tenant)?.stamp;
    if (before === home) continue;
    if (before !== undefined) {
      touched += 1;
      add(before, -1);
    }
    if (home !== undefined) add(home, 1);
  }
  const emptied = [...differences].flatMap(([stamp, difference]) => {
    const tenants = table.tenantCountOf(stamp);
    return tenants > 0 && tenants + difference === 0 ? [{ stamp, tenants }] : [];
  });
  return { tenants: table.counts().tenants, touched, emptied };
}
