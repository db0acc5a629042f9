import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { forecastCapacity, type UsedOnDay } from "./forecast-capacity.ts";

const day = 86_400_000;
const now = 20_000 * day + day / 2;

/** Use at the end of each of the days before today. */
function history(values: readonly number[]): UsedOnDay[] {
  return values.map((used, index) => ({ day: 20_000 - values.length + index, used }));
}
const steadily = (from: number, perDay: number, days: number) =>
  history(Array.from({ length: days }, (_, n) => from + n * perDay));

describe("forecastCapacity()", () => {
  test("finds the day of an even growth exactly, and orders in time to build", () => {
    const forecast = forecastCapacity({
      now,
      history: steadily(100, 10, 30),
      used: 400,
      limit: 600,
      buildTimeMs: 3 * day,
    });
    expect(forecast).toEqual({
      kind: "growing",
      perDay: 10,
      growthPerMonth: 0.75,
      fullAt: now + 20 * day,
      earliestAt: now + 20 * day,
      latestAt: now + 20 * day,
      orderBy: now + 17 * day,
      daysOfHistory: 30,
    });
  });

  test("is honest about too little history, and about none", () => {
    expect(forecastCapacity({ now, history: [], used: 5, limit: 10 })).toMatchObject({
      kind: "unknown",
      daysOfHistory: 0,
    });
    const short = forecastCapacity({ now, history: steadily(1, 1, 3), used: 4, limit: 10 });
    expect(short).toMatchObject({ kind: "unknown", why: "3 days of history, and 7 days are needed" });
  });

  test("says full when it is, and nothing dramatic when nothing grows", () => {
    expect(forecastCapacity({ now, history: [], used: 10, limit: 10 })).toEqual({ kind: "full" });
    expect(forecastCapacity({ now, history: steadily(10, 0, 30), used: 10, limit: 11 })).toMatchObject({
      kind: "steady",
      perDay: 0,
    });
    expect(forecastCapacity({ now, history: steadily(100, -2, 30), used: 40, limit: 110 })).toMatchObject({
      kind: "steady",
      perDay: -2,
    });
    expect(forecastCapacity({ now, history: steadily(1, 0.001, 30), used: 1.03, limit: 1e6 })).toMatchObject({
      kind: "steady",
    });
  });

  test("takes the last week at its word when it was faster", () => {
    const slow = Array.from({ length: 28 }, (_, n) => n);
    const fast = Array.from({ length: 7 }, (_, n) => 28 + n * 10);
    const forecast = forecastCapacity({ now, history: history([...slow, ...fast]), used: 98, limit: 298 });
    if (forecast.kind !== "growing") throw new Error("It grows");
    expect(forecast.earliestAt - now).toBeLessThan(21 * day);
    expect(forecast.fullAt - now).toBeGreaterThan(60 * day);
  });

  test("calls one large import by its name, and widens its range", () => {
    const values = [...Array.from({ length: 20 }, () => 10), ...Array.from({ length: 10 }, () => 510)];
    const forecast = forecastCapacity({ now, history: history(values), used: 511, limit: 1_000 });
    expect(forecast).toMatchObject({ kind: "growing", note: "one day brought 100% of the growth" });
    expect(forecast.kind === "growing" && forecast.latestAt).toBe(undefined);
  });

  test("a day without a row is like the one before", () => {
    const all = forecastCapacity({ now, history: steadily(10, 0, 30), used: 30, limit: 100 });
    const gaps = forecastCapacity({ now, history: [{ day: 20_000 - 30, used: 10 }], used: 30, limit: 100 });
    expect(gaps).toEqual(all);
  });

  test("its range holds the expected day, orders before the earliest, and more room is never sooner", () => {
    const input = fc.record({
      values: fc.array(fc.integer({ min: 0, max: 1_000 }), { maxLength: 90 }),
      used: fc.integer({ min: 0, max: 1_000 }),
      limit: fc.integer({ min: 1, max: 100_000 }),
      buildTimeMs: fc.integer({ min: 0, max: 30 * day }),
    });
    fc.assert(
      fc.property(input, ({ values, used, limit, buildTimeMs }) => {
        const of = (most: number) =>
          forecastCapacity({ now, history: history(values), used, limit: most, buildTimeMs });
        const forecast = of(limit);
        if (forecast.kind !== "growing") return;
        expect(forecast.earliestAt).toBeLessThanOrEqual(forecast.fullAt);
        if (forecast.latestAt !== undefined) expect(forecast.latestAt).toBeGreaterThanOrEqual(forecast.fullAt - 1);
        expect(forecast.earliestAt - forecast.orderBy).toBe(buildTimeMs);
        expect(forecast.earliestAt).toBeGreaterThanOrEqual(now);
        const more = of(limit * 2);
        if (more.kind === "growing") expect(more.fullAt).toBeGreaterThanOrEqual(forecast.fullAt);
      }),
    );
  });
});
