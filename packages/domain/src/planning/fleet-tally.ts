import type { UnitVector } from "../capacity.ts";
import type { SimulatedFleet, SimulatedPlace } from "./simulated-fleet.ts";
import type { SimulatedPool, SimulationInput } from "./simulation-input.ts";
import { toCents } from "./stamp-cost.ts";

/** Stamps of one pool in one region at the end of a month. */
export interface SimulatedStamps {
  readonly pool: string;
  readonly region: string;
  /** With the spare ones. */
  readonly stamps: number;
  /** Stamps that one tenant has for itself. */
  readonly own: number;
  /** Share of the shared stamps' capacity that is used, by unit. */
  readonly used: UnitVector;
  /** Per month, when there are prices. */
  readonly cost?: number;
}

/** What the loss of one stamp takes with it. With one shared system every figure here would be 1. */
export interface BlastRadius {
  /** Share of all tenants on the stamp that has most. */
  readonly worstTenants: number;
  /** Share of all load, in the unit where it is largest, on the stamp that carries most of it. */
  readonly worstLoad: { readonly unit: string; readonly share: number };
  /** Share of tenants that the loss of any one stamp hits on average. */
  readonly averageTenants: number;
}

export interface SimulatedMonth {
  /** 0 is today. */
  readonly month: number;
  readonly tenants: number;
  readonly stamps: number;
  readonly pools: readonly SimulatedStamps[];
  /** The unit that decides how many stamps there are. */
  readonly fullest: { readonly pool: string; readonly region: string; readonly unit: string; readonly share: number };
  readonly blastRadius: BlastRadius;
  readonly cost?: number;
}

/** Whether the stamps of a pool in a region could hold everything after losing some of them. */
export interface FailoverHeadroom {
  readonly pool: string;
  readonly region: string;
  /** Share of the capacity that is free in the tightest unit. */
  readonly free: number;
  /** Stamps that may be lost at once with room for their tenants on the others, in sum. */
  readonly stamps: number;
  /** False without a tested restore: a lost stamp's data would not be there to be taken in (decision D19). */
  readonly counts: boolean;
}

/** What a fleet looks like now; a sample stands for `factor` fleets of its size. */
export function tallyOf(fleet: SimulatedFleet, input: SimulationInput, month: number, factor: number): SimulatedMonth {
  const pools = withSpares(
    fleet.places.map((place) => stampsOf(place, fleet.units, factor)),
    input,
  );
  const priced = input.prices === undefined ? pools : pools.map((row) => ({ ...row, cost: costOf(row, input) }));
  const stamps = priced.reduce((sum, row) => sum + row.stamps, 0);
  return {
    month,
    tenants: fleet.tenants * factor,
    stamps,
    pools: priced,
    fullest: fullestOf(priced),
    blastRadius: blastRadiusOf(fleet, factor),
    ...(input.prices === undefined ? {} : { cost: toCents(priced.reduce((sum, row) => sum + (row.cost ?? 0), 0)) }),
  };
}

export function failoverOf(fleet: SimulatedFleet, factor: number): FailoverHeadroom[] {
  const out: FailoverHeadroom[] = [];
  for (const place of fleet.places) {
    if (place.bins.count === 0) continue;
    const stamps = sharedStamps(place, factor);
    const needed = tightestTotal(place) * factor;
    out.push({
      pool: place.pool.name,
      region: place.region,
      free: toShare(Math.max(0, 1 - needed / stamps)),
      stamps: Math.max(0, Math.floor(stamps - needed + 1e-9)),
      counts: place.pool.restoreTested === true,
    });
  }
  return out;
}

function sharedStamps(place: SimulatedPlace, factor: number): number {
  if (factor === 1) return place.bins.count;
  const scaled = Math.round(place.bins.count * factor);
  const isOneToLose = place.pool.failover === "one" && place.bins.count > 0;
  return isOneToLose ? Math.max(scaled, Math.ceil(tightestTotal(place) * factor) + 1) : scaled;
}

/** Stamps' worth of the unit that needs most of them. */
function tightestTotal({ bins }: SimulatedPlace): number {
  let most = 0;
  for (let unit = 0; unit < bins.units; unit++) most = Math.max(most, bins.totalOf(unit));
  return most;
}

function stampsOf(place: SimulatedPlace, units: readonly string[], factor: number): SimulatedStamps {
  const { pool, region, bins, limits } = place;
  const own = Math.round(place.own * factor);
  const shared = sharedStamps(place, factor);
  const used: Record<string, number> = {};
  for (const [index, unit] of units.entries()) {
    if ((limits[index] ?? 0) <= 0) continue;
    // Loads are shares of the high mark; people read shares of the limit.
    used[unit] = shared === 0 ? 0 : toShare(((bins.totalOf(index) * factor) / shared) * (pool.high ?? 1));
  }
  return { pool: pool.name, region, stamps: shared + own, own, used };
}

/** Spare stamps stand in the pool's regions in turn, as new stamps do. */
function withSpares(rows: readonly SimulatedStamps[], input: SimulationInput): readonly SimulatedStamps[] {
  const spare = new Map<SimulatedStamps, number>();
  for (const pool of input.pools) {
    const mine = rows.filter((row) => row.pool === pool.name);
    for (let n = 0; n < (pool.stamps?.spare ?? 0); n++) {
      const row = mine[n % mine.length];
      if (row !== undefined) spare.set(row, (spare.get(row) ?? 0) + 1);
    }
  }
  return rows.map((row) => ({ ...row, stamps: row.stamps + (spare.get(row) ?? 0) }));
}

/** Sums of a million fractions are not worth more digits, and should read as the 1 that they are. */
function toShare(share: number): number {
  return Math.round(share * 1e9) / 1e9;
}

function costOf(row: SimulatedStamps, { prices }: SimulationInput): number {
  if (prices === undefined) return 0;
  const each = Object.hasOwn(prices.regions, row.region) ? (prices.regions[row.region] ?? 0) : prices.otherwise;
  return toCents(each * row.stamps);
}

function fullestOf(rows: readonly SimulatedStamps[]): SimulatedMonth["fullest"] {
  let fullest = { pool: rows[0]?.pool ?? "", region: rows[0]?.region ?? "", unit: "tenants", share: 0 };
  for (const { pool, region, used } of rows) {
    for (const [unit, share] of Object.entries(used)) {
      if (share > fullest.share) fullest = { pool, region, unit, share };
    }
  }
  return fullest;
}

function blastRadiusOf(fleet: SimulatedFleet, factor: number): BlastRadius {
  let mostTenants = 0;
  let withTenants = 0;
  const largest = new Float64Array(fleet.units.length);
  for (const { bins, limits, own, ownLargest } of fleet.places) {
    for (let stamp = 0; stamp < bins.count; stamp++) {
      const tenants = bins.tenantsOf(stamp);
      if (tenants === 0) continue;
      withTenants += 1;
      if (tenants > mostTenants) mostTenants = tenants;
      for (let unit = 0; unit < largest.length; unit++) {
        const load = bins.loadOf(stamp, unit) * (limits[unit] ?? 0);
        if (load > (largest[unit] ?? 0)) largest[unit] = load;
      }
    }
    withTenants += own;
    if (own > 0 && mostTenants === 0) mostTenants = 1;
    for (let unit = 0; unit < largest.length; unit++) {
      largest[unit] = Math.max(largest[unit] ?? 0, ownLargest[unit] ?? 0);
    }
  }
  let worstLoad = { unit: "tenants", share: 0 };
  for (const [index, unit] of fleet.units.entries()) {
    const total = (fleet.totals[index] ?? 0) * factor;
    const share = total > 0 ? toShare((largest[index] ?? 0) / total) : 0;
    if (share > worstLoad.share) worstLoad = { unit, share };
  }
  const all = fleet.tenants * factor;
  return {
    worstTenants: all > 0 ? mostTenants / all : 0,
    worstLoad,
    averageTenants: withTenants > 0 ? 1 / (withTenants * factor) : 0,
  };
}

/** Months in which a pool needs more stamps than it may have. */
export function aboveMax(
  months: readonly SimulatedMonth[],
  pools: readonly SimulatedPool[],
): { readonly pool: string; readonly max: number; readonly month: number; readonly stamps: number }[] {
  return pools.flatMap((pool) => {
    const max = pool.stamps?.max;
    if (max === undefined) return [];
    for (const { month, pools: rows } of months) {
      const stamps = rows.filter((row) => row.pool === pool.name).reduce((sum, row) => sum + row.stamps, 0);
      if (stamps > max) return [{ pool: pool.name, max, month, stamps }];
    }
    return [];
  });
}
