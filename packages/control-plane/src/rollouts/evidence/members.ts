import type { Rollout, RolloutMember, UpdatedMember } from "@stampyard/domain";

/** More are not looked at one by one; those of the wave under way come first. */
export const mostUpdated = 200;

/** Members that have arrived, those of the newest wave first. */
export function updatedOf(members: readonly RolloutMember[]): readonly UpdatedMember[] {
  return members
    .flatMap(({ stamp, wave, state }) =>
      state.kind === "updated" ? [{ stamp, begunAt: state.since, updatedAt: state.at, wave }] : [],
    )
    .sort((left, right) => right.wave - left.wave || right.updatedAt - left.updatedAt);
}

/** Nothing is done to those that wait, nor to those that are left out because they are pinned or run something else. */
export function siblingsOf(rollout: Rollout, members: readonly RolloutMember[]): readonly string[] {
  return members
    .filter(({ state, from }) => {
      if (state.kind === "waiting") return true;
      return state.kind === "skipped" && from.release !== rollout.release;
    })
    .map(({ stamp }) => stamp);
}
