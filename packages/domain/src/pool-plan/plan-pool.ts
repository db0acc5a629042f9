import type { Instant } from "../ports.ts";
import { forecastOf, growthOf } from "./growth.ts";
import { buildTimeOf, duration, overAlerts, planGrowth } from "./grow.ts";
import type { NextStamp, PoolAlert, PoolForecast, PoolPlan, PoolProposal, PoolState, ScaleStep } from "./pool-state.ts";
import { isOurs, isPresent, isUnused, roomOf, takesTenants } from "./room.ts";
import { ongoing, rebalance, spareStamp } from "./shrink.ts";

/**
 * Decides one turn of a pool: what to build now, what to drain or destroy, and what to propose. Reads nothing, changes
 * nothing: same inputs, same plan. A stamp that is being built counts, so repeating the turn builds nothing twice.
 */
export function planPool(state: PoolState, now: Instant): PoolPlan {
  const { pool, frozen } = state;
  const growth = growthOf(state.history, now);
  const room = roomOf(pool, state.stamps.filter(takesTenants), state.newLimits);
  for (const stamp of state.stamps) {
    if (isPresent(stamp) && stamp.goal === "drained") room.expect(stamp.residents ?? stamp.used);
  }
  const wanted = planGrowth(state, room, growth);
  const back = ongoing(state, wanted.create.length > 0);
  const recalled = back.some((step) => step.kind === "recall");
  // A stamp that comes back is there at once; the next turn sees what is still missing.
  const growing = recalled ? [] : wanted.create;
  const mayGrow = pool.automation?.scaleUp !== "propose";
  const proposals: PoolProposal[] = mayGrow ? [] : growing.map(growProposal);
  const steps: ScaleStep[] = frozen === undefined ? [...back] : [];
  if (wanted.create.length === 0 && wanted.waitingOn === undefined && back.length === 0) {
    const spare = spareStamp(state, growth);
    if (spare !== undefined) {
      if (mayDrain(state, spare.stamp)) steps.push({ kind: "drain", ...spare });
      else proposals.push({ id: `scale-down-${spare.stamp}`, kind: "scale-down", step: "drain", ...spare });
    }
  }
  const even = rebalance(state);
  const mayMove = pool.automation?.rebalance === "act" && state.canMove === true && frozen === undefined;
  if (even !== undefined && !mayMove) proposals.push(even);
  const forecast = forecastOf(roomNow(state), growth, buildTimeOf(state));
  const waitingOn = wanted.waitingOn ?? (mayGrow ? undefined : waitsForWord(growing));
  return {
    create: mayGrow ? growing : [],
    steps,
    ...(even !== undefined && mayMove ? { rebalance: even } : {}),
    proposals,
    alerts: [...wanted.alerts, ...overAlerts(state), ...lateAlert(state, forecast)],
    ...(waitingOn === undefined ? {} : { waitingOn }),
    forecast,
  };
}

function mayDrain({ pool, stamps, frozen, canMove }: PoolState, name: string): boolean {
  if (pool.automation?.scaleDown !== "act" || frozen !== undefined) return false;
  return canMove === true || stamps.some((stamp) => stamp.name === name && isUnused(stamp));
}

/** The room of the stamps there are, with those that wait as demand. */
function roomNow(state: PoolState) {
  const room = roomOf(state.pool, state.stamps.filter(takesTenants), state.newLimits);
  const waiting = state.waiting.filter((tenant) => tenant.conflict === undefined);
  for (const tenant of waiting) if (!room.take(tenant)) room.expect({ tenants: 1, ...tenant.weight });
  return room;
}

function growProposal(next: NextStamp, index: number): PoolProposal {
  const what = next.reservedFor ?? (index === 0 ? "next" : `next-${index + 1}`);
  return { id: `grow-${next.region}-${what}`, kind: "grow", ...next };
}

function waitsForWord(growing: readonly NextStamp[]): string | undefined {
  const first = growing[0];
  return first === undefined ? undefined : `somebody's word to build the next stamp: ${first.why}`;
}

/** The pool will be full before the next stamp can be there, and none can come. */
function lateAlert({ pool, stamps }: PoolState, { fullInMs, orderInMs }: PoolForecast): readonly PoolAlert[] {
  if (fullInMs === undefined || orderInMs !== 0 || pool.tenancy === "dedicated") return [];
  if (stamps.filter(isOurs).length < pool.stamps.max) return [];
  return [
    { kind: "late", text: `pool ${pool.name} is full in ${duration(fullInMs)}, and has its ${pool.stamps.max} stamps` },
  ];
}
