import type { UnitVector } from "../capacity.ts";
import type { PlacementCandidate, PlacementRequest, PlacementSettings } from "./candidate.ts";
import { isEmpty, weightOf } from "./filters.ts";

/** What speaks for a stamp, each part comparable with the others; the highest sum wins. */
export type Scores = {
  /** Spread: room left in the tightest unit. Pack: how full that unit gets. 0 to 1. */
  readonly fill: number;
  /** Big tenants only: few others of them here. 0 to 1, and 2 less where the stamp would hold too much of them. */
  readonly blast: number;
  /** Where it lived before: half, so that one stamp must be much emptier to win. */
  readonly sticky: number;
  /** Built for this tenant. */
  readonly reserved: number;
  /** Against an empty stamp that the pool keeps as a spare: it is the last to be used. */
  readonly spare: number;
};

/** What the stamps of a pool have together. */
export interface PoolTotals {
  readonly big: number;
  readonly empty: number;
}

const defaultBigFrom = 0.1;
const defaultBigShare = 0.5;

/** Whether a tenant of this weight is big for such a stamp. Many places are big; the one place that all take is not. */
export function isBig(weight: UnitVector, limits: UnitVector, policy: Pick<PlacementSettings, "bigFrom">): boolean {
  const from = policy.bigFrom ?? defaultBigFrom;
  for (const unit in limits) {
    const taken = weightOf(weight, unit);
    if (unit === "tenants" && taken <= 1) continue;
    if (taken > 0 && taken >= (limits[unit] ?? 0) * from) return true;
  }
  return false;
}

export function scoresOf(
  request: PlacementRequest,
  candidate: PlacementCandidate,
  settings: PlacementSettings,
  totals: PoolTotals,
): Scores {
  const share = shareAfter(request.weight, candidate);
  return {
    fill: settings.strategy === "pack" ? share : 1 - share,
    blast: isBig(request.weight, candidate.limits, settings) ? blast(candidate, settings, totals.big) : 0,
    sticky: request.previous === candidate.name ? 0.5 : 0,
    reserved: candidate.reservedFor === request.key ? 8 : 0,
    spare: isEmpty(candidate) && totals.empty <= (settings.spare ?? 0) ? -4 : 0,
  };
}

export function totalOf(scores: Scores): number {
  return scores.fill + scores.blast + scores.sticky + scores.reserved + scores.spare;
}

/** Share of the tightest unit once the tenant is here. A limit of 0 that nobody uses is not tight. */
function shareAfter(weight: UnitVector, { used, limits }: PlacementCandidate): number {
  let tightest = 0;
  for (const unit in limits) {
    const limit = limits[unit] ?? 0;
    const after = (used[unit] ?? 0) + weightOf(weight, unit);
    const share = limit > 0 ? after / limit : after > 0 ? 1 : 0;
    if (share > tightest) tightest = share;
  }
  return tightest;
}

/** The first big tenant of a pool is all of them wherever it goes, so one alone is never too much. */
function blast(candidate: PlacementCandidate, settings: PlacementSettings, bigInPool: number): number {
  const here = (candidate.bigTenants ?? 0) + 1;
  const share = here / (bigInPool + 1);
  const isTooMuch = here > 1 && share > (settings.bigShare ?? defaultBigShare);
  return 1 - share - (isTooMuch ? 2 : 0);
}
