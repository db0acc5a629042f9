import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { StampyardError } from "../errors.ts";
import { simulateFleet } from "./simulate-fleet.ts";
import type { SimulatedPool, SimulationInput } from "./simulation-input.ts";

const pool: SimulatedPool = { name: "shared", tenancy: "shared", regions: ["eu"], capacity: { tenants: 100 }, low: 1 };
const plain: SimulationInput = { tenants: 1_000, months: 0, sizes: {}, pools: [pool] };
const own: SimulatedPool = { name: "own", tenancy: "dedicated", regions: ["eu", "us"], capacity: {} };

const last = (input: SimulationInput) => {
  const month = simulateFleet(input).months.at(-1);
  if (month === undefined) throw new Error("There is always a last month");
  return month;
};

const anyInput: fc.Arbitrary<SimulationInput> = fc.record({
  seed: fc.integer({ min: 0, max: 1e9 }),
  tenants: fc.integer({ min: 1, max: 3_000 }),
  months: fc.integer({ min: 0, max: 6 }),
  growthPerMonth: fc.double({ min: 0, max: 0.2, noNaN: true }),
  correlation: fc.double({ min: 0, max: 1, noNaN: true }),
  dedicatedShare: fc.constantFrom(0, 0.01, 0.2),
  sizes: fc.record({
    rps: fc.record({
      kind: fc.constant("lognormal" as const),
      median: fc.constant(1),
      sigma: fc.constantFrom(0.2, 1, 2),
    }),
  }),
  regions: fc.constantFrom({ eu: 1, us: 1 }, { eu: 9, us: 1 }, { eu: 1 }),
  pools: fc
    .record({
      strategy: fc.constantFrom("spread" as const, "pack" as const),
      low: fc.constantFrom(0.5, 0.8, 1),
      headroom: fc.constantFrom(0, 0.25),
      failover: fc.constantFrom("none" as const, "one" as const),
      restoreTested: fc.boolean(),
    })
    .map((rules) => [{ ...pool, ...rules, regions: ["eu", "us"], capacity: { tenants: 50, rps: 60 } }, own]),
});

describe("simulateFleet()", () => {
  test("comes to what can be reckoned by hand", () => {
    expect(last(plain)).toMatchObject({ tenants: 1_000, stamps: 10, fullest: { unit: "tenants", share: 1 } });
    expect(last({ ...plain, pools: [{ ...pool, high: 0.8 }] }).stamps).toBe(13);
    expect(last({ ...plain, pools: [{ ...pool, low: 0.8 }] }).stamps).toBe(13);
    expect(last({ ...plain, pools: [{ ...pool, headroom: 0.5 }] }).stamps).toBe(20);
    expect(last({ ...plain, pools: [{ ...pool, failover: "one" }] }).stamps).toBe(11);
    expect(last({ ...plain, pools: [{ ...pool, stamps: { min: 15, spare: 2 } }] }).stamps).toBe(17);
    expect(last({ ...plain, sizes: { tenants: { kind: "fixed", value: 4 } } }).stamps).toBe(40);
  });

  test("grows month by month, and every tenant counts", () => {
    const { months } = simulateFleet({ ...plain, months: 12, growthPerMonth: 0.05 });
    expect(months.map((month) => month.tenants)).toEqual(
      Array.from({ length: 13 }, (_, month) => Math.round(1_000 * 1.05 ** month)),
    );
    expect(months.at(-1)?.stamps).toBe(18);
  });

  test("builds for the unit that is used up first", () => {
    const sizes = { rps: { kind: "fixed" as const, value: 5 }, gib: { kind: "fixed" as const, value: 1 } };
    const month = last({ ...plain, sizes, pools: [{ ...pool, capacity: { tenants: 100, rps: 50, gib: 1_000 } }] });
    expect(month).toMatchObject({ stamps: 100, fullest: { unit: "rps", share: 1 } });
    expect(month.pools[0]?.used["tenants"]).toBeCloseTo(0.1, 9);
  });

  test("says how much the loss of one stamp takes with it", () => {
    const { blastRadius } = last(plain);
    expect(blastRadius.worstTenants).toBeCloseTo(0.1, 9);
    expect(blastRadius.averageTenants).toBeCloseTo(0.1, 9);
    // One tenant of 50 units among tenants of 1: its stamp carries a third of the load.
    const tiers = [
      { name: "big", share: 0 },
      { name: "small", share: 1 },
    ];
    const sizes = { rps: { kind: "list" as const, values: [...Array.from({ length: 99 }, () => 1), 50] } };
    const uneven = last({
      ...plain,
      tiers,
      sizes,
      tenants: 100,
      pools: [{ ...pool, capacity: { tenants: 100, rps: 60 } }],
    });
    expect(uneven.blastRadius.worstLoad.unit).toBe("rps");
    expect(uneven.blastRadius.worstLoad.share).toBeGreaterThan(0.3);
  });

  test("gives a stamp alone to the biggest, to their tier, and to who fits into none", () => {
    const sizes = { rps: { kind: "lognormal" as const, median: 1, sigma: 1 } };
    const pools = [{ ...pool, capacity: { tenants: 100, rps: 300 } }, own];
    const biggest = last({ ...plain, sizes, pools, dedicatedShare: 0.02, regions: { eu: 1, us: 3 } });
    expect(biggest.pools.reduce((sum, row) => sum + row.own, 0)).toBe(20);
    const alike = last({ ...plain, pools: [pool, own], dedicatedShare: 0.02 });
    expect(alike.pools.reduce((sum, row) => sum + row.own, 0)).toBe(20);
    const tiers = [
      { name: "small", share: 9 },
      { name: "big", share: 1, dedicated: true },
    ];
    const byTier = last({ ...plain, pools: [pool, own], tiers }).pools.reduce((sum, row) => sum + row.own, 0);
    expect(byTier).toBeGreaterThan(60);
    expect(byTier).toBeLessThan(140);
    const { tooBig } = simulateFleet({
      ...plain,
      sizes: { rps: { kind: "fixed", value: 9 } },
      pools: [{ ...pool, capacity: { tenants: 100, rps: 6 } }],
    });
    expect(tooBig).toEqual({ tenants: 1_000, biggest: { unit: "rps", share: 1.5 } });
  });

  test("a tier's scale makes its tenants bigger, and no more of them; a fleet of stamps alone has one tenant on each", () => {
    const sizes = { rps: { kind: "fixed" as const, value: 1 } };
    const pools = [{ ...pool, capacity: { tenants: 100, rps: 1_000 } }, own];
    const tiers = [{ name: "all", share: 1, scale: 20 }];
    expect(last({ ...plain, sizes, pools, tiers })).toMatchObject({ stamps: 20, fullest: { unit: "rps", share: 1 } });
    const weighed = [{ name: "all", share: 1, scale: 20, weight: { rps: 2 } }];
    expect(last({ ...plain, sizes, pools, tiers: weighed }).stamps).toBe(10);
    expect(last({ ...plain, pools, dedicatedShare: 1 }).blastRadius).toMatchObject({ worstTenants: 1 / 1_000 });
  });

  test("makes the same tenants big in every unit as far as it is told", () => {
    const big = { kind: "lognormal" as const, median: 1, sigma: 1 };
    const pools = [{ ...pool, capacity: { tenants: 100, rps: 8, gib: 8 } }];
    const tooBig = (correlation: number) =>
      simulateFleet({ ...plain, tenants: 5_000, sizes: { rps: big, gib: big }, pools, correlation }).tooBig.tenants;
    // Above e^2.08 in a unit are 1.9%: in both at once where they go together, in either where they do not.
    expect(tooBig(1) / 5_000).toBeCloseTo(0.019, 2);
    expect(tooBig(0) / tooBig(1)).toBeGreaterThan(1.5);
  });

  test("counts failover only where a restore was tested (D19)", () => {
    const pools = [{ ...pool, failover: "one" as const }];
    expect(simulateFleet({ ...plain, pools }).failover).toMatchObject([{ stamps: 1, counts: false }]);
    const tested = [{ ...pool, failover: "one" as const, restoreTested: true }];
    expect(simulateFleet({ ...plain, pools: tested }).failover).toMatchObject([{ stamps: 1, counts: true }]);
    expect(simulateFleet({ ...plain, pools: [{ ...pool, restoreTested: true }] }).failover[0]?.stamps).toBe(0);
  });

  test("says when a pool needs more stamps than it may have, and what all of it costs", () => {
    const prices = { currency: "EUR", regions: { us: 50 }, otherwise: 100 };
    const answer = simulateFleet({
      ...plain,
      months: 3,
      growthPerMonth: 0.1,
      pools: [{ ...pool, stamps: { max: 11 } }],
      prices,
    });
    expect(answer.aboveMax).toEqual([{ pool: "shared", max: 11, month: 2, stamps: 13 }]);
    expect(answer.months.map((month) => month.cost)).toEqual([1_000, 1_100, 1_300, 1_400]);
    expect(answer.totalCost).toBe(3_800);
    expect(last({ ...plain, prices, pools: [{ ...pool, regions: ["us"] }] }).cost).toBe(500);
  });

  test("holds its rules whatever it is asked (I32)", () => {
    fc.assert(
      fc.property(anyInput, (input) => {
        const answer = simulateFleet(input);
        expect(simulateFleet(input)).toEqual(answer);
        for (const month of answer.months) {
          expect(month.stamps).toBeGreaterThan(0);
          for (const row of month.pools) {
            expect(row.stamps).toBeGreaterThanOrEqual(row.own);
            for (const share of Object.values(row.used)) expect(share).toBeLessThanOrEqual(1 + 1e-6);
          }
          const { worstTenants, worstLoad, averageTenants } = month.blastRadius;
          expect(averageTenants).toBeLessThanOrEqual(worstTenants + 1e-9);
          expect(Math.max(worstTenants, worstLoad.share)).toBeLessThanOrEqual(1 + 1e-9);
        }
        for (const row of answer.failover) {
          if (input.pools[0]?.failover === "one") expect(row.stamps).toBeGreaterThanOrEqual(1);
        }
        // What comes later changes nothing that came before, but who is among the biggest.
        if (input.dedicatedShare === 0) {
          const shorter = simulateFleet({ ...input, months: 0 });
          expect(shorter.months[0]).toEqual(answer.months[0]);
        }
      }),
      { numRuns: 60 },
    );
  });

  test("reckons with samples above a million tenants, within the error that it says", () => {
    const pools = [{ ...pool, regions: ["eu", "us"], capacity: { tenants: 100, rps: 180 } }];
    const sizes = { rps: { kind: "lognormal", median: 1, sigma: 1 } } as const;
    const answer = simulateFleet({ ...plain, tenants: 3_000_000, sizes, pools });
    const [month] = answer.months;
    expect(month?.tenants).toBe(3_000_000);
    expect(answer.sampled).toMatchObject({ samples: 5, tenantsPerSample: 200_000, factor: 15 });
    const error = answer.sampled?.error ?? 1;
    expect(error).toBeLessThan(0.02);
    // Half a stamp begun in each of two regions is not all of it: samples differ.
    expect(error).toBeGreaterThan(answer.sampled === undefined ? 1 : answer.sampled.factor / (month?.stamps ?? 1));
    expect((month?.blastRadius.averageTenants ?? 0) * (month?.stamps ?? 0)).toBeCloseTo(1, 2);
    // A million tenants are reckoned one by one; three million need three times as much.
    const exact = simulateFleet({ ...plain, tenants: 1_000_000, sizes, pools });
    expect(exact.sampled).toBe(undefined);
    const stamps = 3 * (exact.months[0]?.stamps ?? 0);
    expect(Math.abs((month?.stamps ?? 0) - stamps) / stamps).toBeLessThan(error);
  });

  test("refuses what makes no sense, with every fault", () => {
    const faults = (input: SimulationInput) => {
      try {
        simulateFleet(input);
      } catch (error) {
        if (error instanceof StampyardError) return error.problems.map((problem) => problem.message);
      }
      return [];
    };
    expect(faults({ ...plain, tenants: 0, months: 999 })).toHaveLength(2);
    expect(faults({ ...plain, pools: [] })[0]).toContain("no shared pool");
    expect(faults({ ...plain, sizes: { rps: { kind: "fixed", value: 1 } } })[0]).toContain("rps");
    expect(faults({ ...plain, regions: { eu: 1, mars: 1 } })[0]).toContain("mars");
    expect(faults({ ...plain, dedicatedShare: 0.1 })[0]).toContain("No dedicated pool");
    expect(faults({ ...plain, pools: [{ ...pool, tiers: ["gold"] }] })[0]).toContain("tier standard");
    expect(faults({ ...plain, tenants: 999_000_000, months: 120, growthPerMonth: 1 })[0]).toContain("at the end");
  });
});
