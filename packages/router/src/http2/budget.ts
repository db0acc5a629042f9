/** A bucket of tokens: a burst at once, then so many per second. */
export interface Budget {
  /** False = spent. */
  take(nowMs: number): boolean;
}

export function createBudget(burst: number, perSecond: number): Budget {
  let left = burst;
  let at = 0;
  return {
    take(nowMs) {
      if (at !== 0) left = Math.min(burst, left + ((nowMs - at) / 1_000) * perSecond);
      at = nowMs;
      if (left < 1) return false;
      left -= 1;
      return true;
    },
  };
}
