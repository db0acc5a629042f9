import { describe, expect, test } from "vitest";
import { permutedTail } from "./permute.ts";

/** Half of them one deviation above what was expected, half of them one below. */
const coins = Float64Array.from({ length: 2_000 }, (_, index) => (index % 2 === 0 ? 1 : -1));
const options = { seed: "a test", alpha: 0.001 };
const four = [1, 1, 1, 1];

describe("permutedTail()", () => {
  test("finds the chance of four heads", () => {
    const rare = permutedTail(4, four, coins, 1, { ...options, alpha: 0.000_1 });
    expect(rare).toBeGreaterThan(0.04);
    expect(rare).toBeLessThan(0.09);
    expect(permutedTail(0, four, coins, 1, options)).toBeGreaterThan(0.5);
  });

  test("never says never: what no draw reaches has the chance that one more would", () => {
    expect(permutedTail(5, four, coins, 1, options)).toBeCloseTo(1 / 20_001, 9);
    // Widened, it is reached as often as four heads are.
    expect(permutedTail(5, four, coins, 1.25, options)).toBeGreaterThan(0.03);
  });

  test("counts from the middle of what is dealt out, and says the same of the same seed", () => {
    const moved = coins.map((coin) => coin + 7);
    expect(permutedTail(4, four, moved, 1, options)).toBe(permutedTail(4, four, coins, 1, options));
    expect(permutedTail(2, four, coins, 1, options)).toBe(permutedTail(2, four, coins, 1, options));
  });

  test("cannot say anything of too few", () => {
    expect(permutedTail(9, [], coins, 1, options)).toBe(1);
    expect(permutedTail(9, four, coins.slice(0, 4), 1, options)).toBe(1);
  });

  test("takes parts of a great wave together, with the same deviation", () => {
    const many = Array.from({ length: 10_000 }, () => 0.02);
    // The sum has a deviation of 2; 4 of it is two deviations.
    const p = permutedTail(4, many, coins, 1, options);
    expect(p).toBeGreaterThan(0.01);
    expect(p).toBeLessThan(0.05);
  });
});
