import { type SeededNumbers, seededNumbers } from "../../planning/seeded-numbers.ts";

/** More draws say nothing that matters, and a verdict must not take long. */
const mostDraws = 40_000;
/** Spans that are drawn at a time; of a wave with more, some are taken together. */
const mostParts = 96;
/** After so many draws that reach what was seen, the chance is known well enough. */
const enoughReached = 40;

/**
 * Chance that spans which are dealt out anew give a sum of `seen` or more.
 *
 * @param deviations expected deviation of each judged span
 * @param rests what was left unexplained in every span, in units of its own expected deviation
 * @param scale by how much a sum deviates more than independent spans do
 */
export function permutedTail(
  seen: number,
  deviations: readonly number[],
  rests: Float64Array,
  scale: number,
  { seed, alpha }: { readonly seed: string; readonly alpha: number },
): number {
  const parts = partsOf(deviations);
  const count = parts.length;
  if (count === 0 || rests.length <= count) return 1;
  const numbers = seededNumbers(seedNumber(seed));
  const pool = centred(rests);
  const draws = Math.min(mostDraws, Math.ceil(20 / Math.max(alpha, 1e-6)));
  let reached = 0;
  for (let draw = 1; draw <= draws; draw++) {
    if (scale * dealt(pool, parts, numbers) >= seen) reached++;
    if (reached >= enoughReached) return reached / draw;
  }
  return (reached + 1) / (draws + 1);
}

/** The first places of the pool are dealt anew: what stands there is as random as after a shuffle of all of it. */
function dealt(pool: Float64Array, parts: Float64Array, numbers: SeededNumbers): number {
  const size = pool.length;
  let sum = 0;
  for (let place = 0; place < parts.length; place++) {
    const from = place + Math.floor(numbers.uniform() * (size - place));
    const taken = pool[from] ?? 0;
    pool[from] = pool[place] ?? 0;
    pool[place] = taken;
    sum += taken * (parts[place] ?? 0);
  }
  return sum;
}

function centred(rests: Float64Array): Float64Array {
  const mean = rests.reduce((sum, rest) => sum + rest, 0) / rests.length;
  return rests.map((rest) => rest - mean);
}

/** Variances of independent parts add up, so several spans may be drawn as one. */
function partsOf(deviations: readonly number[]): Float64Array {
  const groups = Math.min(mostParts, deviations.length);
  const variances = new Float64Array(groups);
  for (const [index, deviation] of deviations.entries()) {
    variances[index % groups] = (variances[index % groups] ?? 0) + deviation * deviation;
  }
  return variances.map(Math.sqrt);
}

/** FNV-1a. */
export function seedNumber(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return hash >>> 0;
}
