import type { Instant } from "../ports.ts";
import { signalsFreshMs } from "./evidence.ts";
import { runs } from "./follow-member.ts";
import { isWatched } from "./plan-updates.ts";
import type { RolloutState } from "./rollout.ts";
import { pendingHooks, type RolloutStep, type RolloutTurn, startOf } from "./wave-steps.ts";

type Baking = Extract<RolloutState, { kind: "baking" }>;

/** All of a wave runs the release, and is watched; what is not known at the end of it is waited for, and never good (I35). */
export function planBake(turn: RolloutTurn, state: Baking): RolloutStep {
  const { rollout, world } = turn;
  const { now } = world;
  const { gate } = rollout.strategy;
  const wave = rollout.waves[state.wave];
  const isPromoted = wave?.promoted === true;
  const needsGate = !isPromoted && isWatched(turn);
  if (now < state.until && !isPromoted) {
    return { next: state, needsGate, lookAt: state.until };
  }
  const lack = isPromoted ? undefined : (whoLacks(turn, state) ?? whatIsUnjudged(turn, state));
  if (lack === undefined) return passed(turn, state);
  const lastWait = state.until + gate.waitMs;
  if (now < lastWait) return { next: state, needsGate, waitingOn: lack, lookAt: lastWait };
  return { next: { kind: "paused", since: now, why: lack, by: "gate", was: state } };
}

/**
 * Whether the gate has to be asked for a verdict that spends of alpha: at the end of a bake, once. What waits for more data
 * after it must not look again and again until chance gives a reason, nor take the looks of the waves that follow.
 */
export function isLookDue({ state, waves, looks }: RolloutTurn["rollout"], now: Instant): boolean {
  return state.kind === "baking" && waves[state.wave]?.promoted !== true && now >= state.until && looks <= state.wave;
}

/** Completion is this release on every member, seen just now: whoever was healthy before the bake may not be after it. */
function whoLacks({ members, world }: RolloutTurn, { wave, since }: Baking): string | undefined {
  const from = Math.max(since, world.now - signalsFreshMs);
  const lacking = members.filter(({ wave: index, state, stamp, to }) => {
    if (index !== wave || state.kind !== "updated") return false;
    const seen = world.members.get(stamp);
    const isFresh = seen !== undefined && seen.observedAt >= from && seen.observedAt <= world.now;
    return !isFresh || !runs(seen, to.stampDigest);
  });
  const [first] = lacking;
  if (first === undefined) return undefined;
  const seen = world.members.get(first.stamp);
  const what =
    seen?.running === undefined ? "cannot be looked at" : `is not whole: ${seen.lack ?? "it was not seen lately"}`;
  return `stamp ${first.stamp} ${what}${lacking.length === 1 ? "" : `, and ${lacking.length - 1} more`}`;
}

/** Why there is no verdict to go by, of a look at or after the end of the bake. */
function whatIsUnjudged({ rollout, members, world }: RolloutTurn, { wave, until }: Baking): string | undefined {
  const rule = rollout.waves[wave];
  // Without a bake there is nothing that could have been seen: its strategy wanted no verdict.
  if (rule === undefined || rule.bakeMs === 0) return undefined;
  if (!isWatched({ members }))
    return members.some(({ state }) => state.kind === "waiting") ? "somebody to be judged by" : undefined;
  const reports = [world.gate, rollout.gate].filter((report) => report !== undefined && report.at >= until);
  if (!rollout.strategy.gate.enforced) return undefined;
  if (reports.some((report) => report?.verdict === "go")) return undefined;
  const [last] = reports;
  if (last === undefined) return `a verdict on wave ${rule.name}`;
  const why = [...new Set(last.checks.filter(({ verdict }) => verdict !== "go").map(({ text }) => text))];
  const when =
    last.enoughInMs === undefined ? "" : `; enough is there in about ${Math.ceil(last.enoughInMs / 1_000)} s`;
  return `the gate cannot tell: ${why.join("; ")}${when}`;
}

function passed(turn: RolloutTurn, { wave, ...state }: Baking): RolloutStep {
  const { rollout, world } = turn;
  const { now } = world;
  const stay = { next: { ...state, wave } };
  if (rollout.waves[wave]?.promoted !== true) {
    const hooks = pendingHooks(rollout, "after-wave", wave);
    if (hooks.length > 0) return { ...stay, actions: hooks, waitingOn: "hooks after the wave" };
  }
  const next = startOf(turn, wave + 1);
  if (next !== undefined) {
    return world.newer === undefined ? { next } : { next: { kind: "superseded", at: now, by: world.newer } };
  }
  const hooks = pendingHooks(rollout, "after-rollout", 0);
  if (hooks.length > 0) return { ...stay, actions: hooks, waitingOn: "hooks after the rollout" };
  return { next: { kind: "done", at: now } };
}
