import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Freeze, FreezeWindow } from "./freeze.ts";
import { endOfWindow, type Freezes, type FreezeTarget, whyFrozen } from "./freeze-time.ts";
import { instantOfWall, isZone, parseWall, wallMinute, weekdayOf } from "./zone-time.ts";

const at = (text: string) => Date.parse(text);
const iso = (instant: number | undefined) => (instant === undefined ? undefined : new Date(instant).toISOString());
const none: Freezes = { freezes: [], windows: [] };
const stamp: FreezeTarget = { pool: "shared", region: "eu", stamp: "shared-1" };

const said: Freeze = {
  id: "fz-1",
  scope: {},
  stops: ["rollouts", "moves"],
  reason: "audit week",
  by: "ada",
  since: at("2026-11-23T10:00:00Z"),
  until: at("2026-11-23T12:00:00Z"),
};
const weekend: FreezeWindow = {
  name: "weekend",
  scope: {},
  stops: ["rollouts"],
  zone: "Europe/Berlin",
  kind: "weekly",
  from: { day: 5, minute: 16 * 60 },
  to: { day: 1, minute: 8 * 60 },
};
const christmas: FreezeWindow = {
  name: "christmas",
  scope: { pools: ["shared"], regions: ["eu"] },
  stops: ["rollouts"],
  zone: "America/New_York",
  kind: "dates",
  from: "2026-12-20T00:00",
  to: "2027-01-02T00:00",
};

describe("whyFrozen()", () => {
  test("names who said it and why, from its begin to its end", () => {
    const ask = (now: string) => whyFrozen({ ...none, freezes: [said] }, "rollouts", stamp, at(now));
    expect(ask("2026-11-23T09:59:59Z")).toBeUndefined();
    expect(ask("2026-11-23T10:00:00Z")).toEqual({ why: "frozen by ada: audit week", until: said.until });
    expect(ask("2026-11-23T12:00:00Z")).toBeUndefined();
  });

  test("stops what it names and nothing else", () => {
    const ask = (thing: "moves" | "scaling" | "destroys") =>
      whyFrozen({ ...none, freezes: [said] }, thing, stamp, said.since);
    expect(ask("moves")).toBeDefined();
    expect(ask("scaling")).toBeUndefined();
    expect(ask("destroys")).toBeUndefined();
  });

  test("holds for a target that matches every field of its scope", () => {
    const now = at("2026-12-24T12:00:00Z");
    const ask = (target: FreezeTarget) => whyFrozen({ ...none, windows: [christmas] }, "rollouts", target, now);
    expect(ask(stamp)?.why).toBe("freeze window christmas");
    expect(ask({ ...stamp, region: "us" })).toBeUndefined();
    expect(ask({ ...stamp, pool: "alone" })).toBeUndefined();
    // What has no pool is in none.
    expect(ask({})).toBeUndefined();
    const byName = { ...said, scope: { stamps: ["shared-2"] } };
    expect(whyFrozen({ ...none, freezes: [byName] }, "rollouts", stamp, said.since)).toBeUndefined();
  });

  test("says when the last of several lets go, and never when one has no end", () => {
    const now = at("2026-11-23T11:00:00Z");
    const { until: _, ...endless } = { ...said, reason: "until further notice" };
    const next = { ...said, since: said.until ?? 0, until: at("2026-11-23T15:00:00Z"), reason: "and again" };
    const ask = (freezes: readonly Freeze[]) => whyFrozen({ ...none, freezes }, "rollouts", stamp, now);
    expect(iso(ask([said, next])?.until)).toBe("2026-11-23T15:00:00.000Z");
    expect(ask([said, endless])).toEqual({ why: "frozen by ada: until further notice" });
    expect(ask([endless, said])).toEqual(ask([said, endless]));
  });
});

describe("endOfWindow()", () => {
  test.each([
    ["before it", "2026-11-20T14:59:59Z", undefined],
    ["at its begin", "2026-11-20T15:00:00Z", "2026-11-23T07:00:00.000Z"],
    ["over midnight of Saturday", "2026-11-21T23:30:00Z", "2026-11-23T07:00:00.000Z"],
    ["just before its end", "2026-11-23T06:59:59Z", "2026-11-23T07:00:00.000Z"],
    ["at its end", "2026-11-23T07:00:00Z", undefined],
    // The clocks go back in the night to Sunday, and forward in March.
    ["over the end of summer time", "2026-10-24T12:00:00Z", "2026-10-26T07:00:00.000Z"],
    ["begun in summer time", "2026-10-23T14:00:00Z", "2026-10-26T07:00:00.000Z"],
    ["over the begin of summer time", "2026-03-28T12:00:00Z", "2026-03-30T06:00:00.000Z"],
  ])("of every week, %s", (_, now, end) => {
    expect(iso(endOfWindow(weekend, at(now)))).toBe(end);
  });

  test.each([
    ["2026-12-20T04:59:59Z", undefined],
    ["2026-12-20T05:00:00Z", "2027-01-02T05:00:00.000Z"],
    ["2027-01-02T05:00:00Z", undefined],
  ])("from date to date, by the clock of its zone, at %s", (now, end) => {
    expect(iso(endOfWindow(christmas, at(now)))).toBe(end);
  });

  test("ends at an hour that comes twice, or never", () => {
    // 02:30 of 2026-10-25 comes twice in Berlin, and 02:30 of 2026-03-29 never.
    const until = (to: string) => ({ ...christmas, zone: "Europe/Berlin", from: "2026-01-01T00:00", to }) as const;
    expect(iso(endOfWindow(until("2026-10-25T02:30"), at("2026-10-24T12:00:00Z")))).toBe("2026-10-25T00:30:00.000Z");
    // The clock shows a quarter past two again, so the end is still to come.
    expect(iso(endOfWindow(until("2026-10-25T02:30"), at("2026-10-25T01:15:00Z")))).toBe("2026-10-25T01:30:00.000Z");
    expect(iso(endOfWindow(until("2026-03-29T02:30"), at("2026-03-28T12:00:00Z")))).toBe("2026-03-29T01:00:00.000Z");
  });

  test("is true of a week exactly as long as it is long, wherever the clock stands", () => {
    const day = fc.record({ day: fc.integer({ min: 0, max: 6 }), minute: fc.integer({ min: 0, max: 1_439 }) });
    const zones = fc.constantFrom("UTC", "Asia/Kathmandu", "America/Phoenix", "Pacific/Kiritimati");
    const now = fc.integer({ min: at("2024-01-01T00:00:00Z"), max: at("2030-01-01T00:00:00Z") });
    fc.assert(
      fc.property(day, day, zones, now, (from, to, zone, instant) => {
        const window = { ...weekend, zone, from, to };
        const end = endOfWindow(window, instant);
        const wall = wallMinute(instant, zone);
        const minute = weekdayOf(wall) * 1_440 + (((wall % 1_440) + 1_440) % 1_440);
        const begins = from.day * 1_440 + from.minute;
        const ends = to.day * 1_440 + to.minute;
        const isOpen = begins < ends ? minute >= begins && minute < ends : minute >= begins || minute < ends;
        expect(end !== undefined).toBe(isOpen);
        if (end === undefined) return;
        expect(end).toBeGreaterThan(instant);
        expect(end - instant).toBeLessThanOrEqual(7 * 86_400_000);
        if (begins !== ends) expect(endOfWindow(window, end)).toBeUndefined();
        expect(endOfWindow(window, end - 1)).toBeDefined();
      }),
      { numRuns: 300 },
    );
  });
});

describe("zone time", () => {
  test("instantOfWall() finds the instant that wallMinute() shows", () => {
    const zones = fc.constantFrom("UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Tehran");
    const now = fc.integer({ min: at("2020-01-01T00:00:00Z"), max: at("2035-01-01T00:00:00Z") });
    fc.assert(
      fc.property(zones, now, (zone, instant) => {
        const wall = wallMinute(instant, zone);
        const found = instantOfWall(wall, zone);
        expect(wallMinute(found, zone)).toBe(wall);
        expect(found).toBeLessThanOrEqual(instant);
        // An hour that comes twice is its first time.
        expect(instant - found).toBeLessThan(3 * 3_600_000 + 60_000);
      }),
      { numRuns: 200 },
    );
  });

  test("parseWall() takes days that a calendar has", () => {
    expect(parseWall("1970-01-02T01:01")).toBe(1_440 + 61);
    expect(parseWall("2028-02-29T00:00")).toBe(at("2028-02-29T00:00:00Z") / 60_000);
    for (const bad of ["2027-02-29T00:00", "2027-13-01T00:00", "2027-01-01T24:00", "2027-01-01", "2027-01-01T00:00Z"]) {
      expect(parseWall(bad), bad).toBeUndefined();
    }
  });

  test("isZone() knows names of zones, and no offsets", () => {
    expect(["UTC", "Europe/Berlin"].map(isZone)).toEqual([true, true]);
    expect(["+01:00", "Mars/Olympus", ""].map(isZone)).toEqual([false, false, false]);
  });
});
