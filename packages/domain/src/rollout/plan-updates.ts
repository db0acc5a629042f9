import { orderedAt } from "./follow-member.ts";
import type { MemberState, RolloutMember, RolloutState } from "./rollout.ts";
import type { RolloutAction } from "./rollout-world.ts";
import {
  barredWords,
  isStale,
  isUnseen,
  pendingHooks,
  type RolloutStep,
  type RolloutTurn,
  soonest,
  startable,
} from "./wave-steps.ts";

type Updating = Extract<RolloutState, { kind: "updating" }>;

/** Members of one wave are updated, a few at a time, from low to high traffic. */
export function planUpdates(turn: RolloutTurn, state: Updating): RolloutStep {
  const { rollout, members, world } = turn;
  const { now } = world;
  const wave = rollout.waves[state.wave];
  const mine = members.filter((member) => member.wave === state.wave);
  const open = mine.filter((member) => isOpen(member));
  const waiting = mine.filter((member) => member.state.kind === "waiting");
  const underWay = mine.filter((member) => member.state.kind === "updating");
  const pinned = waiting.flatMap(({ stamp }) => {
    const why = world.pinned?.get(stamp);
    return why === undefined ? [] : [[stamp, { kind: "skipped", why }] as const];
  });
  if (pinned.length > 0) return { next: state, changed: new Map(pinned), needsGate: isWatched(turn) };
  // Two waves are never under way at once (I34): those of one before, which a person had tried again, come first.
  const before = members.filter((member) => member.wave !== state.wave && member.state.kind === "updating");
  if (before.length > 0) return { next: state, needsGate: isWatched(turn), ...waitFor(turn, before) };
  if (waiting.length === 0 && underWay.length === 0) {
    const bakeMs = wave === undefined || wave.promoted === true ? 0 : wave.bakeMs;
    return { next: { kind: "baking", wave: state.wave, since: now, until: now + bakeMs }, needsGate: isWatched(turn) };
  }
  const lookAt = lateFrom(turn, underWay);
  const needsGate = isWatched(turn) && wave?.promoted !== true;
  const step: RolloutStep = {
    next: state,
    needsGate,
    waitingOn: updateWords(turn, state, underWay, waiting),
    ...(lookAt === undefined ? {} : { lookAt }),
  };
  const ready = startable(turn, state.wave);
  if (ready.length === 0) {
    const isStuck = wave?.promoted === true && underWay.length === 0;
    return isStuck ? { ...step, changed: givenUp(turn, waiting) } : step;
  }
  const hooks = wave?.promoted === true ? [] : hooksBefore(turn, state.wave);
  if (hooks.length > 0) return { ...step, actions: hooks, waitingOn: "hooks before the wave" };
  // Beside members that are updated already, nobody begins while nothing is known of them.
  if (needsGate && rollout.strategy.gate.enforced && world.gate === undefined) return step;
  const free = Math.max(0, (wave?.maxUnavailable ?? 1) - open.length);
  const changed = new Map<string, MemberState>();
  const actions = ready.slice(0, free).map((member): RolloutAction => {
    const { stamp } = member;
    if (isStale(member, world)) return { kind: "refresh", stamp };
    changed.set(stamp, { kind: "updating", since: orderedAt(world.members.get(stamp), now) });
    return { kind: "update", stamp };
  });
  return { ...step, actions, changed };
}

function waitFor(turn: RolloutTurn, before: readonly RolloutMember[]): Pick<RolloutStep, "waitingOn" | "lookAt"> {
  const lookAt = lateFrom(turn, before);
  const waitingOn = `another wave's member to be updated first: ${underWayWords(turn, before)}`;
  return { waitingOn, ...(lookAt === undefined ? {} : { lookAt }) };
}

/** When the first of those that are on their way will have taken too long. */
function lateFrom({ rollout, world }: RolloutTurn, underWay: readonly RolloutMember[]): number | undefined {
  const { updateWithinMs } = rollout.strategy;
  return soonest(...underWay.map(({ state }) => ("since" in state ? state.since : world.now) + updateWithinMs));
}

/** Not serving as it should, because of this rollout. */
function isOpen({ state }: RolloutMember): boolean {
  return state.kind === "updating" || state.kind === "failed" || state.kind === "returning";
}

/** Whether anybody runs the new release, so that there is something to judge. */
export function isWatched({ members }: Pick<RolloutTurn, "members">): boolean {
  return members.some(({ state }) => state.kind === "updated");
}

function hooksBefore({ rollout }: RolloutTurn, wave: number): readonly RolloutAction[] {
  const first = pendingHooks(rollout, "before-rollout", 0);
  return first.length > 0 ? first : pendingHooks(rollout, "before-wave", wave);
}

/** A person said that the wave goes on: who cannot be looked at is left out. What is frozen or pinned is waited for. */
function givenUp({ world }: RolloutTurn, waiting: readonly RolloutMember[]): ReadonlyMap<string, MemberState> {
  const unseen = waiting.filter(({ stamp }) => !world.barred.has(stamp) && isUnseen(stamp, world));
  return new Map(unseen.map(({ stamp }) => [stamp, { kind: "skipped", why: "it could not be looked at" }]));
}

function updateWords(
  turn: RolloutTurn,
  { wave }: Updating,
  underWay: readonly RolloutMember[],
  waiting: readonly RolloutMember[],
): string {
  const parts: string[] = [];
  if (underWay.length > 0) parts.push(`${underWay.length} being updated: ${underWayWords(turn, underWay)}`);
  if (waiting.length > 0) parts.push(`${waiting.length} still to begin`);
  const barred = barredWords(turn, wave);
  if (barred !== "") parts.push(barred);
  return parts.join("; ");
}

function underWayWords({ world }: RolloutTurn, underWay: readonly RolloutMember[]): string {
  const [first] = underWay;
  if (first === undefined) return "";
  const lack = world.members.get(first.stamp)?.lack;
  const more = underWay.length === 1 ? "" : `, and ${underWay.length - 1} more`;
  return `${first.stamp}${lack === undefined ? "" : `: ${lack}`}${more}`;
}
