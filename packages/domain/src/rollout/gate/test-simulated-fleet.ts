import { type SeededNumbers, seededNumbers } from "../../planning/seeded-numbers.ts";
import { type EvidenceBucket, latencyBounds } from "../evidence.ts";

/** How a simulated fleet behaves. Shares are of requests. */
export interface Habits {
  readonly stamps: number;
  /** Requests per minute of the stamp in the middle; others are up to about five times quieter or busier. */
  readonly perMinute: number;
  /** Share that fails in the stamp in the middle. */
  readonly errors: number;
  /** 0 = requests fail independently of each other, with one share everywhere; 1 = habits as tenants have them. */
  readonly wild: number;
}

export interface SimulatedFleet {
  readonly names: readonly string[];
  /** By name: requests per minute. */
  readonly perMinute: ReadonlyMap<string, number>;
  /** Buckets of every stamp up to a time; the clock only goes on. */
  until(now: number): readonly EvidenceBucket[];
  /** From now on this stamp runs something else. */
  change(stamp: string, effect: Effect): void;
}

/** What a release does to a stamp: added failures, and a factor and milliseconds to each answer's time. */
export interface Effect {
  readonly errors?: number;
  readonly slower?: number;
  readonly addedMs?: number;
}

interface Tenant {
  readonly weight: number;
  readonly errors: number;
  /** A bad time of it: how often it begins and ends, per minute, and what fails then beyond its usual share. */
  readonly begins: number;
  readonly ends: number;
  readonly badErrors: number;
  isBad: boolean;
}

interface Stamp {
  readonly name: string;
  readonly perMs: number;
  readonly tenants: readonly Tenant[];
  readonly medianMs: number;
  readonly sigma: number;
  mood: number;
  pace: number;
  effect: Effect;
}

/**
 * Stamps with tenants of different habits: sizes that differ, shares of failures that differ, bad minutes of single tenants,
 * traffic that comes in bursts, moods of stamps and of the whole fleet that last.
 */
export function simulatedFleet(seed: number, habits: Habits, bucketMs: number): SimulatedFleet {
  const numbers = seededNumbers(seed);
  const stamps = Array.from({ length: habits.stamps }, (_, index) => stampOf(index, habits, numbers));
  const byName = new Map(stamps.map((stamp) => [stamp.name, stamp]));
  const buckets: EvidenceBucket[] = [];
  const { wild } = habits;
  let clock = 0;
  let trouble = 0;
  return {
    names: stamps.map(({ name }) => name),
    perMinute: new Map(stamps.map(({ name, perMs }) => [name, perMs * 60_000])),
    change: (name, effect) => {
      const stamp = byName.get(name);
      if (stamp !== undefined) stamp.effect = effect;
    },
    until: (now) => {
      for (; clock + bucketMs <= now; clock += bucketMs) {
        // Once in some hours, what all of them lean on is in trouble for minutes.
        const step = bucketMs / 60_000;
        if (trouble === 0 && numbers.uniform() < wild * step * 0.004) trouble = 0.01 + 0.04 * numbers.uniform();
        else if (trouble > 0 && numbers.uniform() < step * 0.3) trouble = 0;
        for (const stamp of stamps) buckets.push(bucketOf(stamp, clock, bucketMs, trouble, wild, numbers));
      }
      return buckets;
    },
  };
}

function stampOf(index: number, { perMinute, errors, wild }: Habits, numbers: SeededNumbers): Stamp {
  const size = Math.exp(0.8 * wild * numbers.normal());
  const own = errors * Math.exp(0.6 * wild * numbers.normal());
  const count = wild === 0 ? 1 : 4 + Math.floor(12 * numbers.uniform());
  const weights = Array.from({ length: count }, () => Math.exp(wild * numbers.normal()));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return {
    name: `s-${index + 1}`,
    perMs: (perMinute * size) / 60_000,
    tenants: weights.map((weight) => {
      const usual = Math.min(0.5, own * Math.exp(0.9 * wild * numbers.normal()));
      const badErrors = Math.min(0.5, usual * (2 + 8 * numbers.uniform()));
      return { weight: weight / sum, errors: usual, begins: wild * 0.005, ends: 0.5, badErrors, isBad: false };
    }),
    medianMs: 30 * Math.exp(0.5 * numbers.normal()),
    sigma: 0.6 + 0.4 * numbers.uniform(),
    mood: 0,
    pace: 0,
    effect: {},
  };
}

function bucketOf(
  stamp: Stamp,
  at: number,
  ms: number,
  trouble: number,
  wild: number,
  numbers: SeededNumbers,
): EvidenceBucket {
  const step = ms / 60_000;
  let share = trouble;
  for (const tenant of stamp.tenants) {
    if (wild > 0) {
      if (!tenant.isBad && numbers.uniform() < step * tenant.begins) tenant.isBad = true;
      else if (tenant.isBad && numbers.uniform() < step * tenant.ends) tenant.isBad = false;
    }
    // Who asks in these seconds differs.
    const weight = tenant.weight * (wild === 0 ? 1 : Math.exp(0.5 * wild * numbers.normal() - 0.125 * wild * wild));
    share += weight * (tenant.errors + (tenant.isBad ? tenant.badErrors : 0));
  }
  // Moods last for minutes.
  const keep = Math.exp(-step / 5);
  stamp.mood = stamp.mood * keep + 0.25 * wild * Math.sqrt(1 - keep * keep) * numbers.normal();
  stamp.pace = stamp.pace * keep + 0.06 * wild * Math.sqrt(1 - keep * keep) * numbers.normal();
  const failing = Math.min(1, share * Math.exp(stamp.mood) + (stamp.effect.errors ?? 0));
  const traffic = stamp.perMs * ms * Math.exp(0.4 * wild * numbers.normal() - 0.08 * wild * wild);
  const requests = poisson(traffic, numbers);
  const latency = latencyOf(stamp, requests, numbers);
  return {
    stamp: stamp.name,
    at,
    ms,
    complete: true,
    requests,
    errors: binomial(requests, failing, numbers),
    latency,
    synthetic: 0,
  };
}

function latencyOf({ medianMs, sigma, pace, effect }: Stamp, requests: number, numbers: SeededNumbers): number[] {
  const counts = new Array<number>(latencyBounds.length + 1).fill(0);
  const median = medianMs * Math.exp(pace) * (effect.slower ?? 1);
  const added = effect.addedMs ?? 0;
  let left = requests;
  let passed = 0;
  for (const [index, bound] of latencyBounds.entries()) {
    if (left === 0) break;
    const below = bound <= added ? 0 : 1 - bell(Math.log((bound - added) / median) / sigma);
    const here =
      passed >= 1 ? left : binomial(left, Math.min(1, Math.max(0, (below - passed) / (1 - passed))), numbers);
    counts[index] = here;
    left -= here;
    passed = below;
  }
  counts[latencyBounds.length] = left;
  return counts;
}

/** Chance to be above z, well enough for a simulation (logistic of a cubic). */
function bell(z: number): number {
  return 1 / (1 + Math.exp(1.5976 * z + 0.070566 * z ** 3));
}

export function poisson(mean: number, numbers: SeededNumbers): number {
  if (mean > 60) return Math.max(0, Math.round(mean + Math.sqrt(mean) * numbers.normal()));
  const limit = Math.exp(-mean);
  let count = 0;
  for (let product = numbers.uniform(); product > limit; product *= numbers.uniform()) count++;
  return count;
}

export function binomial(n: number, p: number, numbers: SeededNumbers): number {
  if (p <= 0 || n === 0) return 0;
  if (p >= 1) return n;
  if (p > 0.5) return n - binomial(n, 1 - p, numbers);
  if (n * p > 60) return Math.min(n, Math.max(0, Math.round(n * p + Math.sqrt(n * p * (1 - p)) * numbers.normal())));
  // Steps from one hit to the next.
  const log = Math.log(1 - p);
  let hits = 0;
  for (let at = Math.log(1 - numbers.uniform()) / log; at < n; at += 1 + Math.log(1 - numbers.uniform()) / log) hits++;
  return hits;
}
