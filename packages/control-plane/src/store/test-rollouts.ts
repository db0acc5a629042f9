import {
  type Aim,
  type MemberState,
  type Rollout,
  type RolloutMember,
  type RolloutState,
  type RolloutStrategy,
  type Routing,
  rulesDigest,
  type Stamp,
  type Wave,
} from "@stampyard/domain";
import type { Revisioned, RolloutInput, Store, WriteContext } from "./port.ts";
import { sha256 } from "./sequence.ts";
import { applyFleet, digest, fleetFixture, releaseFixture, stampFixture } from "./test-store.ts";

/** Walks rollouts through their phases as their reconciler would, without any stamp. */

export const strategyFixture: RolloutStrategy = {
  waves: [],
  maxUnavailable: 1,
  bakeMs: 1_000,
  updateWithinMs: 60_000,
  lateRing: false,
  gate: {
    enforced: true,
    errors: { worse: 0.01, leastRequests: { updated: 300, siblings: 3_000 } },
    latency: { worseMs: 300 },
    mostErrors: 0.5,
    tenant: { leastRequests: 20, errorShare: 0.5 },
    mostRestarts: 1,
    probes: [],
    queries: [],
    alpha: 0.01,
    waitMs: 60_000,
  },
  hooks: [],
  onAbort: "rollback",
  onNewer: "queue",
} as RolloutStrategy;

export function waveFixture(name: string, over: Partial<Wave> = {}): Wave {
  return { name, bakeMs: 1_000, maxUnavailable: 1, approval: false, ...over };
}

/** What stamp `name` runs by release `version`. */
export function aimFixture(name: string, version: string): Aim {
  return {
    release: digest(version),
    stampDigest: digest(`${name} ${version}`),
    parameters: { size: version },
    capacity: { tenants: 10, units: {} },
  };
}

export function memberFixture(stamp: string, wave = 0, over: Partial<RolloutMember> = {}): RolloutMember {
  const [from, to] = [aimFixture(stamp, "1.0.0"), aimFixture(stamp, "2.0.0")];
  return { stamp, wave, place: 0, from, to, state: { kind: "waiting" }, ...over };
}

export function rolloutFixture(stamps: readonly string[], over: Partial<RolloutInput> = {}): RolloutInput {
  return {
    release: digest("2.0.0"),
    components: [],
    strategy: strategyFixture,
    waves: stamps.map((name) => waveFixture(name)),
    members: stamps.map((name, wave) => memberFixture(name, wave)),
    hotfix: false,
    ...over,
  };
}

/** A fleet whose stamps run 1.0.0, and that knows 2.0.0 and 3.0.0, too. */
export async function fleetOf(store: Store, ctx: WriteContext, names: readonly string[]): Promise<void> {
  const stamps = names.map((name): Stamp => {
    const { release: releaseDigest, stampDigest, parameters, capacity } = aimFixture(name, "1.0.0");
    return stampFixture(name, { releaseDigest, stampDigest, parameters, capacity });
  });
  await applyFleet(store, ctx, stamps);
  for (const [n, version] of ["2.0.0", "3.0.0"].entries()) {
    const release = releaseFixture(version);
    const input = { fleet: fleetFixture(), stampCreates: [], stampUpdates: [] };
    await store.fleet.apply({ ...input, release, expectedRevision: n + 1 }, ctx);
  }
  await store.fleet.apply(
    { fleet: fleetFixture(), release: releaseFixture(), stampCreates: [], stampUpdates: [], expectedRevision: 3 },
    ctx,
  );
}

/** A rollout that brings these stamps other routing rules and nothing else, as an apply would begin it. @returns its id */
export async function startRules(
  store: Store,
  ctx: WriteContext,
  names: readonly string[],
  from: Routing,
  to: Routing,
): Promise<string> {
  const members = names.map((stamp, place): RolloutMember => {
    const aim = aimFixture(stamp, "1.0.0");
    const [before, after] = [rulesDigest(from, sha256), rulesDigest(to, sha256)];
    const aims = { from: { ...aim, routing: before }, to: { ...aim, routing: after } };
    return { stamp, wave: 0, place, ...aims, state: { kind: "waiting" } };
  });
  const rollout = rolloutFixture(["all"], { members, release: digest("1.0.0") });
  const fleet = { ...fleetFixture(), routing: from };
  const byRollout = { fleet: { ...fleet, routing: to }, rollout };
  const expectedRevision = (await store.fleet.read())?.revision ?? 0;
  const input = { fleet, release: releaseFixture(), stampCreates: [], stampUpdates: [], expectedRevision, byRollout };
  return (await store.fleet.apply(input, ctx)).rollout?.value.id ?? "";
}

export async function rolloutOf(store: Store, id: string): Promise<Revisioned<Rollout>> {
  const found = await store.rollouts.read(id);
  if (found === undefined) throw new RangeError(`No rollout ${id}`);
  return found;
}

export async function stampOf(store: Store, name: string): Promise<Stamp> {
  const found = await store.stamps.read(name);
  if (found === undefined) throw new RangeError(`No stamp ${name}`);
  return found.value;
}

/** Writes a state, and those of members by their name. */
export async function step(
  store: Store,
  ctx: WriteContext,
  id: string,
  state: RolloutState,
  members: Readonly<Record<string, MemberState>> = {},
): Promise<Revisioned<Rollout>> {
  const rollout = await rolloutOf(store, id);
  const changed = (await store.rollouts.members(id)).flatMap((member) => {
    const next = members[member.stamp];
    return next === undefined ? [] : [{ ...member, state: next }];
  });
  return store.rollouts.write({ ...rollout.value, state }, rollout.revision, changed, ctx);
}

export const updating = (wave = 0): RolloutState => ({ kind: "updating", wave, since: 1 });
export const baking = (wave = 0): RolloutState => ({ kind: "baking", wave, since: 2, until: 3 });
export const aborting: RolloutState = { kind: "aborting", since: 4, cause: "a test", by: "tester" };

/** All waves, one after the other, to its end. Members are in the wave of their place. */
export async function finish(store: Store, ctx: WriteContext, id: string): Promise<Revisioned<Rollout>> {
  const members = await store.rollouts.members(id);
  const { value } = await rolloutOf(store, id);
  for (const wave of value.waves.keys()) {
    const mine = members.filter((member) => member.wave === wave && member.state.kind !== "skipped");
    const all = (state: MemberState) => Object.fromEntries(mine.map((member) => [member.stamp, state]));
    await step(store, ctx, id, updating(wave), all({ kind: "updating", since: 1 }));
    await step(store, ctx, id, baking(wave), all({ kind: "updated", since: 1, at: 2 }));
  }
  return step(store, ctx, id, { kind: "done", at: 5 });
}
