import {
  isServing,
  joinNewcomers,
  type Rollout,
  type RolloutMember,
  type RolloutPlan,
  type RolloutWorld,
  sameAim,
  type Stamp,
} from "@stampyard/domain";
import { aimOf } from "../../rollouts/aims.ts";
import type { WriteContext } from "../../store/port.ts";
import { type Turn, writeContext } from "../turn.ts";
import type { RolloutDeps } from "./rollout-deps.ts";

type NewcomerDeps = Pick<RolloutDeps, "candidates">;

const sinceThen = "it has had another release since";

export interface Joined {
  readonly rollout: Rollout;
  readonly members: readonly RolloutMember[];
}

/**
 * The rollout with a last wave for stamps that were built since it began and serve with something else: nobody is left
 * behind unsaid. Looked for when none of its members waits any more. A rollout that takes releases back, or brings a part
 * of one, is for its members alone.
 */
export async function withNewcomers(
  deps: NewcomerDeps,
  rollout: Rollout,
  members: readonly RolloutMember[],
  stamps: readonly Stamp[],
  turn: Turn,
): Promise<Joined> {
  const isForAll = rollout.undoes === undefined && rollout.components.length === 0;
  const isLast = rollout.state.kind === "baking" && !members.some(({ state }) => state.kind === "waiting");
  if (!isForAll || !isLast) return { rollout, members };
  const known = new Set(members.map(({ stamp }) => stamp));
  const others = stamps
    .filter(({ name, origin, goal, state }) => {
      return !known.has(name) && origin === "built" && goal !== "absent" && isServing(state.kind);
    })
    .map(({ name }) => name);
  if (others.length === 0) return { rollout, members };
  const candidates = await deps.candidates(rollout, others, contextOf(rollout, turn));
  const behind = candidates.filter(({ from, to, skip }) => skip === undefined && !sameAim(from, to));
  const joined = joinNewcomers(rollout, members, behind);
  if (joined.members.length === 0) return { rollout, members };
  return { rollout: { ...rollout, waves: joined.waves }, members: [...members, ...joined.members] };
}

/**
 * Members whose stamps are aimed elsewhere than when it began, with what they would go back to now. What they get stays
 * as it was written down, but where it is composed of what they run.
 */
export async function refreshed(
  deps: NewcomerDeps,
  rollout: Rollout,
  members: readonly RolloutMember[],
  rows: ReadonlyMap<string, Stamp>,
  seen: RolloutWorld["members"],
  plan: RolloutPlan,
  turn: Turn,
): Promise<readonly RolloutMember[]> {
  const stale = plan.actions.flatMap((action) => (action.kind === "refresh" ? [action.stamp] : []));
  if (stale.length === 0) return [];
  const isComposed = rollout.components.length > 0 && rollout.undoes === undefined;
  const composed = isComposed ? await deps.candidates(rollout, stale, contextOf(rollout, turn)) : [];
  const to = new Map(composed.map((candidate) => [candidate.stamp, candidate.to]));
  return members.flatMap((member) => {
    const row = stale.includes(member.stamp) ? rows.get(member.stamp) : undefined;
    if (row === undefined) return [];
    const fresh = {
      ...member,
      from: aimOf(row, seen.get(member.stamp)?.routing),
      to: to.get(member.stamp) ?? member.to,
    };
    // Taking one rollout back must not take back what came after it.
    return rollout.undoes === undefined ? [fresh] : [{ ...fresh, state: { kind: "skipped", why: sinceThen } }];
  });
}

function contextOf({ id }: Rollout, turn: Turn): WriteContext {
  return writeContext(turn, `Rollout ${id}`);
}
