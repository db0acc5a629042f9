import type { Instant } from "./ports.ts";
import type { Capacity } from "./template.ts";

/** Amounts by unit: `tenants` and any named unit such as `rps` or `gib`. A unit that is not there is 0, or unlimited. */
export type UnitVector = Readonly<Record<string, number>>;

/** What weighs on one stamp, by source (decision D19). */
export interface StampLoad {
  /** Weights of the tenants that have their place here. */
  readonly reserved: UnitVector;
  /** What was measured; `tenants` is never measured. */
  readonly observed?: ObservedLoad;
  /** Weights of tenants that are on their way in by a move. */
  readonly incoming: UnitVector;
  /** Places kept for tenants that may come back. */
  readonly waysBack: UnitVector;
}

export interface ObservedLoad {
  /** 95th percentile of each unit over the window. */
  readonly p95: UnitVector;
  readonly windowStart: Instant;
  readonly at: Instant;
  /** Weights placed since the window began: they are not in the figures yet. */
  readonly placedSince: UnitVector;
}

export interface UsedCapacity {
  readonly used: UnitVector;
  /** `reserved` when nothing was measured, or not within the last ten minutes. */
  readonly basis: "observed" | "reserved";
}

/** Older observations do not count, and the answer says so. */
export const observationMaxAgeMs = 10 * 60_000;

/** used(u) = max(reserved, observed p95 + placed since + incoming) + ways back (decision D19). */
export function usedCapacity(load: StampLoad, now: Instant): UsedCapacity {
  const { observed, reserved, incoming, waysBack } = load;
  const isFresh = observed !== undefined && now - observed.at <= observationMaxAgeMs;
  const booked = addUnits(reserved, incoming);
  const measured = isFresh ? addUnits(addUnits(observed.p95, observed.placedSince), incoming) : {};
  return { used: addUnits(maxUnits(booked, measured), waysBack), basis: isFresh ? "observed" : "reserved" };
}

/** A capacity as one vector. */
export function unitsOf(capacity: Capacity): UnitVector {
  return { ...capacity.units, tenants: capacity.tenants };
}

export function addUnits(a: UnitVector, b: UnitVector): UnitVector {
  return merge(a, b, (x, y) => x + y);
}

export function maxUnits(a: UnitVector, b: UnitVector): UnitVector {
  return merge(a, b, Math.max);
}

/** The unit that is closest to its limit, with its share of it; a limit of 0 is full. Ties go to the first name. */
export function tightestUnit(used: UnitVector, limits: UnitVector): { readonly unit: string; readonly share: number } {
  let tightest = { unit: "tenants", share: 0 };
  for (const unit of Object.keys(limits).sort()) {
    const limit = limits[unit] ?? 0;
    const share = limit > 0 ? (used[unit] ?? 0) / limit : 1;
    if (share > tightest.share) tightest = { unit, share };
  }
  return tightest;
}

/** The first unit that has no room for the weight below `high` of its limit, or undefined when all have. */
export function unitWithoutRoom(
  used: UnitVector,
  weight: UnitVector,
  limits: UnitVector,
  high: number,
): string | undefined {
  for (const unit of Object.keys(limits).sort()) {
    const limit = (limits[unit] ?? 0) * high;
    // Weights may be fractions: their sums must not refuse the last place.
    if ((used[unit] ?? 0) + (weight[unit] ?? (unit === "tenants" ? 1 : 0)) > limit + 1e-9) return unit;
  }
  return undefined;
}

function merge(a: UnitVector, b: UnitVector, of: (x: number, y: number) => number): UnitVector {
  const out: Record<string, number> = { ...a };
  for (const [unit, amount] of Object.entries(b)) out[unit] = of(out[unit] ?? 0, amount);
  return out;
}
