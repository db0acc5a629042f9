import type { Evidence, GateRule } from "../evidence.ts";

/** Errors are what a release breaks most often, and what must be seen from the fewest requests. */
const shares = { errors: 0.95, latency: 0.05 } as const;
export type Compared = keyof typeof shares;
const ofFirst = 0.85;

/**
 * The part of alpha that one look may spend: most goes to the first, which has the fewest requests, since it is of one
 * stamp; the rest is spread evenly. Bonferroni's inequality holds whatever one look has to do with the next: all parts
 * together are never more than alpha.
 */
export function lookAlpha(rule: GateRule, what: Compared, look: Evidence["look"]): number {
  const { index, of } = look;
  const whole = rule.alpha * shares[what];
  if (of <= 1) return index === 0 ? whole : 0;
  // A look that nobody declared, e.g. of newcomers that joined late, has nothing left to spend.
  if (index < 0 || index >= of) return 0;
  return index === 0 ? whole * ofFirst : (whole * (1 - ofFirst)) / (of - 1);
}
