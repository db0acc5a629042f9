import type { Freezes, Instant, PoolPlan, PoolState } from "@stampyard/domain";
import { planPool, unitsOf } from "@stampyard/domain";
import { thawedPlan, whyPoolFrozen } from "../freezes/frozen-pool.ts";
import { stampCapacity } from "../server/stamp-goal.ts";
import type { PoolFacts } from "../store/port.ts";

/** What is planned from: the facts of the store, and what a new stamp would hold. */
export function poolState(facts: PoolFacts, buildTimeMs: number | undefined): PoolState {
  const { declared, ...state } = facts;
  const newLimits = unitsOf(stampCapacity({ capacity: declared }, facts.pool));
  return { ...state, newLimits, ...(buildTimeMs === undefined ? {} : { buildTimeMs }) };
}

/** The plan of a pool now, under the freezes that there are. */
export function planPoolNow(
  facts: PoolFacts,
  buildTimeMs: number | undefined,
  freezes: Freezes,
  now: Instant,
): PoolPlan {
  const frozen = whyPoolFrozen(freezes, facts.pool, now);
  const state = { ...poolState(facts, buildTimeMs), ...(frozen === undefined ? {} : { frozen }) };
  return thawedPlan(freezes, facts, planPool(state, now), now);
}
