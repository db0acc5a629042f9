import type { CapacityView, PoolCapacityView, UnitUseView } from "@stampyard/api";
import {
  type Fleet,
  type Instant,
  type Pool,
  type Stamp,
  type StampLoad,
  stampCost,
  type Template,
  tightestUnit,
  unitsOf,
  type UnitVector,
  usedCapacity,
} from "@stampyard/domain";
import { stampCapacity } from "./stamp-goal.ts";
import { time } from "./views.ts";

/** What is known of a fleet's capacity at one moment. */
export interface CapacityFacts {
  readonly fleet: Fleet | undefined;
  /** Of the release that new stamps get. */
  readonly template: Template | undefined;
  readonly stamps: readonly Stamp[];
  readonly loads: ReadonlyMap<string, StampLoad>;
  readonly now: Instant;
}

type StampRow = PoolCapacityView["stamps"][number];

const noLoad: StampLoad = { reserved: {}, incoming: {}, waysBack: {} };

/** Every pool of the fleet, and pools that only stamps still name; the tightest stamps first. */
export function capacityView(facts: CapacityFacts, only: string | undefined): CapacityView {
  const { fleet, stamps, now } = facts;
  const names = new Set([...(fleet?.pools ?? []).map((pool) => pool.name), ...stamps.map((stamp) => stamp.pool)]);
  const wanted = [...names].filter((name) => only === undefined || name === only).sort();
  const tiers = fleet?.tiers === undefined ? undefined : Object.entries(fleet.tiers);
  return {
    at: time(now),
    pools: wanted.map((name) => poolCapacity(name, facts)),
    ...(tiers === undefined
      ? {}
      : { tiers: Object.fromEntries(tiers.map(([name, { weight }]) => [name, { ...weight }])) }),
  };
}

function poolCapacity(name: string, facts: CapacityFacts): PoolCapacityView {
  const pool = facts.fleet?.pools.find((candidate) => candidate.name === name);
  const rows = facts.stamps
    .filter((stamp) => stamp.pool === name && stamp.state.kind !== "gone")
    .map((stamp) => capacityOf(stamp, pool, facts))
    .sort((a, b) => (b.tightest?.share ?? 0) - (a.tightest?.share ?? 0) || (a.stamp < b.stamp ? -1 : 1));
  const units = sumUnits(rows.filter((row) => row.takesTenants));
  const cost = costOf(pool, facts);
  return {
    pool: name,
    tenancy: pool?.tenancy ?? "shared",
    rules: rulesOf(pool),
    newStamp:
      facts.template === undefined || pool === undefined ? {} : { ...unitsOf(stampCapacity(facts.template, pool)) },
    ...(cost === undefined ? {} : { stampCost: cost }),
    units,
    ...tightestOf(units),
    over: rows.some((row) => row.over),
    stamps: rows,
  };
}

function capacityOf(stamp: Stamp, pool: Pool | undefined, { loads, now }: CapacityFacts): StampRow {
  const load = loads.get(stamp.name) ?? noLoad;
  const { used, basis } = usedCapacity(load, now);
  const own = unitsOf(stamp.capacity);
  const limits = pool?.tenancy === "dedicated" ? { ...own, tenants: Math.min(1, own["tenants"] ?? 0) } : own;
  const observed = basis === "observed" ? (load.observed?.p95 ?? {}) : {};
  const high = pool?.growth?.high ?? 1;
  const units = unitNames(limits, used).map((unit): UnitUseView => {
    const limit = limits[unit] ?? 0;
    const measured = observed[unit];
    return {
      unit,
      limit,
      reserved: load.reserved[unit] ?? 0,
      ...(measured === undefined ? {} : { observed: measured }),
      ...useOf(used[unit] ?? 0, limit, high),
    };
  });
  return {
    stamp: stamp.name,
    region: stamp.region,
    phase: stamp.state.kind,
    takesTenants: stamp.state.kind === "active" && stamp.goal === "present",
    basis,
    units,
    ...tightestOf(units),
    over: units.some((unit) => unit.used > unit.limit + 1e-9),
  };
}

function useOf(used: number, limit: number, high: number): Pick<UnitUseView, "used" | "free" | "share"> {
  return { used, free: Math.max(0, limit * high - used), share: limit > 0 ? used / limit : used > 0 ? 1 : 0 };
}

function sumUnits(rows: readonly StampRow[]): UnitUseView[] {
  const sums = new Map<string, UnitUseView>();
  for (const row of rows) {
    for (const unit of row.units) {
      const sum = sums.get(unit.unit);
      const observed = unit.observed === undefined ? sum?.observed : (sum?.observed ?? 0) + unit.observed;
      const limit = (sum?.limit ?? 0) + unit.limit;
      const used = (sum?.used ?? 0) + unit.used;
      sums.set(unit.unit, {
        unit: unit.unit,
        limit,
        reserved: (sum?.reserved ?? 0) + unit.reserved,
        ...(observed === undefined ? {} : { observed }),
        used,
        free: (sum?.free ?? 0) + unit.free,
        share: limit > 0 ? used / limit : 0,
      });
    }
  }
  return [...sums.values()].sort((a, b) => (unitOrder(a.unit) < unitOrder(b.unit) ? -1 : 1));
}

function tightestOf(units: readonly UnitUseView[]): { tightest?: { unit: string; share: number } } {
  if (units.length === 0) return {};
  const amounts = (of: (unit: UnitUseView) => number) => Object.fromEntries(units.map((row) => [row.unit, of(row)]));
  return {
    tightest: tightestUnit(
      amounts((unit) => unit.used),
      amounts((unit) => unit.limit),
    ),
  };
}

/** A unit that somebody takes and no limit names is shown too: nobody looks after it. */
function unitNames(limits: UnitVector, used: UnitVector): string[] {
  const names = new Set([...Object.keys(limits), ...Object.keys(used).filter((unit) => (used[unit] ?? 0) > 0)]);
  return [...names].sort((a, b) => (unitOrder(a) < unitOrder(b) ? -1 : 1));
}

function unitOrder(unit: string): string {
  return unit === "tenants" ? "" : unit;
}

function rulesOf(pool: Pool | undefined): PoolCapacityView["rules"] {
  return {
    regions: [...(pool?.regions ?? [])],
    ...(pool?.tiers === undefined ? {} : { tiers: [...pool.tiers] }),
    strategy: pool?.placement?.strategy ?? "spread",
    low: pool?.growth?.low ?? 0.8,
    high: pool?.growth?.high ?? 1,
    headroom: pool?.growth?.headroom ?? 0,
    stamps: { min: pool?.stamps.min ?? 0, max: pool?.stamps.max ?? 0, spare: pool?.stamps.spare ?? 0 },
  };
}

function costOf(pool: Pool | undefined, { fleet, template }: CapacityFacts): PoolCapacityView["stampCost"] {
  const prices = fleet?.prices;
  if (prices === undefined || template === undefined || pool === undefined) return undefined;
  const regions = pool.regions.map((region) => [region, stampCost(template, region, prices).monthly] as const);
  return { currency: prices.currency, regions: Object.fromEntries(regions) };
}
