import {
  type Aim,
  type Digest,
  type Fleet,
  isServing,
  keepingRules,
  type Pool,
  type Random,
  rulesDigest,
  sameAim,
  type Sha256,
  type Stamp,
} from "@stampyard/domain";
import { newStamp, ownParameters, type ReleaseParts } from "../server/stamp-goal.ts";
import type { Store } from "../store/port.ts";
import { systemSha256 } from "../system-ports.ts";

/** What stamps run, are to run, and will run when all that has begun is done. */

/**
 * Everything that a rollout decides of a stamp, as its row says it now.
 * @param rules what holds for a stamp that has no rules of its own: `fleetRules`
 */
export function aimOf(
  { releaseDigest, stampDigest, parameters, capacity, routing }: Stamp,
  rules: Digest | undefined,
): Aim {
  const holds = routing ?? rules;
  return {
    release: releaseDigest,
    stampDigest,
    parameters,
    capacity,
    ...(holds === undefined ? {} : { routing: holds }),
  };
}

/** Digest of the routing rules of a fleet. */
export function fleetRules(fleet: Fleet): Digest;
export function fleetRules(fleet: Fleet | undefined): Digest | undefined;
export function fleetRules(fleet: Fleet | undefined): Digest | undefined {
  return fleet === undefined ? undefined : rulesDigest(fleet.routing, systemSha256);
}

export interface NewAim {
  readonly to: Aim;
  /** One for every name that the release wants; those that the stamp has already keep their value. */
  readonly secrets: Readonly<Record<string, string>>;
}

export interface AimDeps {
  readonly sha256: Sha256;
  readonly random: Random;
}

/**
 * What a stamp would be by a release and a pool, with its own parameters kept. It says nothing of routing rules.
 * @param present the fleet in force, whose pool says which parameters of an older stamp are its own
 * @throws StampyardError INVALID_MANIFEST naming parameters that the release does not take
 */
export function aimAt(
  { sha256, random }: AimDeps,
  release: ReleaseParts,
  stamp: Stamp,
  pool: Pool,
  present: Fleet | undefined,
): NewAim {
  const identity = { name: stamp.name, pool: stamp.pool, region: stamp.region };
  const own = ownParameters(stamp, poolOf(present, stamp));
  const made = newStamp(release, { identity, pool, own }, sha256, random);
  return { to: aimOf(made.stamp, undefined), secrets: made.secrets };
}

/**
 * What a stamp would be by a release that is composed of what it runs and of parts of another one: its parameters stay as
 * they are, those that a part brings along come from the pool, and its places are not counted anew.
 * @throws StampyardError INVALID_MANIFEST naming parameters that nobody gives
 */
export function aimAtPart(
  deps: AimDeps,
  composed: ReleaseParts,
  stamp: Stamp,
  pool: Pool,
  present: Fleet | undefined,
): NewAim {
  const known = Object.entries({ ...pool.parameters, ...stamp.parameters }).filter(([name]) =>
    Object.hasOwn(composed.template.parameters, name),
  );
  const { to, secrets } = aimAt(deps, composed, stamp, { ...pool, parameters: Object.fromEntries(known) }, present);
  return { to: { ...to, capacity: stamp.capacity }, secrets };
}

export function poolOf(fleet: Fleet | undefined, { pool }: Pick<Stamp, "pool">): Pool | undefined {
  return fleet?.pools.find((candidate) => candidate.name === pool);
}

/** Stamps of ours that are to stay: what releases are for. */
export function keptStamps(stamps: readonly Stamp[]): readonly Stamp[] {
  return stamps.filter(
    ({ goal, origin, state }) =>
      goal !== "absent" && origin === "built" && state.kind !== "gone" && state.kind !== "destroying",
  );
}

/** Whether anybody could notice that it changes. */
export function isInService({ state }: Stamp): boolean {
  return isServing(state.kind);
}

/** What each stamp will run when every rollout that has not ended is done; those that no rollout names are not in it. */
export async function expectedAims({ rollouts }: Pick<Store, "rollouts">): Promise<ReadonlyMap<string, Aim>> {
  const expected = new Map<string, Aim>();
  for (const id of await rollouts.open()) {
    const [row, members] = await Promise.all([rollouts.read(id), rollouts.members(id)]);
    const isBack = row?.value.state.kind === "aborting";
    for (const { stamp, state, from, to } of members) {
      if (state.kind === "skipped" || (isBack && state.kind === "waiting")) continue;
      const before = expected.get(stamp) ?? from;
      expected.set(
        stamp,
        isBack || state.kind === "returning" || state.kind === "returned" ? from : keepingRules(to, before),
      );
    }
  }
  return expected;
}

/**
 * @param rules of the fleet in force
 * @returns whether the stamp would have to change once everything that has begun is done
 */
export function differs(stamp: Stamp, to: Aim, expected: ReadonlyMap<string, Aim>, rules: Digest | undefined): boolean {
  return !sameAim(expected.get(stamp.name) ?? aimOf(stamp, rules), to);
}

/** The newest of the rollouts that have not ended which bring this release. */
export async function openRolloutOf(
  { rollouts }: Pick<Store, "rollouts">,
  release: Digest,
): Promise<string | undefined> {
  const { items } = await rollouts.list({ isOpen: true, release, limit: 1 });
  return items[0]?.value.id;
}
