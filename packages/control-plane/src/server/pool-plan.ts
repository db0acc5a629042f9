import { type Instant, type PoolPlan, planPool } from "@stampyard/domain";
import { poolState } from "../reconcilers/pool-state.ts";
import type { PoolFacts, Store } from "../store/port.ts";

export interface PlannedPool {
  readonly facts: PoolFacts;
  readonly plan: PoolPlan;
}

/** The plan that the reconciler would make of the pool now. Undefined = the fleet has no such pool. */
export async function readPoolPlan(store: Store, pool: string, now: Instant): Promise<PlannedPool | undefined> {
  const [facts, built] = await Promise.all([store.pools.facts(pool), store.capacity.buildTimes()]);
  if (facts === undefined) return undefined;
  return { facts, plan: planPool(poolState(facts, built.get(pool)), now) };
}

/** What each pool waits for and warns of, for the status of the fleet. */
export async function readPoolWaits(
  store: Store,
  pools: readonly string[],
  now: Instant,
): Promise<readonly { readonly kind: "pool"; readonly name: string; readonly why: string }[]> {
  const all = await Promise.all(
    pools.map(async (name) => {
      const facts = await store.pools.facts(name);
      if (facts === undefined) return [];
      const { waitingOn, alerts } = planPool(poolState(facts, undefined), now);
      const whys = [...(waitingOn === undefined ? [] : [waitingOn]), ...alerts.map(({ text }) => text)];
      return whys.map((why) => ({ kind: "pool" as const, name, why }));
    }),
  );
  return all.flat();
}
