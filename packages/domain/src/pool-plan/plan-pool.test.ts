import { describe, expect, test } from "vitest";
import type { Pool } from "../fleet.ts";
import { dayMs } from "./growth.ts";
import type { PoolState } from "./pool-state.ts";
import { dedicatedPool, planOf, sharedPool, stampWith, today, waiter, waiters } from "./test-pool.ts";

const creates = (over: Partial<PoolState>) =>
  planOf(over).create.map(({ region, reservedFor }) =>
    reservedFor === undefined ? region : `${region}:${reservedFor}`,
  );
const kinds = (over: Partial<PoolState>) => planOf(over).alerts.map(({ kind }) => kind);

describe("planPool() grows", () => {
  test("to its minimum, regions in turn", () => {
    const pool = { ...sharedPool, regions: ["eu", "us"], stamps: { min: 3, max: 5 } };
    expect(creates({ pool })).toEqual(["eu", "us", "eu"]);
    expect(creates({ pool, stamps: [stampWith("a", 0), stampWith("b", 0, { region: "us" })] })).toEqual(["eu"]);
  });

  test("at the low mark of the tightest unit, and not before", () => {
    expect(creates({ stamps: [stampWith("a", 7)] })).toEqual([]);
    expect(creates({ stamps: [stampWith("a", 8)] })).toEqual(["eu"]);
    const loud = stampWith("a", 1, { limits: { tenants: 10, rps: 100 }, used: { tenants: 1, rps: 95 } });
    expect(planOf({ stamps: [loud], newLimits: loud.limits }).create).toEqual([
      { region: "eu", why: "pool shared is at 95% of its rps, and builds from 80%" },
    ]);
    const pool = { ...sharedPool, growth: { low: 0.5 } };
    expect(creates({ pool, stamps: [stampWith("a", 5)] })).toEqual(["eu"]);
  });

  test("sooner for the headroom, and for spare stamps", () => {
    expect(creates({ pool: { ...sharedPool, growth: { headroom: 0.4 } }, stamps: [stampWith("a", 6)] })).toEqual([
      "eu",
    ]);
    const spare = { ...sharedPool, stamps: { min: 1, max: 4, spare: 1 } };
    expect(creates({ pool: spare, stamps: [stampWith("a", 1)] })).toEqual(["eu"]);
    expect(creates({ pool: spare, stamps: [stampWith("a", 1), stampWith("b", 0)] })).toEqual([]);
  });

  test("once: a stamp that is being built counts, and so does one whose first attempts failed", () => {
    const full = stampWith("a", 10);
    for (const phase of ["requested", "provisioning", "verifying", "failed"] as const) {
      expect(creates({ stamps: [full, stampWith("b", 0, { phase, attempts: 4 })], waiting: waiters(3) })).toEqual([]);
    }
  });

  test("past a stamp that cannot be built, but not past two", () => {
    const stuck = (name: string) => stampWith(name, 0, { phase: "failed", attempts: 5 });
    const full = stampWith("a", 10);
    expect(creates({ stamps: [full, stuck("b")] })).toEqual(["eu"]);
    const two = planOf({ stamps: [full, stuck("b"), stuck("c")] });
    expect(two.create).toEqual([]);
    expect(two.waitingOn).toMatch(/^one of b, c to be built or destroyed: pool shared is at 100%/);
    expect(two.alerts.map(({ kind }) => kind)).toEqual(["stuck"]);
  });

  test("as much as those who wait need, a few at a time", () => {
    const pool = { ...sharedPool, stamps: { min: 1, max: 50 } };
    expect(creates({ pool, stamps: [stampWith("a", 10)], waiting: waiters(15) })).toHaveLength(3);
    expect(creates({ pool, stamps: [stampWith("a", 10)], waiting: waiters(400) })).toHaveLength(4);
    const building = ["b", "c", "d"].map((name) => stampWith(name, 0, { phase: "provisioning" }));
    expect(creates({ pool, stamps: [stampWith("a", 10), ...building], waiting: waiters(400) })).toHaveLength(1);
  });

  test("where those who wait may live, also when the pool has room elsewhere", () => {
    const pool = { ...sharedPool, regions: ["eu", "us"] };
    const stamps = [stampWith("a", 10), stampWith("b", 0, { region: "us" })];
    expect(creates({ pool, stamps, waiting: [waiter("acme", { regions: ["eu"] })] })).toEqual(["eu"]);
    expect(creates({ pool, stamps, waiting: [waiter("acme")] })).toEqual([]);
  });

  test("by the part of the pool that a residency rule keeps tenants in", () => {
    const pool = { ...sharedPool, regions: ["eu", "us"] };
    const stamps = [stampWith("a", 9), stampWith("b", 0, { region: "us" })];
    expect(creates({ pool, stamps })).toEqual([]);
    expect(creates({ pool, stamps, residency: [{ name: "gdpr", when: ["eu"], regions: ["eu"] }] })).toEqual(["eu"]);
  });

  test("for the tenants of a stamp that is drained", () => {
    const stamps = [stampWith("a", 5), stampWith("b", 4, { phase: "draining", goal: "drained" })];
    expect(creates({ stamps })).toEqual(["eu"]);
  });

  test("not for an operator's cordon, which is no demand", () => {
    expect(creates({ stamps: [stampWith("a", 9, { phase: "cordoned", goal: "cordoned" })] })).toEqual([]);
  });

  test("before a forecast fills it, one stamp at a time", () => {
    const buildTimeMs = dayMs;
    const history = [0, 1, 2, 3].map((n) => ({ at: today - (3 - n) * dayMs, used: { tenants: 3 + n } }));
    const stamps = [stampWith("a", 6)];
    expect(planOf({ stamps, history, buildTimeMs }).forecast).toEqual({
      unit: "tenants",
      share: 0.6,
      perDay: { tenants: 1 },
      basedOnMs: 3 * dayMs,
      buildTimeMs,
      fullInMs: 4 * dayMs,
      orderInMs: 2.5 * dayMs,
    });
    expect(creates({ stamps, history, buildTimeMs })).toEqual([]);
    expect(planOf({ stamps, history, buildTimeMs: 3 * dayMs }).create).toEqual([
      { region: "eu", why: "pool shared will be full in 4 days, sooner than a stamp is surely built" },
    ]);
    const building = stampWith("b", 0, { phase: "provisioning" });
    expect(creates({ stamps: [...stamps, building], history, buildTimeMs: 30 * dayMs })).toEqual([]);
  });

  test("and makes no trend of one busy minute, nor of samples from the future", () => {
    const history = [
      { at: today - 60_000, used: { tenants: 1 } },
      { at: today, used: { tenants: 6 } },
      { at: today + 30 * dayMs, used: { tenants: 5_000 } },
    ];
    const plan = planOf({ stamps: [stampWith("a", 6)], history });
    expect(plan.create).toEqual([]);
    expect(plan.forecast).toMatchObject({ perDay: {}, basedOnMs: 60_000 });
  });
});

describe("planPool() beside an adopted stamp", () => {
  const zero = stampWith("zero", 12, { adopted: true });

  test("counts its room and its tenants, and not the stamp itself", () => {
    const pool = { ...sharedPool, stamps: { min: 1, max: 1 } };
    expect(creates({ pool, stamps: [zero] })).toEqual(["eu"]);
    expect(creates({ pool, stamps: [zero, stampWith("a", 0)] })).toEqual([]);
    expect(
      creates({
        pool: { ...pool, stamps: { min: 0, max: 2 } },
        stamps: [{ ...zero, goal: "cordoned", phase: "cordoned" }],
      }),
    ).toEqual([]);
  });
});

describe("planPool() stops", () => {
  test("at the maximum, with an alert, and says what it waits for", () => {
    const pool = { ...sharedPool, stamps: { min: 1, max: 2 } };
    const plan = planOf({ pool, stamps: [stampWith("a", 10), stampWith("b", 10)], waiting: waiters(3) });
    expect(plan.create).toEqual([]);
    expect(plan.alerts).toEqual([
      {
        kind: "at-max",
        text: "pool shared has its 2 stamps and needs one more, and 3 tenants wait: tenant tenant-0 waits for a place",
      },
    ]);
    expect(plan.waitingOn).toBe("a higher maximum of stamps: tenant tenant-0 waits for a place");
  });

  test("in a freeze", () => {
    const plan = planOf({ stamps: [stampWith("a", 9)], frozen: "release week" });
    expect(plan.create).toEqual([]);
    expect(plan.waitingOn).toMatch(/^the end of a freeze \(release week\)/);
  });

  test("at a proposal where the pool says so, and creates nothing by itself", () => {
    const pool = { ...sharedPool, automation: { scaleUp: "propose" } } as const;
    const plan = planOf({ pool, stamps: [stampWith("a", 9)] });
    expect(plan.create).toEqual([]);
    const why = "pool shared is at 90% of its tenants, and builds from 80%";
    expect(plan.proposals).toEqual([{ id: "grow-eu-next", kind: "grow", region: "eu", why }]);
    expect(plan.waitingOn).toBe(`somebody's word to build the next stamp: ${why}`);
  });

  test("for a tenant that no new stamp could take", () => {
    const stamps = [stampWith("a", 5)];
    expect(kinds({ stamps, waiting: [waiter("whale", { weight: { tenants: 11 } })] })).toEqual(["too-big"]);
    expect(kinds({ stamps, waiting: [waiter("acme", { regions: ["mars"] })] })).toEqual(["no-region"]);
    expect(
      planOf({ stamps, waiting: [waiter("bank", { conflict: "residency rule gdpr allows eu, and not us" })] }).alerts,
    ).toEqual([{ kind: "no-region", text: "tenant bank can live nowhere: residency rule gdpr allows eu, and not us" }]);
    expect(creates({ stamps, waiting: [waiter("whale", { weight: { tenants: 11 } })] })).toEqual([]);
  });

  test("where a unit is declared as nothing, instead of building for ever", () => {
    const limits = { tenants: 10, gib: 0 };
    expect(creates({ stamps: [stampWith("a", 1, { limits })], newLimits: limits })).toEqual([]);
  });
});

describe("planPool() of dedicated stamps", () => {
  test("builds one for each tenant that waits, in a region it may live in", () => {
    const waiting = [waiter("acme", { regions: ["us"] }), waiter("globex")];
    expect(creates({ pool: dedicatedPool, newLimits: { tenants: 1 }, waiting })).toEqual(["us:acme", "eu:globex"]);
  });

  test("does not build for whom a stamp is kept, or an empty one is there", () => {
    const limits = { tenants: 1 };
    const kept = stampWith("d-1", 0, { limits, reservedFor: "acme", phase: "provisioning" });
    const empty = stampWith("d-2", 0, { limits });
    const pool = dedicatedPool;
    const waiting = [waiter("acme"), waiter("globex"), waiter("initech")];
    expect(creates({ pool, newLimits: limits, stamps: [kept, empty], waiting })).toEqual(["us:initech"]);
  });

  test("is full with its one tenant, whatever its marks are", () => {
    const pool = { ...dedicatedPool, growth: { high: 0.9 } };
    expect(creates({ pool, newLimits: { tenants: 1 }, waiting: [waiter("acme")] })).toEqual(["eu:acme"]);
  });

  test("puts nobody beside a tenant, even where the stamp could hold more", () => {
    const roomy = stampWith("d-1", 1, { limits: { tenants: 10 } });
    expect(creates({ pool: dedicatedPool, stamps: [roomy], waiting: [waiter("acme", { regions: ["eu"] })] })).toEqual([
      "eu:acme",
    ]);
  });

  test("keeps spares, and proposes to remove what was built for a tenant that is no more", () => {
    const limits = { tenants: 1 };
    const pool = { ...dedicatedPool, stamps: { min: 0, max: 4, spare: 1 } };
    expect(creates({ pool, newLimits: limits })).toEqual(["eu"]);
    const stamps = [stampWith("d-1", 0, { limits }), stampWith("d-2", 0, { limits, reservedFor: "acme" })];
    expect(planOf({ pool, newLimits: limits, stamps }).proposals).toMatchObject([
      { id: "scale-down-d-2", why: "it was built for tenant acme, which does not need it" },
    ]);
  });
});

describe("planPool() shrinks", () => {
  const spacious = [stampWith("a", 3), stampWith("b", 3), stampWith("c", 0)];

  test("by a proposal, and acts only where the pool says so", () => {
    const why = "it is empty, and without it the pool is at 30%";
    const plan = planOf({ stamps: spacious });
    expect(plan.steps).toEqual([]);
    expect(plan.proposals).toEqual([{ id: "scale-down-c", kind: "scale-down", step: "drain", stamp: "c", why }]);
    const acting = planOf({ pool: { ...sharedPool, automation: { scaleDown: "act" } }, stamps: spacious });
    expect(acting.steps).toEqual([{ kind: "drain", stamp: "c", why }]);
    expect(acting.proposals).toEqual([]);
  });

  test("never while somebody waits, something is built, or growth will need it", () => {
    const none = (over: Partial<PoolState>) => expect(planOf({ stamps: spacious, ...over }).proposals).toEqual([]);
    none({ waiting: [waiter("whale", { weight: { tenants: 11 } })] });
    none({ stamps: [...spacious, stampWith("d", 0, { phase: "provisioning" })] });
    none({ pool: { ...sharedPool, stamps: { min: 3, max: 4 } } });
    none({ pool: { ...sharedPool, stamps: { min: 1, max: 4, spare: 2 } } });
    none({
      history: [
        { at: today - dayMs, used: { tenants: 2 } },
        { at: today, used: { tenants: 6 } },
      ],
    });
  });

  test("ends what it began, or takes it back when the pool needs the stamp again", () => {
    const leaving = stampWith("c", 0, { phase: "empty", goal: "drained", scalingDown: true });
    expect(planOf({ stamps: [stampWith("a", 3), leaving] }).steps).toMatchObject([{ kind: "destroy", stamp: "c" }]);
    const needed = planOf({ stamps: [stampWith("a", 9), leaving] });
    expect(needed.steps).toMatchObject([{ kind: "recall", stamp: "c" }]);
    expect(needed.create).toEqual([]);
    expect(planOf({ stamps: [stampWith("a", 3), { ...leaving, phase: "draining" }] }).steps).toEqual([]);
    const byOperator = { ...leaving, scalingDown: false };
    expect(planOf({ stamps: [stampWith("a", 3), byOperator] }).steps).toEqual([]);
  });

  test("leaves an adopted stamp alone", () => {
    const stamps = [stampWith("a", 6), stampWith("zero", 0, { adopted: true })];
    expect(planOf({ stamps }).proposals).toEqual([]);
  });
});

describe("planPool() evens out", () => {
  test("proposes moves from a stamp above its limit, and says it is over", () => {
    const over = stampWith("a", 12);
    const plan = planOf({ stamps: [over, stampWith("b", 2)] });
    expect(plan.proposals).toMatchObject([{ kind: "rebalance", from: "a", to: "b", unit: "tenants", amount: 5 }]);
    expect(plan.alerts).toEqual([
      { kind: "over", text: "stamp a is at 120% of its tenants: no tenant is placed on it" },
    ]);
  });

  test("not where stamps are filled one after the other, nor across regions", () => {
    const stamps = [stampWith("a", 9), stampWith("b", 1)];
    expect(planOf({ stamps }).proposals).toMatchObject([{ kind: "rebalance", amount: 4 }]);
    expect(planOf({ pool: { ...sharedPool, placement: { strategy: "pack" } }, stamps }).proposals).toEqual([]);
    expect(planOf({ stamps: [stampWith("a", 9), stampWith("b", 1, { region: "us" })] }).proposals).toEqual([]);
  });

  test("by itself where it may and can, and only proposes it otherwise", () => {
    const stamps = [stampWith("a", 12), stampWith("b", 2)];
    const pool: Pool = { ...sharedPool, automation: { rebalance: "act" } };
    const acting = planOf({ pool, stamps, canMove: true });
    expect(acting).toMatchObject({ rebalance: { from: "a", to: "b" }, proposals: [] });
    for (const over of [{ pool }, { canMove: true }, { pool, canMove: true, frozen: "a holiday" }]) {
      const plan = planOf({ stamps, ...over });
      expect(plan.rebalance).toBeUndefined();
      expect(plan.proposals).toHaveLength(1);
    }
  });
});

describe("planPool() with moves", () => {
  test("builds a stamp of its own for the tenant of a dedicated stamp that is drained, and only one", () => {
    const old = stampWith("old", 1, {
      goal: "drained",
      phase: "draining",
      limits: { tenants: 1 },
      reservedFor: "acme",
    });
    const state = { pool: dedicatedPool, newLimits: { tenants: 1 }, leaving: [waiter("acme", { regions: ["us"] })] };
    const plan = planOf({ ...state, stamps: [old] });
    expect(plan.create).toMatchObject([{ region: "us", reservedFor: "acme" }]);
    const next = stampWith("new", 0, { phase: "requested", region: "us", limits: { tenants: 1 }, reservedFor: "acme" });
    expect(planOf({ ...state, stamps: [old, next] }).create).toEqual([]);
  });

  test("does not take back what it scales down because of ways back that rest there", () => {
    const pool: Pool = { ...sharedPool, automation: { scaleDown: "act" } };
    const resting = { goal: "drained", phase: "draining", scalingDown: true, residents: {} } as const;
    const stamps = [stampWith("a", 7), stampWith("b", 7), stampWith("c", 4, resting)];
    expect(planOf({ pool, stamps, canMove: true })).toMatchObject({ steps: [], create: [] });
    const there = [stampWith("a", 7), stampWith("b", 7), stampWith("c", 4, { ...resting, residents: { tenants: 4 } })];
    expect(planOf({ pool, stamps: there, canMove: true }).steps).toMatchObject([{ kind: "recall", stamp: "c" }]);
  });
});
