import { type FleetPlan, type Freezes, type Instant, whyFrozen } from "@stampyard/domain";
import { endOfFreeze } from "./freezes.ts";

/**
 * The plan of an apply without the stamps that a freeze keeps from being built, which its notes say. Their pool is recorded
 * all the same, and builds them itself when the freeze is over.
 */
export function thawedFleetPlan(freezes: Freezes, plan: FleetPlan, now: Instant): FleetPlan {
  const waits = new Map<string, string[]>();
  const changes = plan.changes.filter((change) => {
    if (change.kind !== "stamp-create") return true;
    const { pool, region, stamp } = change;
    const frozen = whyFrozen(freezes, "scaling", { pool, region }, now);
    if (frozen === undefined) return true;
    const why = `pool ${pool} is built after ${endOfFreeze(frozen)}`;
    waits.set(why, [...(waits.get(why) ?? []), stamp]);
    return false;
  });
  const notes = [...waits].map(([why, stamps]) => `${why}: ${stamps.join(", ")}`);
  return { ...plan, changes, notes: [...plan.notes, ...notes] };
}
