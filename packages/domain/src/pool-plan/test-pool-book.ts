import { addUnits, type UnitVector } from "../capacity.ts";
import { highMark, type Pool } from "../fleet.ts";
import { placementSettings, roomToGrow } from "../placement/candidate.ts";
import { choosePlacement } from "../placement/choose.ts";
import type { StampGoal, StampPhase } from "../stamp.ts";
import type { PoolStamp } from "./pool-state.ts";
import { isPresent } from "./room.ts";

/** Stamps and tenants of a simulated pool, with what is where. */

export interface WorldStamp {
  readonly name: string;
  readonly region: string;
  phase: StampPhase;
  goal: StampGoal;
  scalingDown: boolean;
  attempts: number;
  /** Turns until the running build or removal ends. */
  left: number;
  readonly reservedFor: string | undefined;
}

export interface WorldTenant {
  readonly key: string;
  readonly regions: readonly string[];
  readonly weight: UnitVector;
  stamp: string | undefined;
}

export function createPoolBook(pool: Pool, limits: UnitVector) {
  const stamps: WorldStamp[] = [];
  const tenants = new Map<string, WorldTenant>();
  const used = new Map<string, UnitVector>();
  const usedOf = (stamp: string) => used.get(stamp) ?? {};

  const poolStamps = (): readonly PoolStamp[] =>
    stamps.map(({ reservedFor, left: _, ...stamp }) => ({
      ...stamp,
      limits,
      used: usedOf(stamp.name),
      ...(reservedFor === undefined ? {} : { reservedFor }),
    }));

  function settle(tenant: WorldTenant, stamp: string | undefined): void {
    const taken = { tenants: 1, ...tenant.weight };
    const less = Object.fromEntries(Object.entries(taken).map(([unit, n]) => [unit, -n]));
    if (tenant.stamp !== undefined) used.set(tenant.stamp, addUnits(usedOf(tenant.stamp), less));
    if (stamp !== undefined) used.set(stamp, addUnits(usedOf(stamp), taken));
    tenant.stamp = stamp;
  }

  return {
    stamps,
    tenants,
    poolStamps,
    used: usedOf,
    settle,
    on: (stamp: string) => [...tenants.values()].filter((tenant) => tenant.stamp === stamp),
    waiting: () => [...tenants.values()].filter((tenant) => tenant.stamp === undefined),
    /** As the control plane would, with the real planner. */
    place(tenant: WorldTenant): "placed" | "waits" | "refused" {
      const { tenancy, name } = pool;
      const seen = poolStamps();
      const candidates = seen
        .filter((stamp) => stamp.goal !== "absent")
        .map((stamp) => ({
          ...stamp,
          pool: name,
          tenancy,
          usedBasis: "reserved" as const,
          high: highMark(pool),
        }));
      const { key, regions: residency, weight } = tenant;
      const canGrow = roomToGrow(pool, seen.filter(isPresent).length, limits);
      const request = { key, pool: name, tenancy, tier: "standard", residency, weight };
      const placement = choosePlacement(request, candidates, placementSettings(pool, canGrow));
      if (placement.kind === "place") settle(tenant, placement.stamp);
      return placement.kind === "place" ? "placed" : placement.kind === "wait" ? "waits" : "refused";
    },
  };
}

export type PoolBook = ReturnType<typeof createPoolBook>;
