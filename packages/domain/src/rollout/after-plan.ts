import type { Instant } from "../ports.ts";
import type { Rollout, RolloutMember, RolloutState } from "./rollout.ts";
import { rolloutWords } from "./rollout-words.ts";
import type { RolloutPlan, RolloutWorld } from "./rollout-world.ts";

/**
 * What is to be recorded of a turn: the rollout with its time, looks, gate and words, and the members that differ, with
 * their new state.
 */
export function afterPlan(
  rollout: Rollout,
  members: readonly RolloutMember[],
  plan: RolloutPlan,
  { now, gate }: Pick<RolloutWorld, "now" | "gate">,
): { readonly rollout: Rollout; readonly members: readonly RolloutMember[] } {
  const states = new Map(plan.members.map(({ stamp, state }) => [stamp, state]));
  const differing = members.flatMap((member) => {
    const state = states.get(member.stamp);
    return state === undefined ? [] : [{ ...member, state }];
  });
  const { waitingOn: _, gate: before, ...rest } = rollout;
  // A report of before a bake says nothing of it.
  const report = beginsBake(rollout.state, plan.next) ? undefined : (gate ?? before);
  const waitingOn = plan.waitingOn ?? rolloutWords({ ...rollout, state: plan.next }, now).waitsFor;
  return {
    rollout: {
      ...rest,
      ...stepped(rollout, plan.next, now),
      looks: rollout.looks + (plan.tookLook ? 1 : 0),
      ...(report === undefined ? {} : { gate: report }),
      ...(waitingOn === undefined ? {} : { waitingOn }),
    },
    members: differing,
  };
}

/** The next state, with the time that the one before has taken. */
export function stepped(
  { state, spent }: Pick<Rollout, "state" | "spent">,
  next: RolloutState,
  now: Instant,
): Pick<Rollout, "state" | "spent"> {
  const isSame = next === state || (next.kind === state.kind && waveOf(next) === waveOf(state));
  if (isSame || !("since" in state)) return { state: next, spent };
  const ms = Math.max(0, now - state.since);
  switch (state.kind) {
    case "updating":
    case "aborting":
      return { state: next, spent: { ...spent, activeMs: spent.activeMs + ms } };
    case "baking":
      return { state: next, spent: { ...spent, bakingMs: spent.bakingMs + ms } };
    default:
      return { state: next, spent: { ...spent, waitingMs: spent.waitingMs + ms } };
  }
}

export function beginsBake(state: RolloutState, next: RolloutState): boolean {
  return next.kind === "baking" && state.kind !== "baking";
}

function waveOf(state: RolloutState): number | undefined {
  return "wave" in state ? state.wave : undefined;
}
