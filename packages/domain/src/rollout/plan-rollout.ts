import type { Instant } from "../ports.ts";
import { followMember } from "./follow-member.ts";
import { planBake } from "./plan-bake.ts";
import { planReturn, stopped } from "./plan-return.ts";
import { planUpdates } from "./plan-updates.ts";
import { endedRollouts, type Rollout, type RolloutMember, type RolloutState } from "./rollout.ts";
import type { RolloutPlan, RolloutWorld } from "./rollout-world.ts";
import {
  type ForwardState,
  type RolloutStep,
  type RolloutTurn,
  type Stop,
  startable,
  startOf,
  isStale,
  barredWords,
} from "./wave-steps.ts";

/**
 * Decides one turn of a rollout. Reads nothing, changes nothing: same inputs, same plan. What is seen of the stamps wins
 * over the recorded members, so a crash at any point costs only time, and what is not seen is never good (I35).
 */
export function planRollout(rollout: Rollout, members: readonly RolloutMember[], world: RolloutWorld): RolloutPlan {
  if (endedRollouts.includes(rollout.state.kind)) return planOf(members, members, { next: rollout.state }, world);
  const { now } = world;
  const followed = members.map((member) => {
    const state = followMember(member, world.members.get(member.stamp), now, rollout.strategy.updateWithinMs);
    return state === member.state ? member : { ...member, state };
  });
  const state = mendedClock(rollout.state, now);
  const turn = { rollout: state === rollout.state ? rollout : { ...rollout, state }, members: followed, world };
  return planOf(members, followed, stepOf(turn), world);
}

function stepOf(turn: RolloutTurn): RolloutStep {
  const { state } = turn.rollout;
  switch (state.kind) {
    case "queued":
      return planQueued(turn, state);
    case "paused":
      return planPaused(turn, state);
    case "aborting":
      return planReturn(turn, state);
    case "updating":
    case "baking":
    case "approval": {
      const stop = whyStopped(turn, state.wave);
      return stop === undefined ? planForward(turn, state) : stopped(turn, state, stop);
    }
    default:
      return { next: state };
  }
}

function planForward(turn: RolloutTurn, state: ForwardState): RolloutStep {
  const { now, newer } = turn.world;
  if (state.kind === "updating") return planUpdates(turn, state);
  if (state.kind === "baking") return planBake(turn, state);
  if (newer !== undefined) return { next: { kind: "superseded", at: now, by: newer } };
  return { next: state };
}

/** What ends a rollout's way forward before anything else is looked at: what aborts it wins over what pauses it (I36). */
function whyStopped(turn: RolloutTurn, wave: number): Stop | undefined {
  const { rollout, members, world } = turn;
  const verdict = rollout.strategy.onAbort === "rollback" ? "abort" : "pause";
  const stops: Stop[] = [];
  const failed = members.filter(({ state }) => state.kind === "failed");
  const [first] = failed;
  if (first?.state.kind === "failed") {
    const more = failed.length === 1 ? "" : `, and ${failed.length - 1} more failed`;
    stops.push({ cause: `stamp ${first.stamp} failed: ${first.state.cause}${more}`, verdict });
  }
  if (rollout.waves[wave]?.promoted !== true) {
    if (rollout.strategy.gate.enforced && world.gate?.verdict === "abort") {
      const bad = world.gate.checks.filter(({ verdict }) => verdict === "abort").map(({ text }) => text);
      stops.push({ cause: bad.length === 0 ? "the gate says so" : bad.join("; "), verdict });
    }
    const { hookFailures = [] } = world;
    stops.push(
      ...hookFailures.map((hook) => ({ cause: `hook ${hook.name} failed: ${hook.cause}`, verdict: hook.verdict })),
    );
  }
  return stops.find((stop) => stop.verdict === "abort") ?? stops[0];
}

function planQueued(turn: RolloutTurn, state: RolloutState): RolloutStep {
  const { members, world } = turn;
  if (world.newer !== undefined) return { next: { kind: "superseded", at: world.now, by: world.newer } };
  if (world.behind !== undefined) return { next: state, waitingOn: `rollout ${world.behind} to end` };
  const stale = members.filter((member) => member.state.kind === "waiting" && isStale(member, world));
  if (stale.length > 0) return { next: state, actions: stale.map(({ stamp }) => ({ kind: "refresh", stamp })) };
  const first = startOf(turn, 0);
  // Nobody has anything to do, which is soon done.
  if (first === undefined) return { next: { kind: "updating", wave: 0, since: world.now } };
  if (first.kind === "approval" || startable(turn, first.wave).length > 0) return { next: first };
  return { next: state, waitingOn: barredWords(turn, first.wave) };
}

/** What was begun ends, and is recorded. */
function planPaused({ members, world }: RolloutTurn, state: Extract<RolloutState, { kind: "paused" }>): RolloutStep {
  // A person who paused it wants to see it as it is; a gate that did only waits for somebody, or for a better release.
  const isIdle = members.every((member) => member.state.kind !== "updating");
  if (state.by === "gate" && isIdle && world.newer !== undefined) {
    return { next: { kind: "superseded", at: world.now, by: world.newer } };
  }
  return { next: state };
}

/** A time that lies ahead was written before the clock went back: what is left of it begins again, and nothing is cut short. */
function mendedClock(state: RolloutState, now: Instant): RolloutState {
  if (!("since" in state) || state.since <= now) return state;
  if (state.kind !== "baking") return { ...state, since: now };
  return { ...state, since: now, until: now + (state.until - state.since) };
}

function planOf(
  before: readonly RolloutMember[],
  after: readonly RolloutMember[],
  step: RolloutStep,
  { gate }: RolloutWorld,
): RolloutPlan {
  const { changed, actions = [], needsGate = false, next, waitingOn, lookAt } = step;
  const members = after.flatMap(({ stamp, state }, index) => {
    const now = changed?.get(stamp) ?? state;
    return now === before[index]?.state ? [] : [{ stamp, state: now }];
  });
  return {
    next,
    members,
    actions,
    needsGate,
    tookLook: gate?.tookLook === true,
    ...(waitingOn === undefined ? {} : { waitingOn }),
    ...(lookAt === undefined ? {} : { lookAt }),
  };
}
