/**
 * Chance that counting gives `count` or more where `mean` is expected. With a variance of `spread` times the mean, above
 * 1, counts come in clumps (negative binomial); at 1 they are independent of each other (Poisson).
 */
export function countTail(count: number, mean: number, spread: number): number {
  if (count <= 0) return 1;
  if (mean <= 0) return 0;
  // So many that the bell is as good; the sum below would take its time.
  if (count > 20_000) return bellTail((count - 0.5 - mean) / Math.sqrt(mean * Math.max(1, spread)));
  const isClumped = spread > 1.000_1;
  const size = isClumped ? mean / (spread - 1) : 0;
  const odds = isClumped ? (spread - 1) / spread : 0;
  let log = isClumped ? -size * Math.log(spread) : -mean;
  let below = Math.exp(log);
  for (let k = 1; k < count; k++) {
    log += isClumped ? Math.log(((size + k - 1) / k) * odds) : Math.log(mean / k);
    below += Math.exp(log);
  }
  // Far out, the sum below is 1 but for rounding, and the terms above it are a falling series.
  return below < 1 - 1e-9 ? 1 - below : Math.min(1e-9, bellTail((count - 0.5 - mean) / Math.sqrt(mean * spread)));
}

/** Chance of the standard normal distribution to be above `z` (Abramowitz and Stegun 26.2.17; wrong by less than 1e-7). */
export function bellTail(z: number): number {
  if (z < 0) return 1 - bellTail(-z);
  const t = 1 / (1 + 0.2316419 * z);
  const series = t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return Math.min(1, (series * Math.exp((-z * z) / 2)) / Math.sqrt(2 * Math.PI));
}

/** The z that `bellTail` gives this chance. */
export function bellAbove(chance: number): number {
  let low = -10;
  let high = 10;
  for (let step = 0; step < 60; step++) {
    const middle = (low + high) / 2;
    if (bellTail(middle) > chance) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}
