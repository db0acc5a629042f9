import {
  type Aim,
  type Digest,
  type Fleet,
  planWaves,
  type PlannedWaves,
  type RolloutCandidate,
  type RolloutStrategy,
  type Stamp,
} from "@stampyard/domain";
import type { RolloutInput } from "../store/port.ts";
import { aimOf, fleetRules } from "./aims.ts";
import { type CandidateDeps, gatherCandidates } from "./gather-candidates.ts";

/** A rollout as it would be started now: nothing is written. */
export interface PreparedRollout {
  readonly input: Omit<RolloutInput, "fleetRevision">;
  readonly planned: PlannedWaves;
  readonly candidates: readonly RolloutCandidate[];
}

export interface RolloutWish {
  readonly release: Digest;
  readonly components: readonly string[];
  readonly strategy: RolloutStrategy;
  readonly hotfix: boolean;
  readonly undoes?: string;
  readonly overridesFreeze?: string;
  /** Labels of pools. */
  readonly fleet: Fleet;
  /** What is in force. @default fleet */
  readonly present?: Fleet;
  readonly members: readonly {
    readonly stamp: Stamp;
    readonly to: Aim;
    readonly secrets?: Readonly<Record<string, string>>;
    readonly skip?: string;
  }[];
  /** What members will run when its turn comes, where that is not what they run now. */
  readonly expected?: ReadonlyMap<string, Aim>;
}

/** Who gets what, and when. @throws StampyardError STAMP_NOT_FOUND for a canary that is named and not there */
export async function prepareRollout(deps: CandidateDeps, wish: RolloutWish): Promise<PreparedRollout> {
  const { release, components, strategy, hotfix, undoes, overridesFreeze, members, expected } = wish;
  const rules = fleetRules(wish.present ?? wish.fleet);
  const stamps = members.map(({ stamp, to, skip }) => {
    const from = expected?.get(stamp.name) ?? aimOf(stamp, rules);
    return { stamp, from, to, ...(skip === undefined ? {} : { skip }) };
  });
  const candidates = await gatherCandidates(deps, stamps, wish.fleet);
  const planned = planWaves({ strategy, candidates, hotfix });
  const given = members.flatMap(({ stamp, secrets }) =>
    secrets === undefined ? [] : [[stamp.name, secrets] as const],
  );
  const input = {
    release,
    components,
    strategy,
    waves: planned.waves,
    members: planned.members,
    ...(given.length === 0 ? {} : { secrets: Object.fromEntries(given) }),
    hotfix,
    ...(undoes === undefined ? {} : { undoes }),
    ...(overridesFreeze === undefined ? {} : { overridesFreeze }),
  };
  return { input, planned, candidates };
}

/** Whether anything would change. */
export function changesSomething({ planned }: PreparedRollout): boolean {
  return planned.members.some(({ state }) => state.kind !== "skipped");
}
