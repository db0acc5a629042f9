import { type Rollout, type RolloutMember, runningRollouts } from "./rollout.ts";

type Parts = Pick<Rollout, "components">;

/** Whether both may change some part of a stamp; no components = all of them. */
export function overlaps(a: Parts, b: Parts): boolean {
  if (a.components.length === 0 || b.components.length === 0) return true;
  return a.components.some((component) => b.components.includes(component));
}

/** Whether nothing is lost when `newer` takes the place of `older`: it brings all of the parts that the other one does. */
export function covers(newer: Parts, older: Parts): boolean {
  if (newer.components.length === 0) return true;
  return older.components.length > 0 && older.components.every((component) => newer.components.includes(component));
}

type Queued = Pick<Rollout, "id" | "state" | "hotfix" | "undoes">;

/**
 * Id of the rollout that a queued one waits behind, or undefined if it may begin. Whatever parts they change, one at a
 * time is under way (I34): what a member is aimed at is a whole stamp, so two at once would take back each other's parts.
 * Hotfixes and those that take back another one go before the rest; otherwise it is first come, first served.
 *
 * @param open all that have not ended, oldest first
 */
export function behindWhom(queued: Pick<Rollout, "id">, open: readonly Queued[]): string | undefined {
  const running = open.find(({ id, state }) => id !== queued.id && runningRollouts.includes(state.kind));
  if (running !== undefined) return running.id;
  const waiting = open.filter(({ id, state }) => id === queued.id || state.kind === "queued");
  const line = [...waiting.filter(isUrgent), ...waiting.filter((rollout) => !isUrgent(rollout))];
  return line[line.findIndex(({ id }) => id === queued.id) - 1]?.id;
}

function isUrgent({ hotfix, undoes }: Pick<Rollout, "hotfix" | "undoes">): boolean {
  return hotfix || undoes !== undefined;
}

type Rival = Pick<Rollout, "id" | "components" | "state" | "hotfix" | "undoes" | "strategy">;

/**
 * Id of the newest queued rollout that takes the place of this one, or undefined (`RolloutStrategy.onNewer`). One that is
 * under way makes way only if all of its members came from one release, and from the same rules: whoever superseded without end would bring the
 * first waves every release and the last ones none.
 *
 * @param open all that have not ended, oldest first
 */
export function whoTakesOver(
  rollout: Rival,
  members: readonly Pick<RolloutMember, "from" | "state">[],
  open: readonly Rival[],
): string | undefined {
  const isQueued = rollout.state.kind === "queued";
  const younger = open.slice(open.findIndex(({ id }) => id === rollout.id) + 1);
  const newer = younger.findLast((other) => {
    if (other.state.kind !== "queued" || !covers(other, rollout)) return false;
    if (other.hotfix || other.undoes === rollout.id) return true;
    if (isUrgent(rollout) || isUrgent(other)) return false;
    const policies = [rollout.strategy.onNewer, other.strategy.onNewer];
    return policies.includes("supersede") || (isQueued && policies.includes("batch"));
  });
  if (newer === undefined || isQueued || newer.hotfix) return newer?.id;
  const touched = members.filter(({ state }) => state.kind !== "skipped");
  const origins = new Set(touched.map(({ from: { release, routing } }) => `${release} ${routing ?? ""}`));
  return origins.size <= 1 ? newer.id : undefined;
}
