import type { PoolCapacityView } from "@stampyard/api";
import { expect, test } from "vitest";
import { poolForecast } from "./forecast-view.ts";

const dayMs = 86_400_000;
const now = 20_000 * dayMs + 1_000;

function pool(used: number, reserved = used): PoolCapacityView {
  return {
    pool: "shared",
    tenancy: "shared",
    rules: {
      regions: ["eu"],
      strategy: "spread",
      low: 0.8,
      high: 0.5,
      headroom: 0,
      stamps: { min: 0, max: 9, spare: 0 },
    },
    newStamp: {},
    units: [{ unit: "tenants", limit: 200, reserved, used, free: 0, share: 0 }],
    over: false,
    stamps: [],
  };
}
const daily = Array.from({ length: 20 }, (_, n) => ({ pool: "shared", unit: "tenants", day: 20_000 - n, change: 2 }));

test("poolForecast() reckons use back day by day, and is full at the high mark", () => {
  const forecast = poolForecast(pool(60), { now, changes: daily, declared: dayMs, measured: 5 });
  const [unit] = forecast.units;
  expect(forecast).toMatchObject({ buildTimeMs: dayMs, buildTimeFrom: "pool" });
  expect(unit?.history.at(-1)).toEqual({ day: "2024-10-03", used: 58 });
  expect(unit?.history[0]).toEqual({ day: "2024-09-15", used: 22 });
  expect(unit).toMatchObject({ kind: "growing", perDay: 2, limit: 100, daysOfHistory: 19 });
  expect(Date.parse(unit?.fullAt ?? "")).toBe(now + 20 * dayMs);
  expect(Date.parse(unit?.orderBy ?? "")).toBe(now + 19 * dayMs);
});

test("poolForecast() takes what was measured beside the reservations to grow with them", () => {
  const [unit] = poolForecast(pool(90, 60), { now, changes: daily, declared: undefined, measured: undefined }).units;
  expect(unit).toMatchObject({ kind: "growing", used: 90 });
  expect(unit?.perDay).toBeCloseTo(3, 9);
});

test("poolForecast() of a pool without changes has no history to show", () => {
  const forecast = poolForecast(pool(0), { now, changes: [], declared: undefined, measured: 7 });
  expect(forecast).toMatchObject({ buildTimeMs: 7, buildTimeFrom: "measured" });
  expect(forecast.units[0]).toMatchObject({ kind: "unknown", history: [] });
});
