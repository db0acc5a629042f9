import type { PlanView } from "@stampyard/api";
import type { FleetChange, Stamp } from "@stampyard/domain";
import type { TenantCount } from "../store/port.ts";

type ChangeView = PlanView["changes"][number];

/**
 * How many tenants each change reaches. A change of the routing reaches everybody, one of a pool those who live in it, one
 * of a stamp those on it: its services are replaced, and what it runs is another release.
 */
export function affectedBy(
  changes: readonly FleetChange[],
  stamps: readonly Pick<Stamp, "name" | "pool">[],
  counts: readonly TenantCount[],
): Required<Pick<PlanView, "changes" | "affected">> {
  const total = sum(counts);
  const poolOf = new Map(stamps.map(({ name, pool }) => [name, pool]));
  const reached = new Set<TenantCount>();
  const views = changes.map((change): ChangeView => {
    const mine = reachedBy(change, counts);
    for (const count of mine) reached.add(count);
    return viewOf(change, mine.length === 0 ? {} : { tenants: sum(mine) });
  });
  const byStamp = new Map<string, number>();
  for (const { stamp, tenants } of reached) {
    if (stamp !== undefined) byStamp.set(stamp, (byStamp.get(stamp) ?? 0) + tenants);
  }
  const rows = [...byStamp].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    changes: views,
    affected: {
      tenants: sum([...reached]),
      total,
      stamps: rows.map(([stamp, tenants]) => ({ stamp, pool: poolOf.get(stamp) ?? "", tenants })),
    },
  };
}

function viewOf(change: FleetChange, reached: { readonly tenants?: number }): ChangeView {
  switch (change.kind) {
    case "policy-update":
    case "pool-update":
      return { ...change, fields: [...change.fields], ...reached };
    case "routing-update":
      return { ...change, rules: [...change.rules], ...reached };
    case "stamp-update":
      return { ...change, ...reached };
    default:
      return { ...change };
  }
}

function reachedBy(change: FleetChange, counts: readonly TenantCount[]): readonly TenantCount[] {
  switch (change.kind) {
    case "routing-update":
      return counts;
    case "policy-update":
      return change.fields.some((field) => field !== "prices") ? counts : [];
    case "pool-update":
      return counts.filter((count) => count.pool === change.pool);
    case "stamp-update":
      return counts.filter((count) => count.stamp === change.stamp);
    default:
      return [];
  }
}

function sum(counts: readonly TenantCount[]): number {
  return counts.reduce((all, { tenants }) => all + tenants, 0);
}
