import {
  type Aim,
  bringsRules,
  type Digest,
  type Rollout,
  type RolloutStrategy,
  type Stamp,
  StampyardError,
} from "@stampyard/domain";
import type { FleetGoal, FleetRecord, Release, ReleaseInput, Revisioned, WriteContext } from "../store/port.ts";
import { aimAt, aimAtPart, aimOf, expectedAims, fleetRules, keptStamps, poolOf } from "./aims.ts";
import { type ApplyDeps, requireRelease } from "./apply-by-rollout.ts";
import { composeRelease, isComposed } from "./compose-release.ts";
import { type FilesKept, requireFiles } from "./require-files.ts";
import { changesSomething, type PreparedRollout, prepareRollout, type RolloutWish } from "./prepare-rollout.ts";
import { strategyFor } from "./strategy-for.ts";
import type { Store } from "../store/port.ts";

export type StartDeps = Omit<ApplyDeps, "store"> &
  FilesKept & { readonly store: ApplyDeps["store"] & Pick<Store, "stamps"> };

/** What a person asks for; the rest is the fleet's strategy. */
export interface RolloutAsked {
  /** Absent = what was applied last. */
  readonly release?: Digest;
  /** Empty = all. */
  readonly components: readonly string[];
  /** What is to hold instead of the fleet's own strategy. */
  readonly strategy?: (base: RolloutStrategy) => RolloutStrategy;
  readonly hotfix: boolean;
  /** The reason for which it passes freezes. */
  readonly overridesFreeze?: string;
}

/** As asked, with everything that would be written; nothing is. */
export interface AskedPlan extends PreparedRollout {
  readonly release: Release;
  /** The fleet's revision that it makes true. */
  readonly fleetRevision?: number;
  /** Releases composed for it, to be kept before it starts. */
  readonly composed: readonly ReleaseInput[];
}

/**
 * Starts a rollout of a release, or of parts of it, by the strategy of the fleet or the one that is asked for.
 * @throws StampyardError NOT_FOUND before the first apply, RELEASE_NOT_FOUND also where its files are gone, WRONG_PHASE when nothing would change,
 * INVALID_REQUEST for parts that do not fit, INVALID_MANIFEST for parameters that the release does not take
 */
export async function startRollout(
  deps: StartDeps,
  asked: RolloutAsked,
  ctx: WriteContext,
): Promise<Revisioned<Rollout>> {
  const plan = await planAsked(deps, asked);
  requireChange(plan);
  const { input, composed, fleetRevision } = plan;
  for (const release of composed) await deps.store.fleet.keepRelease(release, ctx);
  return await deps.store.rollouts.start(fleetRevision === undefined ? input : { ...input, fleetRevision }, ctx);
}

export async function planAsked(deps: StartDeps, asked: RolloutAsked): Promise<AskedPlan> {
  const { store } = deps;
  const [row, goals, rows, expected] = await Promise.all([
    store.fleet.read(),
    store.fleet.goals(),
    store.stamps.all(),
    // A hotfix goes before what waits for its turn, so that says nothing of what it will find. A part is put into what a
    // stamp runs: where that is another release when its turn comes, it has to be seen to be, and is composed again.
    asked.hotfix || asked.components.length > 0 ? new Map<string, Aim>() : expectedAims(store),
  ]);
  if (row === undefined) {
    throw new StampyardError("NOT_FOUND", "No fleet is applied yet", {
      mend: "Apply a fleet.yaml first (stampyard apply).",
    });
  }
  const present = row.value;
  const digest = asked.release ?? goals[0]?.release ?? (await newestRelease(store));
  const release = await requireRelease(store, digest);
  // What was applied with the release belongs to it, as long as that is still wanted.
  const goal = asked.components.length > 0 ? undefined : goals.find((one) => one.release === digest);
  const base = await strategyFor(store, present.fleet);
  const strategy = asked.strategy?.(base) ?? base;
  const stamps = keptStamps(rows.map(({ value }) => value)).filter(
    (stamp) => poolOf(present.fleet, stamp) !== undefined,
  );
  const whole = { components: asked.components, strategy, hotfix: asked.hotfix, fleet: present.fleet, expected };
  const { overridesFreeze } = asked;
  const said = { ...whole, release: digest, ...(overridesFreeze === undefined ? {} : { overridesFreeze }) };
  if (asked.components.length > 0) {
    const { members, composed } = await composeMembers(deps, release, asked.components, stamps, present);
    await requireFiles(deps, composed);
    return { ...(await prepareRollout(deps, { ...said, members })), release, composed };
  }
  await requireFiles(deps, [release]);
  const members = stamps.map((stamp) => ({ stamp, ...aimWith(deps, release, stamp, present, goal) }));
  const prepared = await prepareRollout(deps, { ...said, members });
  return { ...prepared, release, composed: [], ...(goal === undefined ? {} : { fleetRevision: goal.revision }) };
}

function aimWith(deps: StartDeps, release: Release, stamp: Stamp, present: FleetRecord, goal: FleetGoal | undefined) {
  const pool = poolOf(goal?.fleet, stamp) ?? poolOf(present.fleet, stamp);
  if (pool === undefined) throw new RangeError(`Stamp ${stamp.name} has no pool`);
  const { to, secrets } = aimAt(deps, release, stamp, pool, present.fleet);
  return { to: goal === undefined ? to : { ...to, routing: fleetRules(goal.fleet) }, secrets };
}

/** Each stamp's present release with the parts taken from the asked one. */
async function composeMembers(
  deps: StartDeps,
  asked: Release,
  components: readonly string[],
  stamps: readonly Stamp[],
  present: FleetRecord,
): Promise<{ readonly members: RolloutWish["members"]; readonly composed: readonly ReleaseInput[] }> {
  const byPresent = new Map<Digest, ReleaseInput>();
  const members = [];
  for (const stamp of stamps) {
    let composed = byPresent.get(stamp.releaseDigest);
    if (composed === undefined) {
      const runs = await requireRelease(deps.store, stamp.releaseDigest);
      composed = composeRelease(runs, asked, components, deps.sha256);
      byPresent.set(stamp.releaseDigest, composed);
    }
    const pool = poolOf(present.fleet, stamp);
    if (pool === undefined) continue;
    members.push({ stamp, ...aimAtPart(deps, composed, stamp, pool, present.fleet) });
  }
  return { members, composed: [...byPresent.values()] };
}

/** @throws StampyardError RELEASE_NOT_FOUND */
async function newestRelease({ fleet }: Pick<Store, "fleet">): Promise<Digest> {
  for (let cursor: string | undefined; ; ) {
    const page = await fleet.releases(cursor === undefined ? {} : { cursor });
    const found = page.items.find((release) => !isComposed(release));
    if (found !== undefined) return found.digest;
    cursor = page.nextCursor;
    if (cursor === undefined) throw new StampyardError("RELEASE_NOT_FOUND", "There is no release yet");
  }
}

function requireChange(plan: AskedPlan): void {
  if (changesSomething(plan)) return;
  const whys = plan.planned.members.map(({ stamp, state }) => `${stamp}: ${"why" in state ? state.why : "no change"}`);
  const why = whys.length === 0 ? "there is no stamp" : whys.slice(0, 3).join("; ");
  throw new StampyardError("WRONG_PHASE", `Release ${plan.release.version} changes nothing: ${why}`, {
    mend: "See which stamp runs what with: stampyard release matrix.",
  });
}

/**
 * Takes a finished rollout back: each member that it changed, and that has had no other release since, gets what it ran
 * before, in the same waves but without bakes: what comes is known to be good, and what is there is not.
 * @throws StampyardError WRONG_PHASE when there is nothing to take back
 */
export async function undoRollout(
  deps: StartDeps,
  undone: Rollout,
  options: { readonly overridesFreeze?: string },
  ctx: WriteContext,
): Promise<Revisioned<Rollout>> {
  const { store } = deps;
  const [row, rows, members] = await Promise.all([
    store.fleet.read(),
    store.stamps.all(),
    store.rollouts.members(undone.id),
  ]);
  if (undone.state.kind !== "done" && undone.state.kind !== "superseded") {
    throw new StampyardError(
      "WRONG_PHASE",
      `Rollout ${undone.id} is ${undone.state.kind}: it is not undone, but aborted`,
      {
        mend: undone.state.kind === "aborted" ? "It is back already." : `Use: stampyard rollout abort ${undone.id}.`,
      },
    );
  }
  const stamps = new Map(keptStamps(rows.map(({ value }) => value)).map((stamp) => [stamp.name, stamp]));
  const back = members.flatMap((member) => {
    const stamp = stamps.get(member.stamp);
    if (stamp === undefined || member.state.kind !== "updated") return [];
    const { stampDigest, routing } = aimOf(stamp, fleetRules(row?.value.fleet));
    // Rules that it did not bring are not its to take back, whoever has changed them since.
    const { routing: _, ...rest } = member.from;
    const to = bringsRules(member.from, member.to) ? member.from : rest;
    const isSince = stampDigest !== member.to.stampDigest || (to === member.from && routing !== member.to.routing);
    return [{ stamp, to, ...(isSince ? { skip: "it has had another release since" } : {}) }];
  });
  const [first] = back;
  if (row === undefined || first === undefined) {
    throw new StampyardError("WRONG_PHASE", `Rollout ${undone.id} changed no stamp that is there`);
  }
  const prepared = await prepareRollout(deps, {
    release: releaseBefore(back),
    components: undone.components,
    strategy: strategyBack(undone.strategy),
    hotfix: false,
    undoes: undone.id,
    ...options,
    fleet: row.value.fleet,
    members: back,
  });
  if (!changesSomething(prepared)) {
    throw new StampyardError("WRONG_PHASE", `Every stamp of rollout ${undone.id} has had another release since`);
  }
  const releases = [...new Set(back.flatMap(({ to, skip }) => (skip === undefined ? [to.release] : [])))];
  await requireFiles(deps, await Promise.all(releases.map((digest) => requireRelease(store, digest))));
  return await store.rollouts.start(prepared.input, ctx);
}

/** What most of them go back to: a rollout is named after one release. */
function releaseBefore(members: readonly { readonly to: { readonly release: Digest } }[]): Digest {
  const counts = new Map<Digest, number>();
  for (const { to } of members) counts.set(to.release, (counts.get(to.release) ?? 0) + 1);
  const [most] = [...counts].sort(([, a], [, b]) => b - a);
  if (most === undefined) throw new RangeError("No member");
  return most[0];
}

function strategyBack({ canary: _, ...strategy }: RolloutStrategy): RolloutStrategy {
  const waves = strategy.waves.map(({ bakeMs: __, approval: ___, ...wave }) => wave);
  return { ...strategy, waves, bakeMs: 0, hooks: strategy.hooks, gate: { ...strategy.gate, enforced: false } };
}
