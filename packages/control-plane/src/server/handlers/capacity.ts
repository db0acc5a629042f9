import { historyDays, StampyardError } from "@stampyard/domain";
import type { Handlers } from "../call.ts";
import { type CapacityFacts, capacityView } from "../capacity-view.ts";
import type { ServerDeps } from "../deps.ts";
import { poolForecast, sizesView } from "../forecast-view.ts";

type Names = Extract<keyof Handlers, `capacity${string}`>;

export function capacityHandlers(deps: ServerDeps): Pick<Handlers, Names> {
  const { store, clock } = deps;

  async function readFacts(): Promise<CapacityFacts> {
    const [row, stamps, loads] = await Promise.all([store.fleet.read(), store.stamps.all(), store.capacity.loads()]);
    const release = row === undefined ? undefined : await store.fleet.release(row.value.release);
    return {
      fleet: row?.value.fleet,
      template: release?.template,
      stamps: stamps.map(({ value }) => value),
      loads,
      now: clock.now(),
    };
  }

  async function readView(pool: string | undefined) {
    const facts = await readFacts();
    const view = capacityView(facts, pool);
    if (pool !== undefined && view.pools.length === 0) {
      throw new StampyardError("POOL_NOT_FOUND", `There is no pool ${pool}`);
    }
    return { facts, view };
  }

  return {
    capacityGet: async ({ query }) => (await readView(query.pool)).view,

    async capacityForecast({ query }) {
      const { facts, view } = await readView(query.pool);
      const since = facts.now - (historyDays + 1) * 86_400_000;
      const [changes, built] = await Promise.all([store.capacity.changes(since), store.capacity.buildTimes()]);
      return {
        at: view.at,
        pools: view.pools.map((pool) => {
          const declared = facts.fleet?.pools.find(({ name }) => name === pool.pool)?.growth?.buildTimeMs;
          return poolForecast(pool, { now: facts.now, changes, declared, measured: built.get(pool.pool) });
        }),
      };
    },

    async capacitySizes({ query }) {
      if (query.pool !== undefined) await readView(query.pool);
      return sizesView(await store.capacity.sizes(), query.pool);
    },
  };
}
