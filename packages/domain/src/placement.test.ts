import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { StampObservation } from "./engine.ts";
import {
  choosePlacement,
  hasRoom,
  type PlacementCandidate,
  type PlacementRequest,
  placementTrouble,
} from "./placement.ts";
import { stampNext, type StampPhase } from "./stamp.ts";

const acme: PlacementRequest = { pool: "main", residency: [], weight: {} };

function candidate(name: string, over: Partial<PlacementCandidate> = {}): PlacementCandidate {
  return {
    name,
    region: "eu",
    phase: "active",
    capacity: { tenants: 2, units: {} },
    used: { tenants: 0, units: {} },
    ...over,
  };
}

describe("choosePlacement()", () => {
  test("takes the least used by share, and the first name among equals", () => {
    const half = candidate("a", { capacity: { tenants: 4, units: {} }, used: { tenants: 2, units: {} } });
    const third = candidate("c", { capacity: { tenants: 9, units: {} }, used: { tenants: 3, units: {} } });
    expect(choosePlacement(acme, [half, third])).toEqual({ kind: "place", stamp: "c" });
    expect(choosePlacement(acme, [candidate("b"), candidate("a")])).toEqual({ kind: "place", stamp: "a" });
  });

  test("keeps to the allowed regions", () => {
    const us = candidate("us-1", { region: "us" });
    expect(choosePlacement({ ...acme, residency: ["eu"] }, [us])).toEqual({
      kind: "full",
      why: "pool main has no stamp in eu",
    });
    expect(choosePlacement({ ...acme, residency: ["eu", "us"] }, [us])).toEqual({ kind: "place", stamp: "us-1" });
  });

  test("waits for a stamp that is still being built, and says which", () => {
    const full = candidate("a", { used: { tenants: 2, units: {} } });
    expect(choosePlacement(acme, [full, candidate("b", { phase: "provisioning" })])).toEqual({
      kind: "wait",
      waitingOn: "stamp b, which is provisioning",
    });
  });

  test("passes over a stamp that was seen in trouble, and waits for it when nobody else has room", () => {
    const lost = candidate("a", { trouble: "nothing of it is left on its engine" });
    const busy = candidate("b", { used: { tenants: 1, units: {} } });
    expect(choosePlacement(acme, [lost, busy])).toEqual({ kind: "place", stamp: "b" });
    expect(choosePlacement(acme, [lost])).toEqual({
      kind: "wait",
      waitingOn: "stamp a, which has room, and nothing of it is left on its engine",
    });
  });

  test("says why it is full: no stamp, all full, or a weight that never fits", () => {
    const full = candidate("a", { used: { tenants: 2, units: {} } });
    const why = (request: PlacementRequest, all: PlacementCandidate[]) => choosePlacement(request, all);
    expect(why(acme, [])).toEqual({ kind: "full", why: "pool main has no stamp" });
    expect(why(acme, [full])).toEqual({ kind: "full", why: "the active stamp of pool main is full" });
    expect(why(acme, [full, { ...full, name: "b" }])).toEqual({
      kind: "full",
      why: "all 2 active stamps of pool main are full",
    });
    expect(why({ ...acme, weight: { tenants: 3 } }, [candidate("a")])).toEqual({
      kind: "full",
      why: "no stamp of pool main could hold this weight, even empty",
    });
  });

  test("a stamp that may hold nobody does not upset the order", () => {
    const zero = candidate("a", { capacity: { tenants: 0, units: {} } });
    const weightless = { ...acme, weight: { tenants: 0 } };
    expect(choosePlacement(weightless, [zero, candidate("b")])).toEqual({ kind: "place", stamp: "b" });
  });

  test("never goes over any unit of capacity, nor onto a stamp that is not active (I32)", () => {
    const phase = fc.constantFrom(...(Object.keys(stampNext) as StampPhase[]));
    const amount = fc.nat({ max: 5 });
    const anyCandidate = fc.record({
      name: fc.string({ minLength: 1, maxLength: 4 }),
      region: fc.constantFrom("eu", "us"),
      phase,
      capacity: fc.record({ tenants: amount, units: fc.record({ rps: amount }) }),
      used: fc.record({ tenants: amount, units: fc.record({ rps: amount }) }),
    });
    const request = fc.record({
      pool: fc.constant("main"),
      residency: fc.subarray(["eu", "us"]),
      weight: fc.record({ tenants: amount, rps: amount }),
    });
    const several = fc.uniqueArray(anyCandidate, { selector: (c) => c.name, maxLength: 6 });
    fc.assert(
      fc.property(request, several, (wanted, all) => {
        const placement = choosePlacement(wanted, all);
        const fits = (c: PlacementCandidate) =>
          c.phase === "active" &&
          c.used.tenants + wanted.weight.tenants <= c.capacity.tenants &&
          (c.used.units["rps"] ?? 0) + wanted.weight.rps <= (c.capacity.units["rps"] ?? 0) &&
          (wanted.residency.length === 0 || wanted.residency.includes(c.region as "eu"));
        if (placement.kind !== "place") {
          expect(all.some(fits)).toBe(false);
          return;
        }
        const chosen = all.find((c) => c.name === placement.stamp);
        expect(chosen !== undefined && fits(chosen)).toBe(true);
        expect(choosePlacement(wanted, [...all].reverse())).toEqual(placement);
      }),
    );
  });

  test("hasRoom() counts a tenant as one place where no weight says otherwise", () => {
    expect(hasRoom(candidate("a", { used: { tenants: 1, units: {} } }), {})).toBe(true);
    expect(hasRoom(candidate("a", { used: { tenants: 2, units: {} } }), {})).toBe(false);
  });
});

test("placementTrouble() believes an observation, and lets a stamp that serves without its host go on", () => {
  const since = 0;
  const seen = (over: Partial<StampObservation>): StampObservation => ({
    stamp: "a",
    presence: "present",
    host: "up",
    components: [{ name: "api", replica: 0, status: "healthy", restarts: 0, since }],
    endpoints: [],
    endpointRevision: 1,
    ...over,
  });
  expect(placementTrouble(undefined)).toBeUndefined();
  expect(placementTrouble(seen({}))).toBeUndefined();
  expect(placementTrouble(seen({ host: "down" }))).toBeUndefined();
  expect(placementTrouble(seen({ host: "down", components: [] }))).toMatch(/stamp host is down/);
  expect(placementTrouble(seen({ presence: "absent" }))).toMatch(/nothing of it is left/);
  expect(placementTrouble(seen({ presence: "unknown" }))).toMatch(/does not answer/);
});
