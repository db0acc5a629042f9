import type { Instant } from "../ports.ts";
import { orderedAt } from "./follow-member.ts";
import type { MemberPhase, MemberState, RolloutMember, RolloutState } from "./rollout.ts";
import type { RolloutWorld } from "./rollout-world.ts";
import {
  type ForwardState,
  pendingHooks,
  type RolloutStep,
  type RolloutTurn,
  type Stop,
  soonest,
} from "./wave-steps.ts";

/** They may have got the release. */
const touched: readonly MemberPhase[] = ["updating", "updated", "failed"];

/** Touched members that go back, all at once; the others are not touched. */
export function returning(
  members: readonly RolloutMember[],
  seen: RolloutWorld["members"],
  now: Instant,
  which: readonly MemberPhase[] = touched,
): ReadonlyMap<string, MemberState> {
  const back = members.filter(({ state }) => which.includes(state.kind));
  return new Map(back.map(({ stamp }) => [stamp, { kind: "returning", since: orderedAt(seen.get(stamp), now) }]));
}

/** Back to what each ran before, whatever else is the matter (I36). */
export function planReturn(turn: RolloutTurn, state: Extract<RolloutState, { kind: "aborting" }>): RolloutStep {
  const { rollout, members, world } = turn;
  const { now } = world;
  const changed = returning(members, world.members, now);
  const actions = [...changed.keys()].map((stamp) => ({ kind: "return" as const, stamp }));
  const hooks = pendingHooks(rollout, "on-abort", 0);
  const { updateWithinMs } = rollout.strategy;
  const away = members.flatMap(({ stamp, state: s }) => (s.kind === "returning" ? [{ stamp, since: s.since }] : []));
  // Whoever cannot be looked at is aimed at its old release for good, and keeps nobody else from going on.
  const late = away.filter(({ since }) => now - since >= updateWithinMs);
  if (changed.size === 0 && hooks.length === 0 && late.length === away.length) {
    const names = late.map(({ stamp }) => stamp).join(", ");
    const cause = late.length === 0 ? state.cause : `${state.cause} (not seen to be back: ${names})`;
    return { next: { kind: "aborted", at: now, cause, by: state.by } };
  }
  const [first] = away;
  const lookAt = soonest(...away.map(({ since }) => since + updateWithinMs));
  const count = changed.size + away.length;
  const lack = first === undefined ? undefined : world.members.get(first.stamp)?.lack;
  const who = first === undefined ? "" : `: ${first.stamp}${lack === undefined ? "" : `: ${lack}`}`;
  const waitingOn = count === 0 ? "hooks of the abort" : `${count} to run again what they ran before${who}`;
  return {
    next: state,
    changed,
    actions: [...actions, ...hooks],
    waitingOn,
    ...(lookAt === undefined ? {} : { lookAt }),
  };
}

/** A rollout that may not go on: back, or as it is until a person has looked at it. */
export function stopped(turn: RolloutTurn, was: ForwardState, { cause, verdict }: Stop): RolloutStep {
  const { now } = turn.world;
  if (verdict === "pause") return { next: { kind: "paused", since: now, why: cause, by: "gate", was } };
  const aborting = { kind: "aborting", since: now, cause, by: "gate" } as const;
  return { ...planReturn(turn, aborting), next: aborting };
}
