import { defaultStrategy, type Fleet, type RolloutStrategy } from "@stampyard/domain";
import type { Store } from "../store/port.ts";

/**
 * For a fleet without any tenant that says nothing of how releases go over it: nobody can be harmed, and there is nothing
 * to measure, so waiting would be for its own sake.
 */
export const unusedStrategy: RolloutStrategy = {
  waves: [{ name: "all", size: { kind: "rest" } }],
  maxUnavailable: 100,
  bakeMs: 0,
  updateWithinMs: defaultStrategy.updateWithinMs,
  lateRing: false,
  gate: { ...defaultStrategy.gate, enforced: false },
  hooks: [],
  onAbort: "rollback",
  onNewer: "batch",
};

/** What the fleet file says of its rollouts, or else what suits its use. */
export async function strategyFor({ tenants }: Pick<Store, "tenants">, fleet: Fleet): Promise<RolloutStrategy> {
  if (fleet.rollout !== undefined) return fleet.rollout;
  const homes = await tenants.countHomes();
  return homes.some((home) => home.tenants > 0) ? defaultStrategy : unusedStrategy;
}
