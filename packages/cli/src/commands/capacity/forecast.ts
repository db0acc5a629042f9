import type { CapacityForecastView } from "@stampyard/api";
import { command } from "../../define.ts";
import { amount } from "../../output/bar.ts";
import { table } from "../../output/table.ts";

type Pool = CapacityForecastView["pools"][number];
type Unit = Pool["units"][number];

export const capacityForecast = command<{ readonly pool?: string }>({
  usage: "forecast",
  summary: "Show when pools are full, by unit, and when the next stamp must be ordered",
  about:
    "From the tenants of the last eight weeks. `between` holds in eight of ten cases, and `order by` is its earlier end less the time to build a stamp. With less than a week of history it says so.",
  options: (c) => c.option("--pool <name>", "only this pool"),
  examples: [
    ["capacity forecast", "every pool, soonest first"],
    ["capacity forecast -o json", "the same with the history by day, for a script or a chart"],
  ],
  run: async (run) => {
    const client = await run.client();
    const { pool } = run.options;
    const forecast = await client.capacityForecast({
      ...(pool === undefined ? {} : { query: { pool } }),
      signal: run.io.signal,
    });
    run.emit(forecast, () => forecastText(forecast));
  },
});

export function forecastText(forecast: CapacityForecastView): string {
  const now = Date.parse(forecast.at);
  const all = forecast.pools.flatMap((pool) => pool.units.map((unit) => ({ pool, unit })));
  if (all.length === 0) return "No pool has a stamp that takes tenants yet\n";
  const rows = all.sort((a, b) => orderOf(a.unit) - orderOf(b.unit));
  const head = ["pool", "unit", "used", "a day", "full", "between", "order by"];
  const cells = rows.map(({ pool, unit }) => [
    pool.pool,
    unit.unit,
    `${amount(unit.used)} of ${amount(unit.limit)}`,
    unit.perDay === undefined ? undefined : `${unit.perDay > 0 ? "+" : ""}${amount(unit.perDay)}`,
    fullOf(unit, now),
    unit.earliestAt === undefined ? undefined : between(unit, now),
    unit.orderBy === undefined ? undefined : orderBy(unit.orderBy, now),
  ]);
  const notes = rows.flatMap(({ pool, unit }) => notesOf(pool, unit));
  const builds = forecast.pools.filter((pool) => pool.units.length > 0).map(buildOf);
  return `${table(head, cells)}${[...notes, ...builds].map((note) => `${note}\n`).join("")}`;
}

/** What is full comes first, then what will be, then what is unknown, then what never is. */
function orderOf(unit: Unit): number {
  switch (unit.kind) {
    case "full":
      return Number.NEGATIVE_INFINITY;
    case "growing":
      return Date.parse(unit.orderBy ?? "");
    case "unknown":
      return Number.MAX_SAFE_INTEGER;
    case "steady":
      return Number.POSITIVE_INFINITY;
  }
}

function fullOf(unit: Unit, now: number): string {
  switch (unit.kind) {
    case "full":
      return "now";
    case "growing":
      return `in ${days(Date.parse(unit.fullAt ?? "") - now)}`;
    case "unknown":
      return "unknown";
    case "steady":
      return "not in 10y";
  }
}

function between(unit: Unit, now: number): string {
  const earliest = days(Date.parse(unit.earliestAt ?? "") - now);
  return `${earliest} - ${unit.latestAt === undefined ? "never" : days(Date.parse(unit.latestAt) - now)}`;
}

function orderBy(at: string, now: number): string {
  return Date.parse(at) <= now ? "now" : at.slice(0, 10);
}

function notesOf(pool: Pool, unit: Unit): string[] {
  const about = unit.why ?? unit.note;
  return about === undefined ? [] : [`${pool.pool} ${unit.unit}: ${about}`];
}

function buildOf(pool: Pool): string {
  if (pool.buildTimeMs === undefined) {
    return `${pool.pool}: how long a stamp takes to build is not known yet, so it is not counted`;
  }
  const from = pool.buildTimeFrom === "pool" ? "as the pool says" : "as measured";
  return `${pool.pool}: a stamp takes ${duration(pool.buildTimeMs)} to build, ${from}`;
}

function days(ms: number): string {
  const count = ms / 86_400_000;
  if (count < 1) return "today";
  if (count < 90) return `${Math.round(count)}d`;
  return count < 730 ? `${Math.round(count / 30.4)}mo` : `${Math.round(count / 365)}y`;
}

function duration(ms: number): string {
  if (ms < 1_000) return "less than a second";
  if (ms < 120_000) return `${Math.round(ms / 1_000)}s`;
  return ms < 7_200_000 ? `${Math.round(ms / 60_000)}m` : `${Math.round(ms / 3_600_000)}h`;
}
