import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { StampyardError } from "../errors.ts";
import { seededNumbers } from "./seeded-numbers.ts";
import { normalAbove, type SizeDistribution, sizeOf } from "./size-distribution.ts";

const some: readonly SizeDistribution[] = [
  { kind: "fixed", value: 3 },
  { kind: "lognormal", median: 2, sigma: 1.5 },
  { kind: "pareto", min: 1, alpha: 1.2, max: 1e6 },
  {
    kind: "buckets",
    buckets: [
      { share: 1, value: 100 },
      { share: 99, value: 1 },
    ],
  },
  { kind: "list", values: [5, 1, 9, 1] },
];

describe("sizeOf()", () => {
  test.each(some)("$kind never gives a bigger tenant less", (distribution) => {
    const size = sizeOf(distribution);
    fc.assert(
      fc.property(
        fc.double({ min: -8, max: 8, noNaN: true }),
        fc.double({ min: 1e-3, max: 3, noNaN: true }),
        (z, more) => {
          expect(size(z + more)).toBeGreaterThanOrEqual(size(z));
        },
      ),
    );
  });

  test.each(some)("$kind draws what it says, over many tenants", (distribution) => {
    const numbers = seededNumbers(7);
    const size = sizeOf(distribution);
    const drawn = Float64Array.from({ length: 100_000 }, () => size(numbers.normal())).toSorted();
    const at = (share: number) => drawn[Math.floor(share * drawn.length)] ?? 0;
    switch (distribution.kind) {
      case "fixed":
        return expect([at(0), at(0.999)]).toEqual([3, 3]);
      case "lognormal":
        expect(at(0.5)).toBeCloseTo(2, 1);
        return expect(at(0.8413) / (2 * Math.exp(1.5))).toBeCloseTo(1, 1);
      case "pareto":
        expect(at(0)).toBeGreaterThanOrEqual(1);
        // P(X > 10) = 10^-1.2 = 6.3%
        return expect(drawn.filter((value) => value > 10).length / drawn.length).toBeCloseTo(10 ** -1.2, 2);
      case "buckets":
        return expect(drawn.filter((value) => value === 100).length / drawn.length).toBeCloseTo(0.01, 2);
      case "list":
        return expect(drawn.filter((value) => value === 1).length / drawn.length).toBeCloseTo(0.5, 1);
    }
  });

  test("refuses what is no distribution", () => {
    const bad: readonly SizeDistribution[] = [
      { kind: "fixed", value: Number.NaN },
      { kind: "lognormal", median: -1, sigma: 1 },
      { kind: "lognormal", median: 1, sigma: 9 },
      { kind: "pareto", min: 1, alpha: 0 },
      { kind: "pareto", min: 10, alpha: 1, max: 1 },
      { kind: "buckets", buckets: [] },
      { kind: "buckets", buckets: [{ share: 0, value: 1 }] },
    ];
    for (const distribution of bad) expect(() => sizeOf(distribution)).toThrow(StampyardError);
  });
});

test("normalAbove() is right in the middle and far out, where the biggest tenants are", () => {
  const known: readonly (readonly [number, number])[] = [
    [0, 0.5],
    [1, 0.158655253931457],
    [-1, 0.841344746068543],
    [3, 1.349898031630095e-3],
    [5, 2.866515718791939e-7],
  ];
  for (const [z, above] of known) expect(normalAbove(z) / above).toBeCloseTo(1, 5);
});

test("seededNumbers() gives the same numbers again, others for another seed, and even ones", () => {
  const draw = (seed: number) => {
    const numbers = seededNumbers(seed);
    return Array.from({ length: 8 }, () => numbers.uniform());
  };
  expect(draw(1)).toEqual(draw(1));
  expect(draw(1)).not.toEqual(draw(2));
  expect(draw(1)).not.toEqual(draw(1 + 2 ** 32));
  const numbers = seededNumbers(3);
  let sum = 0;
  for (let n = 0; n < 100_000; n++) sum += numbers.uniform();
  expect(sum / 100_000).toBeCloseTo(0.5, 2);
});
