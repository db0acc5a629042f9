import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { defaultGate } from "./default-strategy.ts";
import { gatePower, powerWords } from "./gate-power.ts";
import { quantile, slowFrom } from "./histogram.ts";
import { lookAlpha } from "./spend-alpha.ts";
import { bellAbove, bellTail, countTail } from "./tails.ts";

const minute = 60_000;
const first = { index: 0, of: 4 };
const at = (updatedPerMinute: number, siblingsPerMinute: number, minutes: number) => ({
  updatedPerMinute,
  siblingsPerMinute,
  bakeMs: minutes * minute,
});

describe("gatePower()", () => {
  test("sees five points nearly always from 600 requests, and says how little more it would see", () => {
    const power = gatePower(defaultGate, at(60, 900, 10), first);
    expect(power).toMatchObject({ isEnough: true, requests: { updated: 600, siblings: 9_000 } });
    expect(power.chance).toBeGreaterThan(0.995);
    expect(power.sees).toBeGreaterThan(0.02);
    expect(power.sees).toBeLessThan(0.04);
    expect(powerWords(power)).toMatch(
      /^about 600 requests beside 9000: an increase of the error share by 5 points is seen with 100%, one of .* nine/,
    );
  });

  test("says what is too little, and after how long there would be enough", () => {
    const power = gatePower(defaultGate, at(5, 50, 10), first);
    expect(power).toMatchObject({ isEnough: false, chance: 0, enoughAfterMs: 60 * minute });
    expect(powerWords(power)).toBe("about 50 requests beside 500: too few for a verdict, enough after 60 min of bake");
    expect(powerWords(gatePower(defaultGate, at(0, 0, 10), first))).toContain("there is no traffic to judge by");
    expect(gatePower(defaultGate, at(600, 0, 10), first).isEnough).toBe(false);
  });

  test("hardly sees 1% become 6% from 50 requests beside 50, as decision D20 has it", () => {
    const rule = { ...defaultGate, errors: { worse: 0.01, leastRequests: { updated: 1, siblings: 1 } } };
    expect(gatePower(rule, { ...at(5, 5, 10), pastMs: 10 * minute }, first).chance).toBeLessThan(0.1);
  });

  test("grows with traffic and shrinks with clumps, and promises nothing to a look without alpha", () => {
    const traffic = fc.integer({ min: 30, max: 3_000 });
    fc.assert(
      fc.property(traffic, fc.integer({ min: 1, max: 5 }), (perMinute, clumping) => {
        const of = (factor: number, clumps: number) =>
          gatePower(defaultGate, { ...at(perMinute * factor, perMinute * factor * 10, 10), clumping: clumps }, first);
        // A count is a whole number, so a little more traffic may cost a little.
        expect(of(2, clumping).chance).toBeGreaterThanOrEqual(of(1, clumping).chance - 0.02);
        expect(of(1, clumping + 1).chance).toBeLessThanOrEqual(of(1, clumping).chance + 0.02);
      }),
      { numRuns: 30 },
    );
    expect(gatePower(defaultGate, at(600, 6_000, 10), { index: 4, of: 4 }).chance).toBe(0);
  });
});

describe("lookAlpha()", () => {
  test("spends no more than alpha over all looks that are declared, and nothing on others", () => {
    for (let of = 1; of <= 50; of++) {
      let spent = 0;
      for (let index = -1; index < of + 3; index++) {
        spent += lookAlpha(defaultGate, "errors", { index, of }) + lookAlpha(defaultGate, "latency", { index, of });
      }
      expect(spent).toBeCloseTo(defaultGate.alpha, 12);
    }
  });
});

describe("tails", () => {
  test("countTail() is the tail of Poisson's distribution, and a longer one in clumps", () => {
    // 1 - sum of e^-3 3^k / k! for k below 9.
    expect(countTail(9, 3, 1)).toBeCloseTo(0.003_803, 6);
    expect(countTail(0, 3, 1)).toBe(1);
    expect(countTail(1, 0, 1)).toBe(0);
    // Negative binomial of size 3 and mean 3: 1 - P(0) - P(1) = 1 - 1/8 - 3/16.
    expect(countTail(2, 3, 2)).toBeCloseTo(1 - 1 / 8 - 3 / 16, 9);
    expect(countTail(9, 3, 2)).toBeGreaterThan(countTail(9, 3, 1));
    expect(countTail(30_000, 29_000, 1)).toBeCloseTo(bellTail(999.5 / Math.sqrt(29_000)), 9);
  });

  test("countTail() falls with the count and stays a chance, however far out", () => {
    const mean = fc.double({ min: 0.01, max: 3_000, noNaN: true });
    fc.assert(
      fc.property(mean, fc.double({ min: 1, max: 20, noNaN: true }), fc.nat({ max: 5_000 }), (m, spread, count) => {
        const here = countTail(count, m, spread);
        expect(here).toBeGreaterThanOrEqual(0);
        expect(here).toBeLessThanOrEqual(1);
        expect(countTail(count + 1, m, spread)).toBeLessThanOrEqual(here + 1e-9);
      }),
      { numRuns: 200 },
    );
  });

  test("bellAbove() undoes bellTail()", () => {
    for (const chance of [0.5, 0.1, 0.01, 0.000_1]) expect(bellTail(bellAbove(chance))).toBeCloseTo(chance, 7);
    expect(bellAbove(0.025)).toBeCloseTo(1.96, 2);
  });
});

describe("histograms", () => {
  test("quantile() lies inside the class that holds it, and slowFrom() above nine of ten", () => {
    const counts = new Array<number>(22).fill(0);
    counts[6] = 80; // 7.5 to 10 ms
    counts[10] = 20; // 30 to 50 ms
    expect(quantile(counts, 0.9)).toBeCloseTo(40, 9);
    expect(quantile(counts, 0.4)).toBeCloseTo(8.75, 9);
    expect(quantile(new Array<number>(22).fill(0), 0.9)).toBeUndefined();
    expect([7, 8, 9, 10, 11]).toContain(slowFrom(counts));
    counts[10] = 12;
    expect(slowFrom(counts)).toBeLessThanOrEqual(10);
    // All in the last class: nothing can be slower, and nothing breaks.
    expect(quantile([...new Array<number>(21).fill(0), 5], 0.9)).toBe(15_000);
  });
});
