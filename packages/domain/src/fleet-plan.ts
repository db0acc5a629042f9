import type { Fleet, Pool } from "./fleet.ts";
import { isSame } from "./canonical.ts";
import type { Digest } from "./ports.ts";
import { publishedRouting, type Routing } from "./routing.ts";
import { routingDifference } from "./routing-words.ts";
import type { Stamp } from "./stamp.ts";

export type FleetChange =
  | { readonly kind: "release-create"; readonly digest: Digest; readonly version: string }
  /** What comes, goes and changes, in words. */
  | { readonly kind: "routing-update"; readonly rules: readonly string[] }
  /** Of the fleet as a whole: tiers, residency rules, prices. */
  | { readonly kind: "policy-update"; readonly fields: readonly string[] }
  | { readonly kind: "pool-create"; readonly pool: string }
  | { readonly kind: "pool-update"; readonly pool: string; readonly fields: readonly string[] }
  | { readonly kind: "stamp-create"; readonly stamp: string; readonly pool: string; readonly region: string }
  | { readonly kind: "stamp-update"; readonly stamp: string; readonly from: Digest; readonly to: Digest };

export interface FleetState {
  readonly fleet: Fleet | undefined;
  readonly release: Digest | undefined;
  readonly stamps: readonly Stamp[];
  /** Names of destroyed stamps that tenants still call home: no new stamp may take them. @default none */
  readonly reservedNames?: readonly string[];
}

export interface FleetGoal {
  readonly fleet: Fleet;
  readonly release: { readonly digest: Digest; readonly version: string };
  /** Digest a stamp would have under the goal. */
  readonly stampDigest: (stamp: { name: string; pool: Pool; region: string }) => Digest;
}

export interface FleetPlan {
  readonly changes: readonly FleetChange[];
  /** What a reader may expect to change and does not, with the reason. */
  readonly notes: readonly string[];
}

/** Difference between files and fleet. Never proposes to remove a stamp that the platform built (decision D1). */
export function planFleet(state: FleetState, goal: FleetGoal): FleetPlan {
  const changes: FleetChange[] = [];
  const notes: string[] = [];
  if (state.release !== goal.release.digest) changes.push({ kind: "release-create", ...goal.release });
  const before = state.fleet === undefined ? noRouting : publishedRouting(state.fleet);
  const after = publishedRouting(goal.fleet);
  if (!isSame(before, after)) changes.push({ kind: "routing-update", rules: routingDifference(before, after) });
  const policies = policyFields.filter((field) => !isSame(state.fleet?.[field], goal.fleet[field]));
  if (policies.length > 0) changes.push({ kind: "policy-update", fields: policies });
  for (const pool of goal.fleet.pools) planPool(pool, state, goal, changes, notes);
  for (const old of state.fleet?.pools ?? []) {
    if (goal.fleet.pools.some((pool) => pool.name === old.name)) continue;
    const stamps = state.stamps.filter((stamp) => stamp.pool === old.name && stamp.state.kind !== "gone");
    notes.push(
      `pool ${old.name} is not in the file any more; it stays with its ${stamps.length} stamps until destroyed`,
    );
  }
  return { changes, notes };
}

const policyFields = ["prices", "residency", "tiers"] as const;

/** Before the first apply: nobody is found by anything. */
const noRouting: Routing = { domains: [], rules: [] };

function planPool(pool: Pool, state: FleetState, goal: FleetGoal, changes: FleetChange[], notes: string[]): void {
  const old = state.fleet?.pools.find((candidate) => candidate.name === pool.name);
  if (old === undefined) changes.push({ kind: "pool-create", pool: pool.name });
  else if (!isSame(old, pool)) changes.push({ kind: "pool-update", pool: pool.name, fields: changedFields(old, pool) });

  // What was adopted comes from no release, and is not of the number that the platform keeps.
  const present = state.stamps.filter(
    (s) => s.pool === pool.name && s.goal !== "absent" && s.state.kind !== "gone" && s.origin === "built",
  );
  for (const stamp of present) {
    const to = goal.stampDigest({ name: stamp.name, pool, region: stamp.region });
    if (to !== stamp.stampDigest)
      changes.push({ kind: "stamp-update", stamp: stamp.name, from: stamp.stampDigest, to });
  }
  const named = state.stamps.filter((stamp) => stamp.state.kind !== "gone").map((stamp) => stamp.name);
  const taken = new Set([...named, ...(state.reservedNames ?? [])]);
  for (const next of nextStamps(pool, present.length, taken, pool.stamps.min - present.length)) {
    changes.push({ kind: "stamp-create", stamp: next.name, pool: pool.name, region: next.region });
  }
  if (present.length > pool.stamps.max) {
    notes.push(`pool ${pool.name} has ${present.length} stamps and a maximum of ${pool.stamps.max}; none is removed`);
  }
  for (const stamp of present.filter((candidate) => !pool.regions.includes(candidate.region))) {
    notes.push(`stamp ${stamp.name} stays in ${stamp.region}, which pool ${pool.name} does not name any more`);
  }
}

/** Names and regions of the next stamps of a pool: `<pool>-1`, `<pool>-2`, …, regions in turn; no taken name again. */
export function nextStamps(
  pool: Pool,
  present: number,
  taken: ReadonlySet<string>,
  count: number,
): readonly { readonly name: string; readonly region: string }[] {
  const out: { name: string; region: string }[] = [];
  for (let n = 1; out.length < count; n++) {
    const name = `${pool.name}-${n}`;
    if (taken.has(name)) continue;
    const region = pool.regions[(present + out.length) % pool.regions.length] ?? "local";
    out.push({ name, region });
  }
  return out;
}

function changedFields(a: Pool, b: Pool): readonly string[] {
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  const of = (pool: Pool, key: string) => (pool as unknown as Record<string, unknown>)[key];
  return [...keys].filter((key) => !isSame(of(a, key), of(b, key))).sort();
}
