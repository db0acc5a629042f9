import type { PoolState } from "@stampyard/domain";
import { unitsOf } from "@stampyard/domain";
import { stampCapacity } from "../server/stamp-goal.ts";
import type { PoolFacts } from "../store/port.ts";

/** What is planned from: the facts of the store, and what a new stamp would hold. */
export function poolState(facts: PoolFacts, buildTimeMs: number | undefined): PoolState {
  const { declared, ...state } = facts;
  const newLimits = unitsOf(stampCapacity({ capacity: declared }, facts.pool));
  return { ...state, newLimits, ...(buildTimeMs === undefined ? {} : { buildTimeMs }) };
}
