import { expect, test } from "vitest";
import { tightestUnit, unitWithoutRoom, usedCapacity } from "./capacity.ts";

const nothing = { reserved: {}, incoming: {}, waysBack: {} };

test("usedCapacity() takes the larger of what is reserved and what is measured, and adds ways back (D19)", () => {
  const observed = { p95: { rps: 70 }, windowStart: 0, at: 1_000, placedSince: { rps: 5, tenants: 1 } };
  const load = { reserved: { tenants: 3, rps: 40 }, observed, incoming: { rps: 10 }, waysBack: { tenants: 1, rps: 2 } };
  expect(usedCapacity(load, 2_000)).toEqual({ used: { tenants: 4, rps: 87 }, basis: "observed" });
  const quiet = { ...load, observed: { ...observed, p95: { rps: 1 } } };
  expect(usedCapacity(quiet, 2_000).used).toEqual({ tenants: 4, rps: 52 });
});

test("usedCapacity() forgets an observation after ten minutes, and says so", () => {
  const observed = { p95: { rps: 70 }, windowStart: 0, at: 0, placedSince: {} };
  const load = { ...nothing, reserved: { rps: 10 }, observed };
  expect(usedCapacity(load, 600_000)).toEqual({ used: { rps: 70 }, basis: "observed" });
  expect(usedCapacity(load, 600_001)).toEqual({ used: { rps: 10 }, basis: "reserved" });
});

test("tightestUnit() finds the unit at 95% beside one at 30%; a limit of 0 is full", () => {
  expect(tightestUnit({ tenants: 30, rps: 95 }, { tenants: 100, rps: 100 })).toEqual({ unit: "rps", share: 0.95 });
  expect(tightestUnit({}, { tenants: 10, gib: 0 })).toEqual({ unit: "gib", share: 1 });
});

test("unitWithoutRoom() fills up to the high mark exactly, fractions included (I32)", () => {
  const limits = { tenants: 10, rps: 1 };
  expect(unitWithoutRoom({ tenants: 8, rps: 0 }, {}, limits, 0.9)).toBeUndefined();
  expect(unitWithoutRoom({ tenants: 9, rps: 0 }, {}, limits, 0.9)).toBe("tenants");
  expect(unitWithoutRoom({ tenants: 0, rps: 0.1 + 0.2 + 0.6 }, { rps: 0.1 }, limits, 1)).toBeUndefined();
  expect(unitWithoutRoom({ tenants: 0, rps: 0.95 }, { rps: 0.1 }, limits, 1)).toBe("rps");
});
