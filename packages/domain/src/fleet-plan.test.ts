import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Fleet, Pool } from "./fleet.ts";
import { type FleetGoal, type FleetState, nextStamps, planFleet } from "./fleet-plan.ts";
import type { Stamp, StampState } from "./stamp.ts";

const pool: Pool = {
  name: "main",
  tenancy: "shared",
  regions: ["eu", "us"],
  stamps: { min: 2, max: 3 },
  parameters: {},
};
const fleet: Fleet = { name: "notes", template: "stamp.yaml", pools: [pool], routing: { domains: ["localhost"] } };

function goalOf(wanted: Fleet, digest: `sha256:${string}` = "sha256:r1"): FleetGoal {
  return {
    fleet: wanted,
    release: { digest, version: "1.0.0" },
    stampDigest: ({ name, region }) => `sha256:${digest}-${name}-${region}`,
  };
}

function stamp(name: string, region: string, over: Partial<Stamp> = {}): Stamp {
  return {
    name,
    pool: "main",
    region,
    state: { kind: "active" },
    goal: "present",
    origin: "built",
    releaseDigest: "sha256:r1",
    parameters: {},
    stampDigest: `sha256:sha256:r1-${name}-${region}`,
    capacity: { tenants: 10, units: {} },
    endpoints: [],
    endpointRevision: 1,
    ...over,
  };
}

const empty: FleetState = { fleet: undefined, release: undefined, stamps: [] };

/** What the store does with a plan. */
function carryOut(state: FleetState, goal: FleetGoal): FleetState {
  const plan = planFleet(state, goal);
  const stamps = state.stamps.map((old) => {
    const update = plan.changes.find((change) => change.kind === "stamp-update" && change.stamp === old.name);
    return update?.kind === "stamp-update" ? { ...old, stampDigest: update.to } : old;
  });
  const created = plan.changes.flatMap((change) => {
    if (change.kind !== "stamp-create") return [];
    const wanted = goal.fleet.pools.find((candidate) => candidate.name === change.pool) as Pool;
    const { stamp: name, region } = change;
    const stampDigest = goal.stampDigest({ name, pool: wanted, region });
    return [stamp(name, region, { pool: change.pool, stampDigest, state: { kind: "requested" } })];
  });
  return { fleet: goal.fleet, release: goal.release.digest, stamps: [...stamps, ...created] };
}

describe("planFleet()", () => {
  test("creates the release, the routing, the pools and their first stamps, regions in turn", () => {
    expect(planFleet(empty, goalOf(fleet))).toEqual({
      notes: [],
      changes: [
        { kind: "release-create", digest: "sha256:r1", version: "1.0.0" },
        { kind: "routing-update", rules: expect.arrayContaining(["+ hostnames of tenants"]) },
        { kind: "pool-create", pool: "main" },
        { kind: "stamp-create", stamp: "main-1", pool: "main", region: "eu" },
        { kind: "stamp-create", stamp: "main-2", pool: "main", region: "us" },
      ],
    });
  });

  test("names what changes for the fleet as a whole, so that nothing in the file is left unsaid", () => {
    const state = carryOut(empty, goalOf(fleet));
    const weighed: Fleet = { ...fleet, tiers: { gold: { weight: { rps: 5 } } }, residency: [] };
    expect(planFleet(state, goalOf(weighed)).changes).toEqual([
      { kind: "policy-update", fields: ["residency", "tiers"] },
    ]);
    expect(planFleet(carryOut(empty, goalOf(weighed)), goalOf(weighed)).changes).toEqual([]);
    expect(planFleet(carryOut(empty, goalOf(weighed)), goalOf(fleet)).changes).toEqual([
      { kind: "policy-update", fields: ["residency", "tiers"] },
    ]);
  });

  test("names the changed fields of a pool and the stamps whose rendering changes", () => {
    const state = carryOut(empty, goalOf(fleet));
    const wider: Fleet = { ...fleet, pools: [{ ...pool, stamps: { min: 2, max: 5 } }] };
    expect(planFleet(state, goalOf(wider)).changes).toEqual([
      { kind: "pool-update", pool: "main", fields: ["stamps"] },
    ]);
    expect(planFleet(state, goalOf(fleet, "sha256:r2")).changes.map((change) => change.kind)).toEqual([
      "release-create",
      "stamp-update",
      "stamp-update",
    ]);
  });

  test("never proposes to remove a stamp, and says what stays (D1)", () => {
    const state: FleetState = {
      fleet: { ...fleet, pools: [pool, { ...pool, name: "old" }] },
      release: "sha256:r1",
      stamps: ["a", "b", "c", "d"].map((n) => stamp(`main-${n}`, "eu")).concat(stamp("old-1", "eu", { pool: "old" })),
    };
    const smaller: Fleet = { ...fleet, pools: [{ ...pool, regions: ["us"] }] };
    const plan = planFleet(state, goalOf(smaller));
    expect(plan.changes.map((change) => change.kind)).toEqual(["pool-update"]);
    expect(plan.notes).toHaveLength(6);
    expect(plan.notes.join("\n")).toMatch(
      /4 stamps and a maximum of 3[\s\S]*stays in eu[\s\S]*pool old is not in the file/,
    );
  });

  test("a leaving stamp keeps its name until it is gone, and another takes its place", () => {
    const state: FleetState = {
      fleet,
      release: "sha256:r1",
      stamps: [stamp("main-1", "eu", { goal: "absent" }), stamp("main-2", "us")],
    };
    expect(planFleet(state, goalOf(fleet)).changes).toEqual([
      { kind: "stamp-create", stamp: "main-3", pool: "main", region: "us" },
    ]);
    const gone: StampState = { kind: "gone" };
    const after = { ...state, stamps: [stamp("main-1", "eu", { state: gone }), stamp("main-2", "us")] };
    expect(planFleet(after, goalOf(fleet)).changes).toMatchObject([{ kind: "stamp-create", stamp: "main-1" }]);
    const reserved = { ...after, reservedNames: ["main-1"] };
    expect(planFleet(reserved, goalOf(fleet)).changes).toMatchObject([{ kind: "stamp-create", stamp: "main-3" }]);
  });

  test("plans nothing once carried out, from any fleet to any other", () => {
    const anyPool = fc.record({
      name: fc.constantFrom("main", "big", "eu"),
      tenancy: fc.constantFrom("shared" as const, "dedicated" as const),
      regions: fc.uniqueArray(fc.constantFrom("eu", "us", "ap"), { minLength: 1 }),
      stamps: fc.record({ min: fc.nat({ max: 4 }), max: fc.integer({ min: 4, max: 6 }) }),
      parameters: fc.dictionary(fc.constantFrom("size", "flag"), fc.nat()),
    });
    const pools = fc.uniqueArray(anyPool, { selector: (p) => p.name, minLength: 1 });
    const release = fc.constantFrom("sha256:r1" as const, "sha256:r2" as const);
    const steps = fc.array(fc.tuple(pools, release), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(steps, (history) => {
        let state = empty;
        for (const [wanted, digest] of history) {
          const before = state.stamps.map((s) => s.name);
          const goal = goalOf({ ...fleet, pools: wanted }, digest);
          state = carryOut(state, goal);
          expect(planFleet(state, goal).changes).toEqual([]);
          const names = state.stamps.map((s) => s.name);
          expect(new Set(names).size).toBe(names.length);
          expect(names.slice(0, before.length)).toEqual(before);
        }
      }),
    );
  });
});

test("nextStamps() gives no taken name and goes on in turn", () => {
  expect(nextStamps(pool, 1, new Set(["main-1", "main-3"]), 3)).toEqual([
    { name: "main-2", region: "us" },
    { name: "main-4", region: "eu" },
    { name: "main-5", region: "us" },
  ]);
  expect(nextStamps(pool, 5, new Set(), -2)).toEqual([]);
});
