import type { RolloutMember, StampObservation } from "@stampyard/domain";
import type { ObservedStamp } from "../../store/port.ts";
import type { EvidenceMemory, MemberMemory } from "./evidence-memory.ts";
import type { EvidenceDeps, OpenRollout } from "./run-evidence.ts";

/** Follows what is observed of members from before their update on: restarts, and how long they have been sick. */
export async function noteMembers(
  { store }: EvidenceDeps,
  memory: EvidenceMemory,
  open: readonly OpenRollout[],
): Promise<void> {
  if (open.length === 0) {
    memory.members.clear();
    for (const known of [memory.answers, memory.histories, memory.siblings]) known.clear();
    return;
  }
  const observations = await store.stamps.observations();
  const stamps = new Set<string>();
  for (const { members } of open) {
    for (const member of members) {
      stamps.add(member.stamp);
      const observed = observations.get(member.stamp);
      if (observed !== undefined) noteMember(memory, member, observed);
    }
  }
  for (const stamp of memory.members.keys()) if (!stamps.has(stamp)) memory.members.delete(stamp);
}

/** One observation of a member; one that was noted before changes nothing. */
export function noteMember(memory: EvidenceMemory, member: RolloutMember, { observation, at }: ObservedStamp): void {
  const begunAt = begunOf(member);
  const restarts = restartsOf(observation);
  let known = memory.members.get(member.stamp);
  if (known === undefined) {
    known = newMember(restarts, begunAt);
    memory.members.set(member.stamp, known);
  }
  if (known.begunAt !== begunAt) {
    known.begunAt = begunAt;
    known.restarts.clear();
  }
  if (at <= known.at) return;
  known.at = at;
  for (const [component, count] of restarts) {
    const before = known.seen.get(component);
    // A process of its own, after an update, counts from nothing.
    const more = before === undefined || count < before ? count : count - before;
    if (begunAt !== undefined && at > begunAt && more > 0) {
      known.restarts.set(component, (known.restarts.get(component) ?? 0) + more);
    }
  }
  known.seen = restarts;
  const sick = sickOf(observation);
  if (sick === undefined || sick.length === 0) known.sickSince = undefined;
  else known.sickSince ??= at;
}

function newMember(seen: ReadonlyMap<string, number>, begunAt: number | undefined): MemberMemory {
  return {
    at: 0,
    seen,
    restarts: new Map(),
    begunAt,
    sickSince: undefined,
    lagAskedAt: 0,
    lag: undefined,
    lagBefore: undefined,
  };
}

/** When its present update began, while it has one behind it or under way. */
export function begunOf({ state }: RolloutMember): number | undefined {
  return state.kind === "updating" || state.kind === "updated" || state.kind === "failed" ? state.since : undefined;
}

function restartsOf({ components }: StampObservation): ReadonlyMap<string, number> {
  return new Map(components.map(({ name, replica, restarts }) => [`${name}.${replica}`, restarts]));
}

/** Components that are not healthy, in words; undefined = it cannot be looked at. */
export function sickOf({ presence, host, components, reason }: StampObservation): readonly string[] | undefined {
  if (presence === "unknown") return undefined;
  if (presence === "absent") return ["the stamp is not there"];
  if (host !== "up") return ["its stamp host is down"];
  if (components.length === 0) return [`nothing of it is seen${reason === undefined ? "" : `: ${reason}`}`];
  return components.flatMap(({ name, replica, status, reason: why }) =>
    status === "healthy" || status === "done"
      ? []
      : [`${name}${replica === 0 ? "" : `.${replica}`} is ${status}${why === undefined ? "" : `: ${why}`}`],
  );
}
