import type { Evidence, GateRule } from "../evidence.ts";
import { percent, points } from "./figures.ts";
import { mustSee } from "./compare-requests.ts";
import { lookAlpha } from "./spend-alpha.ts";
import { countTail } from "./tails.ts";

export interface ExpectedTraffic {
  /** Requests per minute of the wave's members together, and of the stamps that they are compared with. */
  readonly updatedPerMinute: number;
  readonly siblingsPerMinute: number;
  readonly bakeMs: number;
  /** How long they have been measured before. Milliseconds. @default an hour */
  readonly pastMs?: number;
  /** Share that fails without any release. @default 0.01 */
  readonly errorShare?: number;
  /** By how much counts vary more than those of requests that know nothing of each other. @default 1.5 */
  readonly clumping?: number;
}

export interface GatePower {
  readonly requests: { readonly updated: number; readonly siblings: number };
  /** False: the gate will say that there is too little, and the rollout waits, then pauses. */
  readonly isEnough: boolean;
  /** Milliseconds of bake after which there is enough; absent when there is no traffic. */
  readonly enoughAfterMs?: number;
  /** Chance that an increase of the error share by five points is seen. */
  readonly chance: number;
  /** The smallest increase that is seen nine times of ten; absent when not even all requests failing would be. */
  readonly sees?: number;
}

const minute = 60_000;

/** What the comparison of error shares could see at the end of a wave's bake, before anything begins. */
export function gatePower(rule: GateRule, traffic: ExpectedTraffic, look: Evidence["look"]): GatePower {
  const { updatedPerMinute, siblingsPerMinute, bakeMs } = traffic;
  const updated = (updatedPerMinute * bakeMs) / minute;
  const siblings = (siblingsPerMinute * bakeMs) / minute;
  const { leastRequests } = rule.errors;
  const isEnough = updated >= leastRequests.updated && siblings >= leastRequests.siblings;
  const needed = Math.max(
    (leastRequests.updated / updatedPerMinute) * minute,
    (leastRequests.siblings / siblingsPerMinute) * minute,
  );
  const chanceOf = seenAt(rule, traffic, look, { updated, siblings });
  const sees = smallestSeen(chanceOf);
  return {
    requests: { updated: Math.floor(updated), siblings: Math.floor(siblings) },
    isEnough,
    ...(Number.isFinite(needed) ? { enoughAfterMs: Math.ceil(needed) } : {}),
    chance: isEnough ? chanceOf(mustSee) : 0,
    ...(sees === undefined || !isEnough ? {} : { sees }),
  };
}

/** One line for an operator, e.g. of a dry run. */
export function powerWords({ requests, isEnough, enoughAfterMs, chance, sees }: GatePower): string {
  const have = `about ${requests.updated} requests beside ${requests.siblings}`;
  if (!isEnough) {
    const when =
      enoughAfterMs === undefined
        ? "there is no traffic to judge by"
        : `enough after ${Math.ceil(enoughAfterMs / minute)} min of bake`;
    return `${have}: too few for a verdict, ${when}`;
  }
  const least = sees === undefined ? "" : `, one of ${points(sees).replace("+", "")} nine times of ten`;
  return `${have}: an increase of the error share by ${points(mustSee).replace("+", "")} is seen with ${percent(chance)}${least}`;
}

/** The chance by the size of the increase, as the tail of a count in clumps. */
function seenAt(
  rule: GateRule,
  { errorShare = 0.01, clumping = 1.5, pastMs = 60 * minute, bakeMs }: ExpectedTraffic,
  look: Evidence["look"],
  { updated, siblings }: { readonly updated: number; readonly siblings: number },
): (increase: number) => number {
  const alpha = lookAlpha(rule, "errors", look);
  const usual = updated * errorShare;
  const pasts = bakeMs / pastMs;
  const unsure = 1 + pasts + (siblings === 0 ? Infinity : (updated / siblings) * (1 + pasts));
  const spread = clumping * unsure;
  if (alpha === 0 || usual === 0 || !Number.isFinite(spread)) return () => 0;
  const critical = criticalCount(usual, spread, alpha, usual + rule.errors.worse * updated);
  return (increase) => {
    const mean = usual + increase * updated;
    // What a release adds is as likely for one request as for another.
    return countTail(critical, mean, (spread * usual + increase * updated) / mean);
  };
}

/** The smallest count that is both unlikely enough and worth an abort. */
function criticalCount(mean: number, spread: number, alpha: number, worth: number): number {
  let low = Math.ceil(worth);
  if (countTail(low, mean, spread) <= alpha) return low;
  let high = low + 1;
  while (countTail(high, mean, spread) > alpha) {
    low = high;
    high *= 2;
  }
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (countTail(middle, mean, spread) > alpha) low = middle;
    else high = middle;
  }
  return high;
}

function smallestSeen(chanceOf: (increase: number) => number): number | undefined {
  if (chanceOf(0.99) < 0.9) return undefined;
  let low = 0;
  let high = 0.99;
  for (let step = 0; step < 12; step++) {
    const middle = (low + high) / 2;
    if (chanceOf(middle) >= 0.9) high = middle;
    else low = middle;
  }
  return high;
}
