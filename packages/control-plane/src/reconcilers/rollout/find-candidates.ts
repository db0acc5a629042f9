import {
  type Random,
  type Rollout,
  type RolloutCandidate,
  type Sha256,
  type Stamp,
  StampyardError,
} from "@stampyard/domain";
import { aimAt, aimAtPart, aimOf, fleetRules, poolOf } from "../../rollouts/aims.ts";
import { composeRelease } from "../../rollouts/compose-release.ts";
import { gatherCandidates } from "../../rollouts/gather-candidates.ts";
import type { Release, ReleaseInput, WriteContext } from "../../store/port.ts";
import type { ReconcileDeps } from "../turn.ts";

export type CandidateFinding = Pick<ReconcileDeps, "store" | "clock"> & {
  readonly random: Random;
  readonly sha256: Sha256;
};

/**
 * What a rollout would bring to these stamps if it began now. Secrets that the release
 * adds are made with it: a name that a stamp has keeps its value.
 * @throws StampyardError RELEASE_NOT_FOUND
 */
export async function findCandidates(
  deps: CandidateFinding,
  { release: digest, components, fleetRevision }: Pick<Rollout, "release" | "components" | "fleetRevision">,
  names: readonly string[],
  ctx: WriteContext,
): Promise<readonly RolloutCandidate[]> {
  const { store } = deps;
  const [row, goal, release, rows] = await Promise.all([
    store.fleet.read(),
    fleetRevision === undefined ? undefined : store.fleet.goal(fleetRevision),
    store.fleet.release(digest),
    Promise.all(names.map((name) => store.stamps.read(name))),
  ]);
  if (release === undefined) throw new StampyardError("RELEASE_NOT_FOUND", `No release ${digest}`);
  if (row === undefined) return [];
  const { fleet } = row.value;
  const stamps = [];
  for (const found of rows) {
    const stamp = found?.value;
    const pool = stamp === undefined ? undefined : (poolOf(goal?.fleet, stamp) ?? poolOf(fleet, stamp));
    if (stamp === undefined || pool === undefined) continue;
    const parts = components.length === 0 ? release : await compose(deps, release, components, stamp, ctx);
    const { to, secrets } = (components.length === 0 ? aimAt : aimAtPart)(deps, parts, stamp, pool, fleet);
    const known = await store.stamps.secrets(stamp.name);
    if (Object.keys(secrets).some((name) => !(name in known))) await store.stamps.addSecrets(stamp.name, secrets, ctx);
    const routing = fleetRules(goal?.fleet);
    stamps.push({
      stamp,
      from: aimOf(stamp, fleetRules(fleet)),
      to: routing === undefined ? to : { ...to, routing },
    });
  }
  return await gatherCandidates(deps, stamps, fleet);
}

/** What the stamp runs now, but for some parts. */
async function compose(
  { store, sha256 }: CandidateFinding,
  asked: Release,
  components: readonly string[],
  { releaseDigest }: Stamp,
  ctx: WriteContext,
): Promise<ReleaseInput> {
  const present = await store.fleet.release(releaseDigest);
  if (present === undefined) throw new StampyardError("RELEASE_NOT_FOUND", `No release ${releaseDigest}`);
  const composed = composeRelease(present, asked, components, sha256);
  await store.fleet.keepRelease(composed, ctx);
  return composed;
}
