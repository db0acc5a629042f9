import type { Aim } from "./rollout.ts";

/** A stamp that a rollout could change. */
export interface RolloutCandidate {
  readonly stamp: string;
  readonly region: string;
  readonly pool: string;
  /** Tiers of its pool; empty = any, which no label rule names. */
  readonly tiers: readonly string[];
  readonly ring?: string;
  /** Requests per minute, measured; undefined = not measured. */
  readonly perMinute: number | undefined;
  readonly isDedicated: boolean;
  /** Tenants with a pin live here. */
  readonly hasPinnedTenants: boolean;
  /** Why it takes no part, e.g. a pin of its own. */
  readonly skip?: string;
  readonly from: Aim;
  readonly to: Aim;
}

export interface ChosenCanary {
  readonly stamp: string;
  /** In words, with its figures. */
  readonly why: string;
  /** Whether its traffic suffices to be judged. */
  readonly isEnough: boolean;
}

export function byName(a: RolloutCandidate, b: RolloutCandidate): number {
  return a.stamp < b.stamp ? -1 : 1;
}

/** What is not measured may be a lot. */
export function byTraffic(a: RolloutCandidate, b: RolloutCandidate): number {
  const left = a.perMinute ?? Number.POSITIVE_INFINITY;
  const right = b.perMinute ?? Number.POSITIVE_INFINITY;
  if (left === right) return byName(a, b);
  return left < right ? -1 : 1;
}
