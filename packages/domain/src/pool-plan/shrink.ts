import { highMark } from "../fleet.ts";
import { addUnits, type UnitVector } from "../capacity.ts";
import { amount, isBuilding, percent } from "../placement/filters.ts";
import { dayMs, forecastOf, type Growth } from "./growth.ts";
import { buildTimeOf } from "./grow.ts";
import type { PoolRebalance, PoolState, PoolStamp, ScaleStep } from "./pool-state.ts";
import { isOurs, isPresent, isUnused, lowOf, roomOf, takesTenants, tightestOf } from "./room.ts";

/** The pool stays this much below the low mark after a removal, so that it does not build again at once. */
const margin = 0.8;
/** A fuller stamp is not worth the moves. */
const underused = 0.5;
/** Stamps this far apart, in shares of their tightest unit, are proposed to be evened out. */
const uneven = 0.4;
const triedStamps = 8;
/** Growth of so many days must fit into what is left. */
const keepDays = 7;

/** A stamp that the pool needs no more, one at a time, or undefined. Nobody may be waiting, and nothing be under way. */
export function spareStamp(state: PoolState, growth: Growth): Omit<ScaleStep, "kind"> | undefined {
  const { pool, stamps, waiting } = state;
  const present = stamps.filter(isPresent);
  if (waiting.length > 0 || stamps.filter(isOurs).length <= pool.stamps.min) return undefined;
  if (present.some((stamp) => isBuilding(stamp.phase) || stamp.phase === "draining" || stamp.goal === "drained")) {
    return undefined;
  }
  const candidates = byUse(present.filter((stamp) => takesTenants(stamp) && stamp.adopted !== true));
  // Where none of the emptiest can go, a fuller one cannot either, and each is compared with all others.
  for (const stamp of candidates.slice(0, triedStamps)) {
    const why = whySpare(
      state,
      stamp,
      present.filter((other) => other !== stamp && takesTenants(other)),
      growth,
    );
    if (why !== undefined) return { stamp: stamp.name, why };
  }
  return undefined;
}

function whySpare(
  state: PoolState,
  stamp: PoolStamp,
  others: readonly PoolStamp[],
  growth: Growth,
): string | undefined {
  const { pool } = state;
  const spare = pool.stamps.spare ?? 0;
  if (pool.tenancy === "dedicated") {
    if (!isUnused(stamp)) return undefined;
    if (stamp.reservedFor !== undefined) return `it was built for tenant ${stamp.reservedFor}, which does not need it`;
    const empties = others.filter((other) => other.reservedFor === undefined && isUnused(other)).length;
    return empties >= spare ? `it is empty, and the pool keeps ${spare} empty stamps` : undefined;
  }
  const { unit, share } = tightestOf(stamp.used, stamp.limits);
  if (!isUnused(stamp) && share > underused) return undefined;
  if (others.filter(isUnused).length < spare) return undefined;
  const room = roomOf(pool, others, {});
  room.expect(stamp.used);
  const after = room.tightest().share;
  const mark = lowOf(pool) * margin;
  if (after > mark || (!isUnused(stamp) && !fitsInRegion(stamp, others, mark, spare))) return undefined;
  const horizon = Math.max(keepDays * dayMs, 3 * (buildTimeOf(state) ?? 0));
  const { orderInMs } = forecastOf(room, growth, buildTimeOf(state));
  if (orderInMs !== undefined && orderInMs < horizon) return undefined;
  const without = `without it the pool is at ${percent(after)}`;
  return isUnused(stamp) ? `it is empty, and ${without}` : `it is at ${percent(share)} of its ${unit}, and ${without}`;
}

/**
 * The tenants of a region may have to stay in it. One stamp there must have room for them all, because sums over several
 * hide gaps that are too small; and not a spare, which would only change places with the one that goes.
 */
function fitsInRegion(stamp: PoolStamp, others: readonly PoolStamp[], mark: number, spare: number): boolean {
  const near = others.filter((other) => other.region === stamp.region && (spare === 0 || !isUnused(other)));
  return near.some(({ used, limits }) => tightestOf(addUnits(used, stamp.used), limits).share <= mark);
}

/** Steps of what is being scaled down already: on to the end, or back when the pool needs the stamp again. */
export function ongoing(state: PoolState, isNeeded: boolean): readonly ScaleStep[] {
  const leaving = state.stamps.filter((stamp) => stamp.scalingDown === true && isPresent(stamp));
  if (isNeeded || state.waiting.length > 0) {
    const why = "the pool needs it again";
    return leaving.map(({ name }) => ({ kind: "recall", stamp: name, why }));
  }
  const canMove = state.canMove === true && state.pool.tenancy === "shared";
  const homes = state.stamps.filter((stamp) => isPresent(stamp) && takesTenants(stamp));
  return leaving.flatMap((stamp): ScaleStep[] => {
    const { name: of } = stamp;
    // Somebody came between the plan and the cordon.
    const there = { ...stamp, used: stamp.residents ?? stamp.used };
    const isBlocked = !isUnused(there) && !(canMove && fitsInRegion(there, homes, highMark(state.pool), 0));
    if (isBlocked) return [{ kind: "recall", stamp: of, why: "its tenants have nowhere else to go" }];
    if (stamp.phase !== "empty" || !isUnused(stamp)) return [];
    return [{ kind: "destroy", stamp: of, why: "it is drained, and the pool needs it no more" }];
  });
}

/** From the fullest to the emptiest stamp of a region: above the high mark, or very uneven where the pool spreads. */
export function rebalance({ pool, stamps }: PoolState): PoolRebalance | undefined {
  if (pool.tenancy === "dedicated") return undefined;
  const active = stamps.filter((stamp) => isPresent(stamp) && stamp.phase === "active" && stamp.quarantined !== true);
  const sorted = byUse(active);
  const from = sorted.at(-1);
  if (from === undefined) return undefined;
  const to = sorted.find(({ name, region }) => name !== from.name && region === from.region);
  if (to === undefined) return undefined;
  const { unit, share } = tightestOf(from.used, from.limits);
  const other = shareOf(to, unit);
  const isOver = share > highMark(pool) + 1e-9;
  const isUneven = pool.placement?.strategy !== "pack" && share - other >= uneven && share >= lowOf(pool);
  if ((!isOver && !isUneven) || shareOf(to) >= lowOf(pool)) return undefined;
  const take = Math.min(
    ((share - other) / 2) * (from.limits[unit] ?? 0),
    freeOf(to.used, to.limits, unit, highMark(pool)),
  );
  if (take < 1e-9) return undefined;
  const why = `stamp ${from.name} is at ${percent(share)} of its ${unit}, and stamp ${to.name} at ${percent(other)}`;
  const rounded = unit === "tenants" ? Math.floor(take) : take;
  if (rounded === 0) return undefined;
  const id = `rebalance-${from.name}-${to.name}`;
  return { id, kind: "rebalance", from: from.name, to: to.name, unit, amount: Number(amount(rounded)), why };
}

function freeOf(used: UnitVector, limits: UnitVector, unit: string, high: number): number {
  return Math.max(0, (limits[unit] ?? 0) * high - (used[unit] ?? 0));
}

function shareOf(stamp: PoolStamp, unit?: string): number {
  if (unit === undefined) return tightestOf(stamp.used, stamp.limits).share;
  const limit = stamp.limits[unit] ?? 0;
  return limit > 0 ? (stamp.used[unit] ?? 0) / limit : 1;
}

/** Emptiest first; among equals the last name, which is the youngest. */
function byUse(stamps: readonly PoolStamp[]): readonly PoolStamp[] {
  const shares = new Map(stamps.map((stamp) => [stamp, shareOf(stamp)]));
  const share = (stamp: PoolStamp) => shares.get(stamp) ?? 0;
  return [...stamps].sort((a, b) => share(a) - share(b) || (a.name < b.name ? 1 : -1));
}
