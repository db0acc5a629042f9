import { createSeededRandom, forSeeds, type SeededRandom } from "@stampyard/testing";
import { describe, expect, test } from "vitest";
import { highMark, type Pool } from "../fleet.ts";
import { isBuilding } from "../placement/filters.ts";
import { isPresent, isStuck } from "./room.ts";
import { dedicatedPool, sharedPool } from "./test-pool.ts";
import { createPoolWorld, type Faults, type PoolWorld } from "./test-pool-world.ts";

const regions = ["eu", "us"];
const calm: Faults = { buildFails: 0, clockJumps: 0 };

function randomPool(random: SeededRandom): Pool {
  const base = random.chance(0.3) ? dedicatedPool : sharedPool;
  const min = random.int(0, 2);
  return {
    ...base,
    regions,
    stamps: { min, max: min + random.int(1, 5), spare: random.int(0, 1) },
    placement: { strategy: random.chance(0.5) ? "spread" : "pack" },
    growth: { low: random.pick([0.5, 0.8]), high: random.pick([0.9, 1]), headroom: random.pick([0, 0.3]) },
    automation: { scaleDown: random.chance(0.7) ? "act" : "propose" },
  };
}

function newTenant(random: SeededRandom, key: string) {
  const bound = random.chance(0.3) ? [random.pick(regions)] : [];
  const weight = { tenants: random.chance(0.1) ? 2 : 1, rps: random.int(0, 20) };
  return { key, regions: bound, weight };
}

/** Plain, because it is asked a million times. */
function must(holds: boolean, what: () => string): void {
  if (!holds) throw new Error(what());
}

/** What must hold after every turn, whatever happened. */
function check(world: PoolWorld): void {
  const { pool, stamps, tenants, limits } = world;
  const present = world.state().stamps.filter(isPresent);
  must(present.length <= pool.stamps.max, () => `${present.length} stamps, and a maximum of ${pool.stamps.max}`);
  const building = present.filter((stamp) => isBuilding(stamp.phase) && !isStuck(stamp));
  // Stuck ones are tried again beside those that were begun meanwhile.
  must(building.length <= 6, () => `${building.length} builds at a time`);
  const byName = new Map(stamps.map((stamp) => [stamp.name, stamp]));
  for (const { name } of stamps) {
    const used = world.used(name);
    for (const [unit, limit] of Object.entries(limits)) {
      const most = limit * highMark(pool) + 1e-6;
      must((used[unit] ?? 0) <= most, () => `${used[unit]} ${unit} on ${name}, which has ${limit} (I32)`);
    }
  }
  for (const { key, stamp: home, regions: allowed } of tenants.values()) {
    if (home === undefined) continue;
    const stamp = byName.get(home);
    must(stamp !== undefined, () => `stamp ${home} vanished under its tenant ${key} (I31)`);
    must(allowed.length === 0 || allowed.includes(stamp?.region ?? ""), () => `${key} lives in ${stamp?.region}`);
    must((stamp?.reservedFor ?? key) === key, () => `${key} lives on ${home}, kept for ${stamp?.reservedFor}`);
  }
}

function history(random: SeededRandom): void {
  const pool = randomPool(random);
  const limits = pool.tenancy === "dedicated" ? { tenants: 1, rps: 100 } : { tenants: 5, rps: 100 };
  const base = { ...pool, ...(pool.tenancy === "dedicated" ? { growth: {} } : {}) };
  const world = createPoolWorld(random, base, limits);
  const faults = { buildFails: random.pick([0, 0.3, 0.7]), clockJumps: 0.05 };
  const appetite = random.next();
  let keys = 0;
  for (let n = 0; n < 40; n++) {
    while (random.chance(appetite * 0.6)) {
      keys += 1;
      world.arrive(newTenant(random, `t-${keys}`));
    }
    if (world.tenants.size > 0 && random.chance(0.2)) world.leave(random.pick([...world.tenants.keys()]));
    if (random.chance(0.05)) world.want(random.pick(["present", "cordoned", "drained"]));
    world.turn(faults);
    check(world);
  }
  settle(world);
}

/** Once faults stop and nobody comes any more, the pool comes to rest (I29). */
function settle(world: PoolWorld): void {
  world.release();
  let quiet = 0;
  let plan = world.turn(calm);
  for (let n = 0; n < 400 && quiet < 6; n++) {
    plan = world.turn(calm);
    check(world);
    const busy = world
      .state()
      .stamps.some((stamp) => !isPresent(stamp) || isBuilding(stamp.phase) || stamp.scalingDown);
    quiet = busy || plan.create.length > 0 || plan.steps.length > 0 ? 0 : quiet + 1;
  }
  expect(quiet, "turns at rest").toBe(6);
  const present = world.state().stamps.filter(isPresent).length;
  expect(present).toBeGreaterThanOrEqual(Math.min(world.pool.stamps.min, world.pool.stamps.max));
  // Whoever still waits, waits for a higher maximum, and somebody is told.
  if (world.waiting().length > 0) {
    expect(present).toBe(world.pool.stamps.max);
    expect(plan.alerts.map(({ kind }) => kind)).toContain("at-max");
    expect(plan.waitingOn).toBeDefined();
  }
}

describe("a simulated pool", () => {
  test("keeps limits, homes and its maximum through failures, drains and clock jumps, and comes to rest (I29, I31, I32)", async () => {
    await forSeeds(1_000, history);
  }, 60_000);

  test("builds the next stamp before it is full, so that steady growth waits for nobody", async () => {
    await forSeeds(100, (random) => {
      const pool: Pool = { ...sharedPool, stamps: { min: 1, max: 30 }, growth: { low: 0.6 } };
      const world = createPoolWorld(random, pool, { tenants: 20 });
      for (let n = 0; n < 8; n++) world.turn(calm);
      for (let n = 0; n < 200; n++) {
        expect(world.arrive({ key: `t-${n}`, regions: [], weight: {} })).toBe("placed");
        world.turn(calm);
      }
      expect(world.stamps.length).toBeLessThanOrEqual(200 / 20 + 7);
    });
  });

  test("is the same for the same seed", () => {
    const run = () => {
      const random = createSeededRandom(7);
      const world = createPoolWorld(random, { ...sharedPool, stamps: { min: 1, max: 9 } }, { tenants: 5, rps: 100 });
      for (let n = 0; n < 60; n++) {
        world.arrive(newTenant(random, `t-${n}`));
        world.turn({ buildFails: 0.3, clockJumps: 0.1 });
      }
      return JSON.stringify([world.stamps, [...world.tenants.values()]]);
    };
    expect(run()).toBe(run());
  });
});
