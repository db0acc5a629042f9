import {
  addUnits,
  campaignSettings,
  type Instant,
  type PoolPlan,
  type ScaleStep,
  StampyardError,
  type UnitVector,
} from "@stampyard/domain";
import { readFreezes } from "../freezes/freezes.ts";
import { planCampaignNow } from "../server/plan-campaign-now.ts";
import { type CreateDeps, createStamp } from "../server/create-stamp.ts";
import type { PoolFacts, WriteContext } from "../store/port.ts";
import { scaleDownReason } from "../store/pools.ts";
import { planPoolNow } from "./pool-state.ts";
import { again, type ReconcileDeps, type Turn, type TurnEnd, writeContext } from "./turn.ts";

export type PoolDeps = Pick<ReconcileDeps, "store" | "clock" | "log"> &
  CreateDeps & {
    /** What the leader remembers of pools. Forgetting it costs one reading. */
    readonly poolMemory: PoolMemory;
  };

export interface PoolMemory {
  /** Milliseconds to build a stamp, per pool, and when that was read. */
  buildTimes?: { readonly at: Instant; readonly byPool: ReadonlyMap<string, number> };
  /** What was said of a pool last, so that the log says it once. */
  readonly said: Map<string, string>;
}

const sampleEveryMs = 10 * 60_000;
const evenAgainMs = 3_600_000;
const buildTimesEveryMs = 5 * 60_000;
/** A pool that nothing was heard of is looked at this often: growth by forecast comes without an event. */
const lookEveryMs = 10_000;

/**
 * One turn of a pool: read, plan, build what is missing. Each new stamp is a row in phase `requested` before anything is
 * done for it (I26), and counts from then on, so a repeat builds nothing twice (I27). Undefined pools are left alone.
 */
export async function reconcilePool(deps: PoolDeps, name: string, turn: Turn): Promise<TurnEnd> {
  const facts = await deps.store.pools.facts(name);
  if (facts === undefined) return { kind: "rest" };
  const now = deps.clock.now();
  const [built, freezes] = await Promise.all([buildTime(deps, name, now), readFreezes(deps.store)]);
  const plan = planPoolNow(facts, built, freezes, now);
  say(deps, name, plan);
  await sample(deps, facts, now, turn);
  for (const { region, reservedFor, why } of plan.create) {
    turn.signal.throwIfAborted();
    const created = await createStamp(deps, { pool: name, region, reservedFor }, writeContext(turn, sentence(why)));
    deps.log.info({ pool: name, stamp: created.value.name, region, why }, "the pool builds its next stamp");
  }
  for (const step of plan.steps) await takeStep(deps, step, turn);
  if (plan.rebalance !== undefined) await evenOut(deps, name, plan.rebalance.why, turn);
  return plan.create.length + plan.steps.length > 0 ? again : { kind: "rest", until: now + lookEveryMs };
}

/** By a campaign, and not again soon: what the last one could not change, another one cannot either. */
export async function evenOut(
  { store, clock, log }: Pick<PoolDeps, "store" | "clock" | "log">,
  pool: string,
  why: string,
  turn: Turn,
): Promise<void> {
  const now = clock.now();
  const [last] = (await store.campaigns.list({ kind: "rebalance", subject: pool, limit: 1 })).items;
  if (last !== undefined && now - last.createdAt < evenAgainMs) return;
  const settings = campaignSettings({});
  const { items } = await planCampaignNow(store, { kind: "rebalance", subject: pool }, settings, now);
  if (items.length === 0) return;
  const input = { kind: "rebalance", subject: pool, settings, items } as const;
  const { value } = await store.campaigns.begin(input, writeContext(turn, sentence(why)));
  log.info({ pool, campaign: value.id, tenants: items.length, why }, "the pool is evened out by moves");
}

/** One step of scaling down, or back. Each is idempotent, and refused by the store where it would lose a tenant (I31). */
export async function takeStep(deps: Pick<PoolDeps, "store">, step: ScaleStep, turn: Turn): Promise<void> {
  await stepWith(deps, step, (why) => writeContext(turn, why));
}

export async function stepWith(
  { store }: Pick<PoolDeps, "store">,
  { kind, stamp, why }: ScaleStep,
  context: (reason: string) => WriteContext,
): Promise<void> {
  switch (kind) {
    case "drain":
      await store.stamps.setGoal(stamp, "drained", {}, context(`${scaleDownReason}${why}`));
      return;
    case "recall":
      await store.stamps.setGoal(stamp, "present", {}, context(sentence(why)));
      return;
    case "destroy":
      await store.stamps.remove(stamp, { force: false }, context(`${scaleDownReason}${why}`));
  }
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Once for each thing that there is to say: a pool is looked at every few seconds. */
function say({ log, poolMemory }: PoolDeps, pool: string, { alerts, waitingOn }: PoolPlan): void {
  const said = [...alerts.map(({ text }) => text), waitingOn ?? ""].join("\n");
  if ((poolMemory.said.get(pool) ?? "") === said) return;
  poolMemory.said.set(pool, said);
  for (const { kind, text } of alerts) log.warn({ pool, alert: kind }, text);
  if (waitingOn !== undefined) log.info({ pool }, `pool ${pool} waits for ${waitingOn}`);
}

async function sample(deps: PoolDeps, facts: PoolFacts, now: Instant, turn: Turn): Promise<void> {
  const last = facts.history.reduce((latest, { at }) => Math.max(latest, at), 0);
  // A last sample from the future (the clock was set back) must not end the sampling.
  if (last <= now && now - last < sampleEveryMs) return;
  const used = facts.stamps.reduce<UnitVector>((sum, stamp) => addUnits(sum, stamp.used), {});
  await deps.store.pools.sample(facts.pool.name, used, writeContext(turn));
}

/** @returns undefined while nothing was built yet, or nothing can be read */
async function buildTime(deps: PoolDeps, pool: string, now: Instant): Promise<number | undefined> {
  const { poolMemory, store, log } = deps;
  if (poolMemory.buildTimes === undefined || now - poolMemory.buildTimes.at > buildTimesEveryMs) {
    try {
      poolMemory.buildTimes = { at: now, byPool: await store.capacity.buildTimes() };
    } catch (caught) {
      log.warn({ err: StampyardError.from(caught) }, "build times cannot be read");
    }
  }
  return poolMemory.buildTimes?.byPool.get(pool);
}
