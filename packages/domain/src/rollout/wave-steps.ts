import type { Instant } from "../ports.ts";
import type { MemberState, Rollout, RolloutMember, RolloutState } from "./rollout.ts";
import type { RolloutAction, RolloutPlan, RolloutWorld } from "./rollout-world.ts";
import type { RolloutHookPoint } from "./strategy.ts";

/** What every part of a turn works with: members as they are now, whatever was recorded. */
export interface RolloutTurn {
  readonly rollout: Rollout;
  readonly members: readonly RolloutMember[];
  readonly world: RolloutWorld;
}

/** A plan before the members that differ are put together. */
export interface RolloutStep extends Omit<Partial<RolloutPlan>, "members" | "tookLook"> {
  readonly next: RolloutState;
  readonly changed?: ReadonlyMap<string, MemberState>;
}

/** On the way to everybody, rather than waiting to begin, stopped, or going back. */
export type ForwardState = Extract<RolloutState, { kind: "updating" | "baking" | "approval" }>;

export interface Stop {
  readonly cause: string;
  readonly verdict: "abort" | "pause";
}

/** The next wave from this one on in which somebody waits; undefined = nobody does. */
export function startOf(
  { rollout, members, world }: RolloutTurn,
  from: number,
): Extract<RolloutState, { kind: "updating" | "approval" }> | undefined {
  let wave = Number.POSITIVE_INFINITY;
  for (const member of members) {
    if (member.state.kind === "waiting" && member.wave >= from) wave = Math.min(wave, member.wave);
  }
  if (wave === Number.POSITIVE_INFINITY) return undefined;
  const kind = rollout.waves[wave]?.approval === true ? "approval" : "updating";
  return { kind, wave, since: world.now };
}

/** Members of a wave that may begin now, in order. */
export function startable({ members, world }: RolloutTurn, wave: number): readonly RolloutMember[] {
  return members
    .filter((member) => member.wave === wave && member.state.kind === "waiting")
    .filter(({ stamp }) => whyNotNow(stamp, world) === undefined)
    .sort((a, b) => a.place - b.place);
}

/** A stamp that cannot be looked at is not changed: nobody would see what came of it. */
function whyNotNow(stamp: string, world: RolloutWorld): string | undefined {
  const barred = world.barred.get(stamp);
  if (barred !== undefined) return barred;
  return isUnseen(stamp, world) ? "it cannot be looked at" : undefined;
}

export function isUnseen(stamp: string, world: RolloutWorld): boolean {
  return world.members.get(stamp)?.running === undefined;
}

/** Somebody else has changed what it should run since its `from` was written down. */
export function isStale({ stamp, from }: RolloutMember, world: RolloutWorld): boolean {
  const seen = world.members.get(stamp);
  if (seen === undefined) return false;
  const isRuled = from.routing === undefined || seen.routing === undefined || seen.routing === from.routing;
  return seen.aimed !== from.stampDigest || !isRuled;
}

/** Hooks of a point that have not answered yet, as an action or none. */
export function pendingHooks(rollout: Rollout, point: RolloutHookPoint, wave: number): readonly RolloutAction[] {
  const isDone = (name: string) => rollout.hooksDone.includes(hookKey(point, wave, name));
  const isPending = rollout.strategy.hooks.some((hook) => hook.point === point && !isDone(hook.name));
  return isPending ? [{ kind: "hook", point, wave }] : [];
}

/** How `Rollout.hooksDone` names a hook that has answered. */
export function hookKey(point: RolloutHookPoint, wave: number, name: string): string {
  return `${point}/${wave}/${name}`;
}

/** Why members of a wave that wait do not begin. */
export function barredWords({ members, world }: RolloutTurn, wave: number): string {
  const waiting = members.filter((member) => member.wave === wave && member.state.kind === "waiting");
  const barred = waiting.flatMap(({ stamp }) => {
    const why = whyNotNow(stamp, world);
    return why === undefined ? [] : [`${stamp}: ${why}`];
  });
  if (barred.length === 0) return "";
  const more = barred.length === 1 ? "" : `, and ${barred.length - 1} more`;
  return `${barred.length} that cannot begin now: ${barred[0]}${more}`;
}

export function soonest(...instants: readonly (Instant | undefined)[]): Instant | undefined {
  const known = instants.filter((at) => at !== undefined);
  return known.length === 0 ? undefined : known.reduce((a, b) => Math.min(a, b));
}
