import { expect, test } from "vitest";
import { addUnits } from "../capacity.ts";
import type { PlacementCandidate } from "../placement/candidate.ts";
import { choosePlacement } from "../placement/choose.ts";
import { simulateFleet } from "./simulate-fleet.ts";
import { drawTenants } from "./simulated-tenants.ts";
import type { SimulationInput } from "./simulation-input.ts";

const units = ["gib", "rps", "tenants"];
const limits = { tenants: 40, rps: 60, gib: 30 };
const low = 0.8;

/** The same tenants, one after the other, by the planner that places real ones. */
function placeForReal(input: SimulationInput, strategy: "spread" | "pack"): readonly PlacementCandidate[] {
  const drawn = drawTenants(input, units, input.tenants, input.seed ?? 1);
  const stamps: (PlacementCandidate & { used: Record<string, number> })[] = [];
  const isLow = (weight: Readonly<Record<string, number>>) =>
    Object.entries(limits).some(([unit, limit]) => {
      const used = stamps.reduce((sum, stamp) => sum + (stamp.used[unit] ?? 0), weight[unit] ?? 0);
      return used > low * limit * stamps.length + 1e-9;
    });
  const add = () => {
    const name = `s-${stamps.length + 1}`;
    const basis = { usedBasis: "reserved", high: 1, tenancy: "shared", phase: "active" } as const;
    stamps.push({ name, pool: "shared", region: "eu", limits, used: {}, ...basis });
  };
  for (let tenant = 0; tenant < drawn.count; tenant++) {
    const weight = Object.fromEntries(units.map((unit, n) => [unit, drawn.sizes[tenant * units.length + n] ?? 0]));
    while (isLow(weight)) add();
    const request = {
      key: `t${tenant}`,
      pool: "shared",
      tenancy: "shared",
      tier: "standard",
      residency: [],
      weight,
    } as const;
    let placement = choosePlacement(request, stamps, { strategy, bigShare: 1 });
    if (placement.kind !== "place") {
      add();
      placement = choosePlacement(request, stamps, { strategy, bigShare: 1 });
    }
    const home = stamps.find((stamp) => placement.kind === "place" && stamp.name === placement.stamp);
    if (home !== undefined) home.used = { ...addUnits(home.used, weight) };
  }
  return stamps;
}

test.each(["spread", "pack"] as const)(
  "simulateFleet() with %s comes to the stamps that real placement takes",
  (strategy) => {
    for (const seed of [1, 2, 3]) {
      const input: SimulationInput = {
        seed,
        tenants: 1_500,
        months: 0,
        sizes: {
          rps: { kind: "lognormal", median: 0.8, sigma: 1 },
          gib: { kind: "pareto", min: 0.3, alpha: 2, max: 20 },
        },
        pools: [{ name: "shared", tenancy: "shared", regions: ["eu"], capacity: limits, strategy, low }],
      };
      const real = placeForReal(input, strategy);
      const [month] = simulateFleet(input).months;
      expect(Math.abs((month?.stamps ?? 0) - real.length) / real.length, `seed ${seed}`).toBeLessThanOrEqual(0.03);
      const worst = Math.max(...real.map((stamp) => stamp.used["tenants"] ?? 0)) / input.tenants;
      expect((month?.blastRadius.worstTenants ?? 0) / worst, `seed ${seed}`).toBeGreaterThan(0.75);
      expect((month?.blastRadius.worstTenants ?? 0) / worst, `seed ${seed}`).toBeLessThan(1.35);
    }
  },
);
