import { addUnits, type UnitVector } from "../capacity.ts";
import { highMark, type Pool } from "../fleet.ts";
import { hasRoom, isBuilding } from "../placement/filters.ts";
import type { PoolStamp, WaitingTenant } from "./pool-state.ts";

/** After so many failed attempts in a row a stamp is not expected any more; it is tried on, and still counts to `max`. */
export const stuckAttempts = 5;

export const defaultLow = 0.8;

/** Share of capacity from which on the next stamp is built: the low mark, or sooner for the headroom. */
export function lowOf(pool: Pool): number {
  return Math.min(pool.growth?.low ?? defaultLow, highMark(pool), 1 - (pool.growth?.headroom ?? 0));
}

export function isStuck(stamp: PoolStamp): boolean {
  return stamp.phase === "failed" && (stamp.attempts ?? 0) >= stuckAttempts;
}

/** All but what is on its way out for good. */
export function isPresent(stamp: PoolStamp): boolean {
  return stamp.goal !== "absent" && stamp.phase !== "destroying" && stamp.phase !== "gone";
}

/** Those that count to the pool's `min` and `max`: what was there before us is nothing that we built. */
export function isOurs(stamp: PoolStamp): boolean {
  return isPresent(stamp) && stamp.adopted !== true;
}

/** Takes tenants, or will once it is built. */
export function takesTenants(stamp: PoolStamp): boolean {
  if (stamp.goal !== "present" || isStuck(stamp)) return false;
  return stamp.phase === "active" || isBuilding(stamp.phase);
}

/** A stamp as the plan fills it, one tenant after the other. */
interface Slot {
  readonly region: string;
  readonly limits: UnitVector;
  used: UnitVector;
  readonly reservedFor?: string | undefined;
  quarantined: boolean;
}

/**
 * The room of a pool, in stamps that are there and in those that the plan adds. The only thing here that changes: it
 * lives within one plan.
 */
export interface Room {
  readonly pool: Pool;
  /** Finds a place for the tenant and takes it; false = there is none. */
  take(tenant: WaitingTenant): boolean;
  /** One more empty stamp. */
  add(region: string, reservedFor?: string): void;
  /** Demand that has no stamp of its own in this room, such as tenants of a stamp that is being drained. */
  expect(used: UnitVector): void;
  /** Share 0 where no stamp is: there is nothing to fill up. */
  tightest(regions?: readonly string[]): { readonly unit: string; readonly share: number };
  used(unit: string): number;
  /** Undefined = the unit has no limit. */
  limit(unit: string): number | undefined;
  /** Empty stamps that are kept for nobody. */
  empties(): number;
  /** The region that needs the next stamp most: the fullest, then the one with the fewest stamps, then as listed. */
  neediest(regions: readonly string[]): string;
}

export function roomOf(pool: Pool, stamps: readonly PoolStamp[], newLimits: UnitVector): Room {
  const slots: Slot[] = stamps.map(({ region, limits, used, reservedFor, quarantined }) => {
    return { region, limits, used, reservedFor, quarantined: quarantined === true };
  });
  const high = highMark(pool);
  let elsewhere: UnitVector = {};
  const sum = (regions: readonly string[] | undefined) => {
    const limits: Record<string, number> = {};
    const used: Record<string, number> = {};
    let count = 0;
    if (regions === undefined) addInto(used, elsewhere);
    for (const slot of slots) {
      if (regions !== undefined && !regions.includes(slot.region)) continue;
      addInto(limits, slot.limits);
      addInto(used, slot.used);
      count += 1;
    }
    return { limits, used, count };
  };
  const tightest = (regions?: readonly string[]) => {
    const { limits, used, count } = sum(regions);
    return count === 0 ? { unit: "tenants", share: 0 } : tightestOf(used, limits);
  };
  return {
    pool,
    tightest,
    take(tenant) {
      const slot = slots.find((each) => isFree(each, tenant, pool, high));
      if (slot === undefined) return false;
      slot.used = addUnits(slot.used, { tenants: 1, ...tenant.weight });
      if (tenant.quarantined === true) slot.quarantined = true;
      return true;
    },
    add(region, reservedFor) {
      slots.push({ region, limits: newLimits, used: {}, reservedFor, quarantined: false });
    },
    expect(used) {
      elsewhere = addUnits(elsewhere, used);
    },
    used: (unit) => sum(undefined).used[unit] ?? 0,
    limit: (unit) => sum(undefined).limits[unit],
    empties: () => slots.filter((slot) => slot.reservedFor === undefined && isUnused(slot)).length,
    neediest(regions) {
      const ranked = regions.map((region) => {
        const { count } = sum([region]);
        return { region, share: count === 0 ? 1 : tightest([region]).share, count };
      });
      ranked.sort((a, b) => b.share - a.share || a.count - b.count);
      return ranked[0]?.region ?? "local";
    },
  };
}

function isFree(slot: Slot, tenant: WaitingTenant, pool: Pool, high: number): boolean {
  if (tenant.regions.length > 0 && !tenant.regions.includes(slot.region)) return false;
  if (slot.reservedFor !== undefined && slot.reservedFor !== tenant.key) return false;
  if (pool.tenancy === "dedicated" && !isUnused(slot)) return false;
  if (slot.quarantined !== (tenant.quarantined === true) && !(tenant.quarantined === true && isUnused(slot)))
    return false;
  return hasRoom({ used: slot.used, limits: slot.limits, high }, tenant.weight);
}

/** In place: a pool has thousands of stamps, and each sum would be a copy. */
function addInto(sum: Record<string, number>, units: UnitVector): void {
  for (const unit in units) sum[unit] = (sum[unit] ?? 0) + (units[unit] ?? 0);
}

/** A limit of 0 that nobody uses is not tight: another stamp would have the same. */
export function tightestOf(used: UnitVector, limits: UnitVector): { readonly unit: string; readonly share: number } {
  let tightest = { unit: "tenants", share: 0 };
  for (const unit of Object.keys(limits).sort()) {
    const limit = limits[unit] ?? 0;
    const amount = used[unit] ?? 0;
    const share = limit > 0 ? amount / limit : amount > 0 ? 1 : 0;
    if (share > tightest.share) tightest = { unit, share };
  }
  return tightest;
}

export function isUnused({ used }: { readonly used: UnitVector }): boolean {
  return (used["tenants"] ?? 0) === 0;
}
