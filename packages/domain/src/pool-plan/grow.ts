import { highMark } from "../fleet.ts";
import { hasRoom, isBuilding, percent } from "../placement/filters.ts";
import { forecastOf, type Growth } from "./growth.ts";
import type { NextStamp, PoolAlert, PoolState, WaitingTenant } from "./pool-state.ts";
import { isOurs, isPresent, isStuck, lowOf, type Room, tightestOf } from "./room.ts";

/** So many are built at a time, whatever is missing: the next turn sees what these came to. */
const buildsAtOnce = 4;
/** With so many that cannot be built, one more would not either. */
const tooManyStuck = 2;

export interface Wanted {
  readonly create: readonly NextStamp[];
  readonly alerts: readonly PoolAlert[];
  readonly waitingOn?: string;
}

/** Stamps that the pool needs beyond those it has, most urgent first; `room` holds them afterwards. */
export function planGrowth(state: PoolState, room: Room, growth: Growth): Wanted {
  const alerts: PoolAlert[] = [];
  const unmet = [...state.waiting, ...(state.leaving ?? [])].filter(
    (tenant) => tenant.conflict !== undefined || !room.take(tenant),
  );
  const present = state.stamps.filter(isOurs);
  const left = Math.max(0, state.pool.stamps.max - present.length);
  const building = present.filter((stamp) => isBuilding(stamp.phase) && !isStuck(stamp)).length;
  const wanted: NextStamp[] = [];
  // One more than may be built, to tell whether the maximum is in the way.
  const enough = Math.min(left, Math.max(0, buildsAtOnce - building)) + 1;
  const want = (next: NextStamp) => {
    wanted.push(next);
    room.add(next.region, next.reservedFor);
  };
  wantForWaiting(state, room, unmet, alerts, enough, wanted, want);
  const needsMore = () =>
    wanted.length < enough ? whyMore(state, room, growth, present.length, wanted.length, building) : undefined;
  for (let next = needsMore(); next !== undefined; next = needsMore()) want(next);

  if (wanted.length > left) alerts.push(atMax(state, unmet.length, wanted[left]));
  return limited(state, wanted, Math.min(left, enough - 1), alerts);
}

function wantForWaiting(
  { pool, newLimits }: PoolState,
  room: Room,
  unmet: readonly WaitingTenant[],
  alerts: PoolAlert[],
  enough: number,
  wanted: readonly NextStamp[],
  want: (next: NextStamp) => void,
): void {
  for (const tenant of unmet) {
    const regions = pool.regions.filter((region) => tenant.regions.length === 0 || tenant.regions.includes(region));
    if (tenant.conflict !== undefined) {
      alerts.push({ kind: "no-region", text: `tenant ${tenant.key} can live nowhere: ${tenant.conflict}` });
    } else if (regions.length === 0) {
      const text = `tenant ${tenant.key} may live in ${tenant.regions.join(", ")} only, where pool ${pool.name} has no region`;
      alerts.push({ kind: "no-region", text });
    } else if (!hasRoom({ used: {}, limits: newLimits, high: highMark(pool) }, tenant.weight)) {
      alerts.push({
        kind: "too-big",
        text: `tenant ${tenant.key} is more than a whole stamp of pool ${pool.name} may hold`,
      });
    } else if (wanted.length < enough && !room.take(tenant)) {
      const kept = pool.tenancy === "dedicated" ? { reservedFor: tenant.key } : {};
      want({ region: room.neediest(regions), ...kept, why: `tenant ${tenant.key} waits for a place` });
      room.take(tenant);
    }
  }
}

/** The first reason for one more stamp that nobody waits for yet. */
function whyMore(
  state: PoolState,
  room: Room,
  growth: Growth,
  present: number,
  added: number,
  building: number,
): NextStamp | undefined {
  const { pool } = state;
  const { min, spare = 0 } = pool.stamps;
  const anywhere = (why: string) => ({ region: room.neediest(pool.regions), why });
  if (present + added < min)
    return anywhere(`pool ${pool.name} has ${present + added} stamps, and a minimum of ${min}`);
  if (room.empties() < spare)
    return anywhere(`pool ${pool.name} has ${room.empties()} empty stamps, and keeps ${spare}`);
  // One tenant for each stamp: there is nothing to fill up.
  if (pool.tenancy === "dedicated" || present + added === 0) return undefined;
  const low = lowOf(pool);
  for (const regions of groupsOf(state)) {
    const { unit, share } = room.tightest(regions);
    if (share < low) continue;
    const where = regions === undefined ? "" : ` in ${regions.join(", ")}`;
    const why = `pool ${pool.name} is at ${percent(share)} of its ${unit}${where}, and builds from ${percent(low)}`;
    return { region: room.neediest(regions ?? pool.regions), why };
  }
  // A forecast is a guess: it orders one stamp, and the next one when that is there.
  if (building + added > 0) return undefined;
  const { orderInMs, fullInMs } = forecastOf(room, growth, buildTimeOf(state));
  if (orderInMs !== 0 || fullInMs === undefined) return undefined;
  return anywhere(`pool ${pool.name} will be full in ${duration(fullInMs)}, sooner than a stamp is surely built`);
}

/** The pool as a whole, and every part of it that a residency rule keeps some of its tenants in. */
function groupsOf({ pool, residency = [] }: PoolState): readonly (readonly string[] | undefined)[] {
  const bound = residency
    .filter(
      ({ tiers }) =>
        tiers === undefined || pool.tiers === undefined || tiers.some((tier) => pool.tiers?.includes(tier)),
    )
    .map(({ regions }) => pool.regions.filter((region) => regions.includes(region)))
    .filter((regions) => regions.length > 0 && regions.length < pool.regions.length);
  return [undefined, ...bound];
}

function limited(state: PoolState, wanted: readonly NextStamp[], may: number, alerts: readonly PoolAlert[]): Wanted {
  const { pool, frozen } = state;
  const stuck = state.stamps.filter((stamp) => isPresent(stamp) && isStuck(stamp)).map(({ name }) => name);
  const all = [...alerts];
  if (stuck.length > 0) {
    const plural = stuck.length === 1 ? "Stamp" : "Stamps";
    all.push({ kind: "stuck", text: `${plural} ${stuck.join(", ")} of pool ${pool.name} cannot be built` });
  }
  const first = wanted[0];
  if (first === undefined) return { create: [], alerts: all };
  if (frozen !== undefined)
    return { create: [], alerts: all, waitingOn: `the end of a freeze (${frozen}): ${first.why}` };
  if (stuck.length >= tooManyStuck) {
    return { create: [], alerts: all, waitingOn: `one of ${stuck.join(", ")} to be built or destroyed: ${first.why}` };
  }
  const create = wanted.slice(0, may);
  if (create.length > 0) return { create, alerts: all };
  const atMaximum = all.some(({ kind }) => kind === "at-max");
  const waitingOn = atMaximum ? `a higher maximum of stamps: ${first.why}` : `the stamps being built: ${first.why}`;
  return { create, alerts: all, waitingOn };
}

function atMax({ pool }: PoolState, unmet: number, next: NextStamp | undefined): PoolAlert {
  const waiting = unmet === 0 ? "" : `, and ${unmet} tenants wait`;
  const text = `pool ${pool.name} has its ${pool.stamps.max} stamps and needs one more${waiting}: ${next?.why ?? ""}`;
  return { kind: "at-max", text };
}

export function buildTimeOf({ pool, buildTimeMs }: PoolState): number | undefined {
  return pool.growth?.buildTimeMs ?? buildTimeMs;
}

/** Stamps above the high mark in any unit: growth of their tenants, or stamp zero. */
export function overAlerts({ pool, stamps }: PoolState): readonly PoolAlert[] {
  return stamps.filter(isPresent).flatMap(({ name, used, limits }): PoolAlert[] => {
    const { unit, share } = tightestOf(used, limits);
    if (share <= highMark(pool) + 1e-9) return [];
    return [{ kind: "over", text: `stamp ${name} is at ${percent(share)} of its ${unit}: no tenant is placed on it` }];
  });
}

export function duration(ms: number): string {
  const minutes = Math.round(ms / 60_000);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.round(minutes / 60);
  return hours < 72 ? `${hours} h` : `${Math.round(hours / 24)} days`;
}
