import { StampyardError } from "../errors.ts";

/** How much of a unit tenants take: how many are small, and how big the big ones are. */
export type SizeDistribution =
  | { readonly kind: "fixed"; readonly value: number }
  /** Half of the tenants are below `median`; `sigma` is the spread of the logarithm: 1 is usual, 2 is very uneven. */
  | { readonly kind: "lognormal"; readonly median: number; readonly sigma: number }
  /** Nobody is below `min`; the lower `alpha`, the more the biggest carry (at 1.16 a fifth carries four fifths). */
  | { readonly kind: "pareto"; readonly min: number; readonly alpha: number; readonly max?: number }
  /** Shares of tenants and what each of them takes; shares are relative to their sum. */
  | { readonly kind: "buckets"; readonly buckets: readonly { readonly share: number; readonly value: number }[] }
  /** Sizes of real tenants; each is as likely as the others. */
  | { readonly kind: "list"; readonly values: readonly number[] };

/**
 * The size that belongs to a number of the standard normal distribution: a higher one is never a smaller size. So one
 * number may stand for how big a tenant is, in every unit.
 *
 * @throws StampyardError INVALID_REQUEST
 */
export function sizeOf(distribution: SizeDistribution): (z: number) => number {
  switch (distribution.kind) {
    case "fixed": {
      const value = requireSize(distribution.value, "Fixed size", 0);
      return () => value;
    }
    case "lognormal": {
      const median = requireSize(distribution.median, "Median", 0);
      const sigma = requireSize(distribution.sigma, "Sigma", 0, 5);
      return (z) => median * Math.exp(sigma * z);
    }
    case "pareto": {
      const min = requireSize(distribution.min, "Smallest size", 0);
      const alpha = requireSize(distribution.alpha, "Alpha", 0.2, 100);
      const max = requireSize(distribution.max ?? 1e15, "Largest size", min);
      return (z) => Math.min(max, min * normalAbove(z) ** (-1 / alpha));
    }
    case "buckets":
      return sizeOfBuckets(distribution.buckets);
    case "list":
      return sizeOfBuckets(distribution.values.map((value) => ({ share: 1, value })));
  }
}

function sizeOfBuckets(buckets: readonly { readonly share: number; readonly value: number }[]): (z: number) => number {
  if (buckets.length === 0) throw new StampyardError("INVALID_REQUEST", "A size distribution has no sizes");
  const sorted = buckets.toSorted((one, other) => one.value - other.value);
  const sum = sorted.reduce((total, bucket) => total + requireSize(bucket.share, "Share of a bucket", 0), 0);
  if (sum <= 0) throw new StampyardError("INVALID_REQUEST", "The shares of a size distribution are all 0");
  const values = Float64Array.from(sorted, (bucket) => requireSize(bucket.value, "Size of a bucket", 0));
  // Share of tenants above each bucket, falling.
  const above = new Float64Array(values.length);
  let rest = sum;
  for (const [index, bucket] of sorted.entries()) {
    rest -= bucket.share;
    above[index] = Math.max(0, rest) / sum;
  }
  return (z) => {
    const p = normalAbove(z);
    let low = 0;
    let high = values.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((above[middle] ?? 0) < p) high = middle;
      else low = middle + 1;
    }
    return values[low] ?? 0;
  };
}

/**
 * Share of a standard normal distribution above z. The rational Chebyshev fit of erfc with a relative error below
 * 1.2e-7 everywhere: an absolute one would cut the tail off, and the biggest tenants are the tail.
 */
export function normalAbove(z: number): number {
  const x = Math.abs(z) / Math.SQRT2;
  const t = 1 / (1 + x / 2);
  let sum = 0.17087277;
  for (const factor of [
    -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196, 1.00002368, -1.26551223,
  ]) {
    sum = sum * t + factor;
  }
  const tail = (t * Math.exp(sum - x * x)) / 2;
  return z >= 0 ? tail : 1 - tail;
}

function requireSize(value: number, what: string, min: number, max = 1e15): number {
  if (Number.isFinite(value) && value >= min && value <= max) return value;
  throw new StampyardError("INVALID_REQUEST", `${what} is ${value}, and should be from ${min} to ${max}`);
}
