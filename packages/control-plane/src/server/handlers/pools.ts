import type { PoolDetailView } from "@stampyard/api";
import { type PoolProposal, quote, StampyardError } from "@stampyard/domain";
import { stepWith } from "../../reconcilers/reconcile-pool.ts";
import type { WriteContext } from "../../store/port.ts";
import type { Handlers } from "../call.ts";
import { createStamp } from "../create-stamp.ts";
import { type ServerDeps, writeContext } from "../deps.ts";
import { startRebalance } from "./campaigns.ts";
import { mapPage, pageOfList } from "../paging.ts";
import { type PlannedPool, readPoolPlan } from "../pool-plan.ts";
import { poolView, time } from "../views.ts";

type Names = Extract<keyof Handlers, `pool${string}`>;

export function poolHandlers(deps: ServerDeps): Pick<Handlers, Names> {
  const { store, clock } = deps;

  async function readPool(name: string): Promise<PlannedPool> {
    const planned = await readPoolPlan(store, name, clock.now());
    if (planned !== undefined) return planned;
    const fleet = await store.fleet.read();
    const names = (fleet?.value.fleet.pools ?? []).map((pool) => pool.name);
    throw new StampyardError("POOL_NOT_FOUND", `No pool ${quote(name)}`, {
      mend: names.length === 0 ? "Apply a fleet first." : `Use one of: ${names.join(", ")}.`,
    });
  }

  return {
    async poolList({ query }) {
      const [row, uses] = await Promise.all([store.fleet.read(), store.fleet.pools()]);
      const pools = row?.value.fleet.pools ?? [];
      const page = pageOfList(pools, (pool) => pool.name, query);
      return mapPage(page, (pool) =>
        poolView(
          pool,
          uses.find((use) => use.pool === pool.name),
        ),
      );
    },

    async poolGet({ params }) {
      const [planned, uses] = await Promise.all([readPool(params.name), store.fleet.pools()]);
      const use = uses.find(({ pool }) => pool === params.name);
      return { ...poolView(planned.facts.pool, use), ...planView(planned, clock.now()) };
    },

    async poolApplyProposal(call) {
      const { name } = call.params;
      const { proposal: id, reason } = call.body;
      const context = (why: string) => writeContext(deps, call, reason === undefined ? why : `${why} (${reason})`);
      const { plan } = await readPool(name);
      const proposal = plan.proposals.find((each) => each.id === id);
      if (proposal === undefined) {
        throw new StampyardError("WRONG_PHASE", `Pool ${name} does not propose ${quote(id)}`, {
          mend: `What it proposes may have changed: see stampyard pool show ${name}.`,
        });
      }
      if (proposal.kind === "rebalance") {
        await startRebalance(deps, call, name, {}, reason ?? proposal.why);
        return { pool: name, proposal: id, stamp: proposal.from };
      }
      return { pool: name, proposal: id, stamp: await applyProposal(deps, name, proposal, context) };
    },
  };
}

/** @returns the stamp that it is about */
async function applyProposal(
  deps: ServerDeps,
  pool: string,
  proposal: Exclude<PoolProposal, { kind: "rebalance" }>,
  context: (why: string) => WriteContext,
): Promise<string> {
  switch (proposal.kind) {
    case "grow": {
      const { region, reservedFor, why } = proposal;
      return (await createStamp(deps, { pool, region, reservedFor }, context(why))).value.name;
    }
    case "scale-down":
      await stepWith(deps, { kind: proposal.step, stamp: proposal.stamp, why: proposal.why }, context);
      return proposal.stamp;
  }
}

type Planned = Pick<PoolDetailView, "waiting" | "waitingOn" | "alerts" | "proposals" | "forecast">;

function planView({ facts, plan }: PlannedPool, now: number): Planned {
  const { fullInMs, orderInMs, ...forecast } = plan.forecast;
  return {
    waiting: facts.waiting.length,
    ...(plan.waitingOn === undefined ? {} : { waitingOn: plan.waitingOn }),
    alerts: plan.alerts.map((alert) => ({ ...alert })),
    proposals: plan.proposals.map((proposal) => ({ ...proposal })),
    forecast: {
      ...forecast,
      perDay: { ...forecast.perDay },
      ...(fullInMs === undefined ? {} : { fullAt: time(atMost(now + fullInMs)) }),
      ...(orderInMs === undefined ? {} : { orderBy: time(atMost(now + orderInMs)) }),
    },
  };
}

/** A pool that hardly grows is full after the last day that a date on the wire can name: the end of 9999. */
function atMost(at: number): number {
  return Math.min(at, 253_402_300_799_000);
}
