import { seededNumbers } from "./seeded-numbers.ts";
import { type SimulationInput, tiersOf } from "./simulation-input.ts";
import { sizeOf } from "./size-distribution.ts";

/** Tenants as columns: a million objects would be a hundred megabytes. */
export interface SimulatedTenants {
  readonly count: number;
  /** `sizes[tenant * units + unit]`. */
  readonly sizes: Float64Array;
  readonly tier: Uint16Array;
  /** At least 0 and below 1: which part of its pool's regions it belongs to. */
  readonly region: Float64Array;
}

/**
 * Draws tenants in the order in which they come. Each takes the same count of numbers from the seed, so a longer look
 * ahead adds tenants and changes none.
 */
export function drawTenants(
  input: SimulationInput,
  units: readonly string[],
  count: number,
  seed: number,
): SimulatedTenants {
  const numbers = seededNumbers(seed);
  const correlation = input.correlation ?? 0.7;
  const own = Math.sqrt(1 - correlation * correlation);
  const draws = units.map((unit) => sizeOf(input.sizes[unit] ?? { kind: "fixed", value: unit === "tenants" ? 1 : 0 }));
  const tiers = tiersOf(input);
  const upTo = cumulative(tiers.map((tier) => tier.share));
  const sizes = new Float64Array(count * units.length);
  const tier = new Uint16Array(count);
  const region = new Float64Array(count);
  for (let tenant = 0; tenant < count; tenant++) {
    const chosen = indexIn(upTo, numbers.uniform());
    tier[tenant] = chosen;
    region[tenant] = numbers.uniform();
    const { scale = 1, weight } = tiers[chosen] ?? {};
    const together = numbers.normal();
    for (let unit = 0; unit < units.length; unit++) {
      const name = units[unit] ?? "";
      const alone = numbers.normal();
      const drawn = (draws[unit]?.(correlation * together + own * alone) ?? 0) * scaleOf(name, scale, input);
      sizes[tenant * units.length + unit] = weight?.[name] ?? drawn;
    }
  }
  return { count, sizes, tier, region };
}

/** A big tenant is still one tenant, unless places are drawn too. */
function scaleOf(unit: string, scale: number, input: SimulationInput): number {
  return unit === "tenants" && input.sizes["tenants"] === undefined ? 1 : scale;
}

/** Running sums of shares, ending at 1. */
export function cumulative(shares: readonly number[]): Float64Array {
  const sum = shares.reduce((total, share) => total + share, 0);
  const upTo = new Float64Array(shares.length);
  let running = 0;
  for (const [index, share] of shares.entries()) {
    running += sum > 0 ? share / sum : 1 / shares.length;
    upTo[index] = running;
  }
  return upTo;
}

/** Index of the part that a number from 0 to below 1 falls into. */
export function indexIn(upTo: Float64Array, number: number): number {
  let index = 0;
  while (index < upTo.length - 1 && number >= (upTo[index] ?? 1)) index += 1;
  return index;
}
