import { latencyBounds } from "../evidence.ts";

/** The value below which a share of the requests of a latency histogram lies, in milliseconds; even inside one class. */
export function quantile(counts: ArrayLike<number>, share: number): number | undefined {
  let all = 0;
  for (let k = 0; k < counts.length; k++) all += counts[k] ?? 0;
  if (all <= 0) return undefined;
  const wanted = share * all;
  let passed = 0;
  for (let k = 0; k < counts.length; k++) {
    const here = counts[k] ?? 0;
    if (here > 0 && passed + here >= wanted) {
      const low = k === 0 ? 0 : (latencyBounds[k - 1] ?? 0);
      const high = latencyBounds[k] ?? low;
      return low + (high - low) * Math.max(0, (wanted - passed) / here);
    }
    passed += here;
  }
  return latencyBounds.at(-1);
}

/** The class from which on a request is slow: of all bounds, the one with nearest to a tenth of the requests above it. */
export function slowFrom(counts: ArrayLike<number>): number {
  let all = 0;
  for (let k = 0; k < counts.length; k++) all += counts[k] ?? 0;
  let above = all;
  let best = 1;
  let least = Infinity;
  for (let k = 0; k < latencyBounds.length; k++) {
    above -= counts[k] ?? 0;
    const distance = Math.abs(above - all / 10);
    if (distance < least) {
      least = distance;
      best = k + 1;
    }
  }
  return best;
}
