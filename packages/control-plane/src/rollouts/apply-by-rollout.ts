import {
  type Clock,
  type Fleet,
  type FleetPlan,
  isSame,
  type Pool,
  type Random,
  type Sha256,
  StampyardError,
  withRules,
} from "@stampyard/domain";
import { releaseDigest } from "@stampyard/manifest";
import { type FleetFiles, type FleetNow, newStamp, rowsOf } from "../server/stamp-goal.ts";
import type { ApplyFleetInput, Release, ReleaseInput, Store, StampCreate } from "../store/port.ts";
import { aimAt, differs, expectedAims, fleetRules, isInService, keptStamps, openRolloutOf, poolOf } from "./aims.ts";
import { prepareRollout } from "./prepare-rollout.ts";
import { strategyFor } from "./strategy-for.ts";

/**
 * What an `apply` does at once, and what it leaves to a rollout: release, parameters and capacity of stamps that are
 * there, and the routing rules for their tenants, change wave by wave; limits, policies and new pools hold from now on. A stamp that is built meanwhile
 * gets the release that is known to be good.
 */

export interface ApplyDeps {
  readonly store: Pick<Store, "fleet" | "rollouts" | "pins" | "evidence" | "loads" | "tenants">;
  readonly clock: Pick<Clock, "now">;
  readonly sha256: Sha256;
  readonly random: Random;
}

export type PlannedApply =
  /** It is so already, or what is under way makes it so. */
  | { readonly kind: "nothing"; readonly rollout?: string }
  | { readonly kind: "write"; readonly input: Omit<ApplyFleetInput, "expectedRevision">; readonly rollout?: string };

export async function planApply(
  deps: ApplyDeps,
  now: FleetNow,
  files: FleetFiles,
  plan: FleetPlan,
  release: ReleaseInput,
): Promise<PlannedApply> {
  const { store, sha256, random } = deps;
  const present = now.fleet;
  const stamps = keptStamps(now.stamps).filter((stamp) => poolOf(files.fleet, stamp) !== undefined);
  const expected = await expectedAims(store);
  if (present === undefined || (expected.size === 0 && !stamps.some(isInService))) {
    const rows = rowsOf(now, files, plan, sha256, random);
    const isUnchanged = plan.changes.length === 0 && rows.stampUpdates.length === 0;
    if (isUnchanged && isSame(present?.fleet, files.fleet)) return { kind: "nothing" };
    return { kind: "write", input: { fleet: files.fleet, release, ...rows } };
  }
  const rules = fleetRules(present.fleet);
  const routing = fleetRules(files.fleet);
  const members = stamps.map((stamp) => {
    const pool = poolOf(files.fleet, stamp) as Pool;
    const { to, secrets } = aimAt(deps, files, stamp, pool, present.fleet);
    return { stamp, to: { ...to, routing }, secrets };
  });
  if (expected.size === 0 && !members.some(({ stamp, to }) => differs(stamp, to, expected, rules))) {
    const rows = { ...rowsOf(now, files, plan, sha256, random), stampUpdates: [] };
    if (plan.changes.length === 0 && isSame(present.fleet, files.fleet)) return { kind: "nothing" };
    return { kind: "write", input: { fleet: files.fleet, release, ...rows } };
  }
  const good = await requireRelease(store, present.release);
  const fleet = fleetMeanwhile(present.fleet, files.fleet, new Set(stamps.map(({ pool }) => pool)));
  const stampCreates = createsMeanwhile(deps, plan, fleet, good);
  if (!members.some(({ stamp, to }) => differs(stamp, to, expected, rules))) {
    const rollout = await openRolloutOf(store, release.digest);
    const named = rollout === undefined ? {} : { rollout };
    if (stampCreates.length === 0 && isSame(fleet, present.fleet)) return { kind: "nothing", ...named };
    return { kind: "write", input: { fleet, release: inputOf(good), stampCreates, stampUpdates: [] }, ...named };
  }
  const { input } = await prepareRollout(deps, {
    release: release.digest,
    components: [],
    strategy: await strategyFor(store, files.fleet),
    hotfix: false,
    fleet: files.fleet,
    present: present.fleet,
    members,
    expected,
  });
  const byRollout = { fleet: files.fleet, rollout: input };
  return { kind: "write", input: { fleet, release, stampCreates, stampUpdates: [], byRollout } };
}

/** The wanted fleet, with what stamps are made of as it was, in pools that have some, and the rules of its routing. */
function fleetMeanwhile(present: Fleet, wanted: Fleet, withStamps: ReadonlySet<string>): Fleet {
  const pools = wanted.pools.map((pool) => {
    const old = present.pools.find(({ name }) => name === pool.name && withStamps.has(name));
    if (old === undefined) return pool;
    const { capacity: _, ...rest } = pool;
    return { ...rest, parameters: old.parameters, ...(old.capacity === undefined ? {} : { capacity: old.capacity }) };
  });
  return { ...wanted, template: present.template, pools, routing: withRules(wanted.routing, present.routing) };
}

/**
 * Stamps that the files want more, by the release that is in force. Where it does not know a parameter that a new pool
 * has, they are built when the rollout is done: their pool sees to its minimum itself.
 */
function createsMeanwhile(
  { sha256, random }: ApplyDeps,
  plan: FleetPlan,
  fleet: Fleet,
  good: Release,
): readonly StampCreate[] {
  return plan.changes.flatMap((change) => {
    if (change.kind !== "stamp-create") return [];
    const pool = fleet.pools.find(({ name }) => name === change.pool);
    if (pool === undefined) return [];
    const identity = { name: change.stamp, pool: change.pool, region: change.region };
    try {
      return [newStamp(good, { identity, pool, own: {} }, sha256, random)];
    } catch (caught) {
      if (StampyardError.from(caught).code === "INVALID_MANIFEST") return [];
      throw caught;
    }
  });
}

/** @throws StampyardError RELEASE_NOT_FOUND */
export async function requireRelease({ fleet }: Pick<Store, "fleet">, digest: Release["digest"]): Promise<Release> {
  const release = await fleet.release(digest);
  if (release !== undefined) return release;
  throw new StampyardError("RELEASE_NOT_FOUND", `No release ${digest}`, { mend: "See stampyard release list." });
}

function inputOf({ createdBy: _, createdAt: __, ...input }: Release): ReleaseInput {
  return input;
}

/** What stamps are rendered from, as a release to be recorded. */
export function releaseInput(
  files: FleetFiles,
  from: { readonly templateYaml: string; readonly sourceDir: string },
  sha256: Sha256,
): ReleaseInput {
  const { template, content } = files;
  return {
    digest: releaseDigest(template, sha256, content),
    version: template.version,
    template,
    source: from.templateYaml,
    sourceDir: from.sourceDir,
    ...(content === undefined ? {} : { content }),
  };
}
