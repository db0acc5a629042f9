import type { Instant, PoolPlan } from "@stampyard/domain";
import { readFreezes } from "../freezes/freezes.ts";
import { planPoolNow } from "../reconcilers/pool-state.ts";
import type { PoolFacts, Store } from "../store/port.ts";

export interface PlannedPool {
  readonly facts: PoolFacts;
  readonly plan: PoolPlan;
}

/** The plan that the reconciler would make of the pool now. Undefined = the fleet has no such pool. */
export async function readPoolPlan(store: Store, pool: string, now: Instant): Promise<PlannedPool | undefined> {
  const [facts, built, freezes] = await Promise.all([
    store.pools.facts(pool),
    store.capacity.buildTimes(),
    readFreezes(store),
  ]);
  if (facts === undefined) return undefined;
  return { facts, plan: planPoolNow(facts, built.get(pool), freezes, now) };
}

/** What each pool waits for and warns of, for the status of the fleet. */
export async function readPoolWaits(
  store: Store,
  pools: readonly string[],
  now: Instant,
): Promise<readonly { readonly kind: "pool"; readonly name: string; readonly why: string }[]> {
  const freezes = await readFreezes(store);
  const all = await Promise.all(
    pools.map(async (name) => {
      const facts = await store.pools.facts(name);
      if (facts === undefined) return [];
      const { waitingOn, alerts } = planPoolNow(facts, undefined, freezes, now);
      const whys = [...(waitingOn === undefined ? [] : [waitingOn]), ...alerts.map(({ text }) => text)];
      return whys.map((why) => ({ kind: "pool" as const, name, why }));
    }),
  );
  return all.flat();
}
