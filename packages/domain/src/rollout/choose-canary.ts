import { byTraffic, type ChosenCanary, type RolloutCandidate } from "./rollout-candidate.ts";
import type { CanaryRule } from "./strategy.ts";

/**
 * Which stamp gets a release first: the one with the least traffic that has enough of it to be judged, and if none has,
 * the one that comes closest. Dedicated stamps and those with pinned tenants only if there are no others.
 *
 * @param there stamps that are to be changed, at least one
 * @param named the stamp that the strategy names, if it does
 */
export function chooseCanary(
  { leastPerMinute }: CanaryRule,
  there: readonly RolloutCandidate[],
  lateRing: boolean,
  named: RolloutCandidate | undefined,
): ChosenCanary | undefined {
  const isEnough = ({ perMinute }: RolloutCandidate) => perMinute !== undefined && perMinute >= leastPerMinute;
  if (named !== undefined && there.includes(named)) {
    return { stamp: named.stamp, why: `the strategy names it; ${traffic(named)}`, isEnough: isEnough(named) };
  }
  const instead = named === undefined ? "" : `instead of ${named.stamp}, which takes no part: `;
  const early = there.filter((one) => !(lateRing && (one.isDedicated || one.hasPinnedTenants)));
  const eligible = [...(early.length > 0 ? early : there)].sort(byTraffic);
  const least = eligible.find(isEnough);
  if (least !== undefined) {
    const why = `the least traffic of ${eligible.length} with at least ${leastPerMinute} requests per minute`;
    return { stamp: least.stamp, why: `${instead}${why}: ${traffic(least)}`, isEnough: true };
  }
  const closest = eligible.findLast(({ perMinute }) => perMinute !== undefined) ?? eligible[0];
  if (closest === undefined) return undefined;
  const why = `none of ${eligible.length} has ${leastPerMinute} requests per minute, and it comes closest`;
  return { stamp: closest.stamp, why: `${instead}${why}: ${traffic(closest)}`, isEnough: false };
}

function traffic({ perMinute }: RolloutCandidate): string {
  return perMinute === undefined ? "its traffic is not measured" : `${Math.round(perMinute)} requests per minute`;
}
