import type { CapacityForecastView, CapacitySizesView, PoolCapacityView, UnitUseView } from "@stampyard/api";
import { type CapacityForecast, forecastCapacity, historyDays, type Instant, type UsedOnDay } from "@stampyard/domain";
import { sizeBuckets, type TenantSizes, type UseChange } from "../store/capacity.ts";
import { time } from "./views.ts";

type PoolForecast = CapacityForecastView["pools"][number];
type UnitForecast = PoolForecast["units"][number];

const dayMs = 86_400_000;

export interface ForecastFacts {
  readonly now: Instant;
  readonly changes: readonly UseChange[];
  /** What the pool says, and what was measured. */
  readonly declared: number | undefined;
  readonly measured: number | undefined;
}

export function poolForecast(pool: PoolCapacityView, facts: ForecastFacts): PoolForecast {
  const buildTimeMs = facts.declared ?? facts.measured;
  const from = facts.declared !== undefined ? "pool" : facts.measured !== undefined ? "measured" : "unknown";
  return {
    pool: pool.pool,
    ...(buildTimeMs === undefined ? {} : { buildTimeMs }),
    buildTimeFrom: from,
    units: pool.units.map((unit) => unitForecast(unit, pool, facts, buildTimeMs)),
  };
}

function unitForecast(
  unit: UnitUseView,
  pool: PoolCapacityView,
  { now, changes }: ForecastFacts,
  buildTimeMs: number | undefined,
): UnitForecast {
  const mine = changes.filter((row) => row.pool === pool.pool && row.unit === unit.unit);
  const history = usedByDay(unit.reserved, mine, now);
  const limit = unit.limit * pool.rules.high;
  // What was measured beside the reservations has no history here: it is taken to grow with them.
  const scale = unit.reserved > 0 ? unit.used / unit.reserved : 1;
  const forecast = forecastCapacity({
    now,
    history: history.map(({ day, used }) => ({ day, used: used * scale })),
    used: unit.used,
    limit,
    ...(buildTimeMs === undefined ? {} : { buildTimeMs }),
  });
  return {
    unit: unit.unit,
    used: unit.used,
    limit,
    ...factsOf(forecast),
    history: history.map(({ day, used }) => ({ day: time(day * dayMs).slice(0, 10), used })),
  };
}

/** Use at the end of every day, reckoned back from what is used now; nothing before the first change is known. */
function usedByDay(now: number, changes: readonly UseChange[], at: Instant): UsedOnDay[] {
  const today = Math.floor(at / dayMs);
  const byDay = new Map(changes.map((row) => [row.day, row.change]));
  const first = Math.max(today - historyDays, Math.min(today, ...byDay.keys()));
  const days: UsedOnDay[] = [];
  let used = now;
  for (let day = today; day > first; day--) {
    used = Math.max(0, used - (byDay.get(day) ?? 0));
    days.unshift({ day: day - 1, used });
  }
  return days;
}

function factsOf(forecast: CapacityForecast): Omit<UnitForecast, "unit" | "used" | "limit" | "history"> {
  if (forecast.kind !== "growing") return forecast;
  const { kind, perDay, growthPerMonth, fullAt, earliestAt, latestAt, orderBy, daysOfHistory, note } = forecast;
  return {
    kind,
    perDay,
    growthPerMonth,
    fullAt: time(fullAt),
    earliestAt: time(earliestAt),
    ...(latestAt === undefined ? {} : { latestAt: time(latestAt) }),
    orderBy: time(orderBy),
    daysOfHistory,
    ...(note === undefined ? {} : { note }),
  };
}

export function sizesView(rows: readonly TenantSizes[], only: string | undefined): CapacitySizesView {
  const pools = [...new Set(rows.map((row) => row.pool))].filter((pool) => only === undefined || pool === only);
  return {
    pools: pools.map((pool) => {
      const mine = rows.filter((row) => row.pool === pool);
      const tenants = mine.find((row) => row.unit === "tenants")?.tenants ?? 0;
      return { pool, tenants, units: mine.map((row) => unitSizes(row, tenants)) };
    }),
  };
}

function unitSizes(row: TenantSizes, tenants: number): CapacitySizesView["pools"][number]["units"][number] {
  const share = tenants > 0 ? Math.min(1, row.tenants / tenants) : 1;
  const taken = sizeBuckets.map((bucket, index) => ({ share: bucket.share * share, value: row.weights[index] ?? 0 }));
  const buckets = share < 1 ? [{ share: 1 - share, value: 0 }, ...taken] : taken;
  return { unit: row.unit, share, buckets: merged(buckets), biggestShare: row.total > 0 ? row.largest / row.total : 0 };
}

/** Tenants that are all alike are one bucket. */
function merged(buckets: readonly { share: number; value: number }[]): { share: number; value: number }[] {
  const out: { share: number; value: number }[] = [];
  for (const { share, value } of buckets) {
    const last = out.at(-1);
    if (last !== undefined && last.value === value) last.share += share;
    else out.push({ share, value });
  }
  return out;
}
