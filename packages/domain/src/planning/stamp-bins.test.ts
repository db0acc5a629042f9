import fc from "fast-check";
import { expect, test } from "vitest";
import { stampBins } from "./stamp-bins.ts";

const weights = fc.array(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 3, maxLength: 3 }), {
  maxLength: 400,
});

function fill(strategy: "spread" | "pack", all: readonly (readonly number[])[]) {
  const bins = stampBins(3, strategy);
  const homes = all.map((weight) => {
    const at = bins.place(Float64Array.from(weight));
    if (at >= 0) return at;
    bins.open();
    return bins.place(Float64Array.from(weight));
  });
  return { bins, homes };
}

test.each(["spread", "pack"] as const)(
  "stampBins() with %s fills no stamp over its limits, and loses nobody (I32)",
  (strategy) => {
    fc.assert(
      fc.property(weights, (all) => {
        const { bins, homes } = fill(strategy, all);
        const sums = Array.from({ length: bins.count }, () => [0, 0, 0]);
        const counts = Array.from({ length: bins.count }, () => 0);
        for (const [index, home] of homes.entries()) {
          expect(home).toBeGreaterThanOrEqual(0);
          counts[home] = (counts[home] ?? 0) + 1;
          for (const unit of [0, 1, 2])
            (sums[home] ?? [])[unit] = (sums[home]?.[unit] ?? 0) + (all[index]?.[unit] ?? 0);
        }
        for (let stamp = 0; stamp < bins.count; stamp++) {
          expect(bins.tenantsOf(stamp)).toBe(counts[stamp]);
          for (const unit of [0, 1, 2]) {
            expect(bins.loadOf(stamp, unit)).toBeCloseTo(sums[stamp]?.[unit] ?? 0, 9);
            expect(bins.loadOf(stamp, unit)).toBeLessThanOrEqual(1 + 1e-6);
          }
        }
      }),
    );
  },
);

test("stampBins() finds a place on every stamp that has one, while few are open", () => {
  fc.assert(
    fc.property(fc.constantFrom("spread" as const, "pack" as const), weights, (strategy, all) => {
      const bins = stampBins(3, strategy);
      for (let n = 0; n < 12; n++) bins.open();
      for (const weight of all) {
        const hadRoom = Array.from({ length: 12 }, (_, stamp) =>
          weight.every((value, unit) => bins.loadOf(stamp, unit) + value <= 1),
        ).includes(true);
        const at = bins.place(Float64Array.from(weight));
        if (hadRoom) expect(at).toBeGreaterThanOrEqual(0);
      }
    }),
    { numRuns: 50 },
  );
});

test("stampBins() packs the tightest stamp that has room, and spreads to the emptiest", () => {
  const one = (value: number) => Float64Array.of(value);
  for (const strategy of ["pack", "spread"] as const) {
    const bins = stampBins(1, strategy);
    for (const load of [0.2, 0.8, 0.5]) {
      const at = bins.count;
      bins.open();
      // Spread would put it on an emptier one: each is filled while it is the only one with room for so much.
      while (bins.place(one(load)) !== at) throw new Error("the new stamp is the one with room");
      if (strategy === "pack") break;
    }
    if (strategy === "spread") expect(bins.place(one(0.1))).toBe(0);
  }
  const bins = stampBins(1, "pack");
  bins.open();
  bins.place(one(0.8));
  bins.open();
  bins.place(one(0.5));
  bins.open();
  bins.place(one(0.6));
  expect(bins.place(one(0.15))).toBe(0);
  expect(bins.place(one(0.3))).toBe(2);
  expect(bins.place(one(0.3))).toBe(1);
});
