import { isServing, type Stamp, type StampPlan } from "@stampyard/domain";
import { endOfFreeze, type FreezeDeps, frozenNow } from "./freezes.ts";

/**
 * The removal of a stamp does not begin in a freeze, whoever asked for it and when, unless its person said so with a
 * reason; it is kept whole meanwhile. One that has begun goes on: there is no way back from it.
 * @param planAgain the plan for another wish
 */
export async function removalWaits(
  deps: FreezeDeps,
  stamp: Stamp,
  plan: StampPlan,
  planAgain: (stamp: Stamp) => StampPlan,
): Promise<StampPlan> {
  const begins = plan.next.kind === "destroying" && stamp.state.kind !== "destroying";
  if (!begins || stamp.goalDetail?.overridesFreeze === true) return plan;
  const { name, pool, region } = stamp;
  const frozen = await frozenNow(deps, "destroys", { stamp: name, pool, region });
  if (frozen === undefined) return plan;
  const waitingOn = endOfFreeze(frozen);
  if (!isServing(stamp.state.kind)) return { next: stamp.state, actions: [], waitingOn };
  const kept = planAgain({ ...stamp, goal: "drained" });
  return kept.actions.length > 0 ? kept : { ...kept, waitingOn };
}
