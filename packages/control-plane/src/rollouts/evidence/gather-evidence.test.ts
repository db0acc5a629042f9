import {
  type ComponentObservation,
  defaultStrategy,
  type Digest,
  type EvidenceBucket,
  type GateRule,
  type MemberState,
  type Rollout,
  type RolloutMember,
  type StampObservation,
} from "@stampyard/domain";
import { expect, test } from "vitest";
import type { ObservedStamp, Store } from "../../store/port.ts";
import type { RouterCounts } from "../../store/rollout-port.ts";
import { memoryOf } from "./evidence-memory.ts";
import { gatherEvidence, withQuiet } from "./gather-evidence.ts";
import { noteMember } from "./note-members.ts";
import type { EvidenceDeps } from "./run-evidence.ts";

const now = 1_800_000_000_000;
const digest = (n: number) => `sha256:${String(n).repeat(64).slice(0, 64)}` as Digest;
const aim = (n: number) => ({
  release: digest(n),
  stampDigest: digest(n),
  parameters: {},
  capacity: { tenants: 1, units: {} },
});

function member(stamp: string, state: MemberState, from = 1, wave = 0): RolloutMember {
  return { stamp, wave, place: 0, from: aim(from), to: aim(2), state };
}

function rolloutOf(members: readonly RolloutMember[], gate: Partial<GateRule> = {}, state?: Rollout["state"]) {
  const rollout = {
    id: "ro-1",
    release: digest(2),
    strategy: { ...defaultStrategy, gate: { ...defaultStrategy.gate, ...gate } },
    waves: [{ name: "canary" }, { name: "rest" }],
    looks: 0,
    state: state ?? { kind: "baking", wave: 0, since: now - 10_000, until: now + 10_000 },
  };
  return { rollout: rollout as unknown as Rollout, members };
}

function seen(stamp: string, components: readonly Partial<ComponentObservation>[], at = now - 500): ObservedStamp {
  const observation: StampObservation = {
    stamp,
    presence: "present",
    host: "up",
    endpoints: [],
    endpointRevision: 1,
    components: components.map((one) => ({
      name: "api",
      replica: 0,
      status: "healthy",
      restarts: 0,
      since: 0,
      ...one,
    })),
  };
  return { observation, at };
}

const bucket = (stamp: string, at: number, requests: number, complete = true): EvidenceBucket => ({
  stamp,
  at,
  ms: 5_000,
  complete,
  requests,
  errors: 0,
  latency: [requests],
  synthetic: 0,
});

function depsOf(given: {
  readonly buckets?: readonly EvidenceBucket[];
  readonly observed?: readonly ObservedStamp[];
  readonly reports?: readonly Pick<RouterCounts, "failing" | "receivedAt">[];
  /** Of a rollout that was aborted. */
  readonly aborted?: readonly RolloutMember[];
}): EvidenceDeps {
  const { buckets = [], observed = [], reports = [], aborted } = given;
  const store = {
    evidence: {
      buckets: async (stamps: readonly string[]) => buckets.filter(({ stamp }) => stamps.includes(stamp)),
      reports: async () => reports,
    },
    rollouts: {
      list: async () => ({ items: aborted === undefined ? [] : [abortedRollout] }),
      members: async () => aborted ?? [],
    },
    stamps: { observations: async () => new Map(observed.map((one) => [one.observation.stamp, one])) },
  } as unknown as Store;
  return { store, clock: { now: () => now, sleep: async () => {} } } as unknown as EvidenceDeps;
}

const abortedRollout = {
  value: {
    id: "ro-0",
    state: { kind: "aborted", at: now - 90_000, cause: "bad", by: "gate" },
    spent: { activeMs: 20_000, bakingMs: 10_000, waitingMs: 0 },
  },
  createdAt: now - 3_600_000,
};

const updated: MemberState = { kind: "updated", since: now - 20_000, at: now - 10_000 };

test("gatherEvidence() takes for siblings what waits or is pinned to the old release, and for nobody what is on its way", async () => {
  const { rollout, members } = rolloutOf([
    member("a", updated),
    member("b", { kind: "waiting" }, 1, 1),
    member("c", { kind: "skipped", why: "pinned" }, 1, 1),
    member("d", { kind: "skipped", why: "it runs this already" }, 2, 1),
    member("e", { kind: "updating", since: now - 5_000 }),
    member("f", { kind: "returned", at: now - 5_000 }),
  ]);
  const evidence = await gatherEvidence(depsOf({}), rollout, members, now);
  expect(evidence.updated).toEqual([{ stamp: "a", begunAt: now - 20_000, updatedAt: now - 10_000, wave: 0 }]);
  expect(evidence.siblings).toEqual(["b", "c"]);
});

test("gatherEvidence() looks at the end of a bake, and at no other time", async () => {
  const members = [member("a", updated)];
  const at = async (state: Rollout["state"]) =>
    (await gatherEvidence(depsOf({}), rolloutOf(members, {}, state).rollout, members, now)).isLook;
  expect(await at({ kind: "baking", wave: 0, since: 0, until: now + 1 })).toBe(false);
  expect(await at({ kind: "baking", wave: 0, since: 0, until: now })).toBe(true);
  expect(await at({ kind: "updating", wave: 1, since: 0 })).toBe(false);
});

test("gatherEvidence() wants to watch a wave for its bake, whatever was missed meanwhile", async () => {
  const { rollout } = rolloutOf([]);
  const waves = [{ name: "canary", bakeMs: 60_000 }, { name: "rest" }] as unknown as Rollout["waves"];
  expect((await gatherEvidence(depsOf({}), { ...rollout, waves }, [member("a", updated)], now)).watchMs).toBe(60_000);
});

test("gatherEvidence() takes for nobody's past what it did under a release that was taken back", async () => {
  const spans = [60, 90, 95, 110, 120, 140, 150].map((seconds) => now - seconds * 1_000);
  const buckets = ["a", "b"].flatMap((stamp) => spans.map((at) => bucket(stamp, at, 5)));
  const back = member("a", { kind: "returned", at: now - 92_000 });
  const { rollout, members } = rolloutOf([member("a", updated), member("b", { kind: "waiting" }, 1, 1)]);
  const evidence = await gatherEvidence(depsOf({ buckets, aborted: [back] }), rollout, members, now);
  const secondsOf = (stamp: string) =>
    evidence.buckets.filter((row) => row.stamp === stamp && row.requests > 0).map(({ at }) => (now - at) / 1_000);
  expect(secondsOf("b").sort()).toEqual([110, 120, 140, 150, 60, 90, 95]);
  expect(secondsOf("a").sort()).toEqual([140, 150, 60]);
});

test("withQuiet() gives a stamp without requests a span of none where others have a whole one, and nowhere else", () => {
  const rows = [bucket("x", 0, 7), bucket("x", 5_000, 7, false), bucket("a", 10_000, 3)];
  const of = (stamp: string) => withQuiet(rows, ["a", "b"], 5_000).filter((row) => row.stamp === stamp);
  expect(of("a")).toMatchObject([
    { at: 0, requests: 0, complete: true },
    { at: 10_000, requests: 3 },
  ]);
  expect(of("b").map(({ at }) => at)).toEqual([0, 10_000]);
  expect(of("x")).toEqual([]);
});

test("a member's restarts are those since its update began, also of a component whose count began anew", async () => {
  const deps = depsOf({ observed: [seen("a", [{ restarts: 3 }, { name: "worker", restarts: 9 }])] });
  const memory = memoryOf(deps.store);
  const waiting = member("a", { kind: "waiting" });
  noteMember(memory, waiting, seen("a", [{ restarts: 5 }, { name: "worker", restarts: 7 }], now - 30_000));
  const { rollout, members } = rolloutOf([member("a", updated)]);
  // A new process of the api: its count began at 0, and stands at 3.
  noteMember(
    memory,
    members[0] as RolloutMember,
    seen("a", [{ restarts: 1 }, { name: "worker", restarts: 7 }], now - 9_000),
  );
  const { signals } = await gatherEvidence(deps, rollout, members, now);
  expect(signals[0]?.restarts).toBe(3);
  expect(memory.members.get("a")?.restarts.get("worker.0")).toBe(2);
});

test("a member that nobody observed is unknown, and one with a sick component is sick since it was seen so", async () => {
  const sick = seen("b", [
    { status: "unhealthy", reason: "503" },
    { name: "migrate", status: "failed" },
  ]);
  const deps = depsOf({ observed: [sick] });
  const { rollout, members } = rolloutOf([member("a", updated), member("b", updated)]);
  const { signals } = await gatherEvidence(deps, rollout, members, now);
  const of = (stamp: string) => signals.find((one) => one.stamp === stamp);
  expect(of("a")).toMatchObject({ at: 0, sick: undefined });
  expect(of("b")).toMatchObject({
    sick: ["api is unhealthy: 503", "migrate is failed"],
    sickSince: sick.at,
    failedJobs: ["migrate"],
  });
});

test("a failing tenant is summed up over routers, and one that failed before the update is not newly so", async () => {
  const row = (tenant: string, requests: number, errors: number, forMs: number) => ({
    ...{ stamp: "a", tenant, requests, errors, forMs },
  });
  const reports = [
    { receivedAt: now, failing: [row("acme", 12, 12, 5_000), row("old", 40, 40, 600_000)] },
    { receivedAt: now, failing: [row("acme", 10, 9, 4_000), row("stampyard-verify-a", 30, 30, 1)] },
  ];
  const { rollout, members } = rolloutOf([member("a", updated)]);
  const { signals } = await gatherEvidence(depsOf({ reports }), rollout, members, now);
  expect(signals[0]?.failingTenants).toEqual([
    { tenant: "acme", requests: 22, errors: 21, wasFailing: false },
    { tenant: "old", requests: 40, errors: 40, wasFailing: true },
  ]);
});

test("gatherEvidence() reads what is long over once, and what may still change again", async () => {
  const from: number[] = [];
  const buckets = [bucket("a", now - 600_000, 5), bucket("a", now - 10_000, 3, false)];
  const deps = depsOf({});
  Object.assign(deps.store.evidence, {
    buckets: async (_: readonly string[], since: number) => {
      from.push(since);
      return buckets.filter(({ at }) => at >= since);
    },
  });
  const { rollout, members } = rolloutOf([member("a", updated)]);
  await gatherEvidence(deps, rollout, members, now);
  buckets[1] = bucket("a", now - 10_000, 9);
  const second = await gatherEvidence(deps, rollout, members, now + 1_000);
  expect(second.buckets.map(({ requests, complete }) => [requests, complete])).toEqual([
    [5, true],
    [9, true],
  ]);
  expect(from[0]).toBeLessThan(now - 3_600_000);
  expect(from[1]).toBeGreaterThan(now - 120_000);
});

test("tenants that newly fail everywhere are not the update's, and more of them than elsewhere are", async () => {
  const row = (stamp: string, tenant: string) => ({ stamp, tenant, requests: 30, errors: 30, forMs: 5_000 });
  const waiting: MemberState = { kind: "waiting" };
  const { rollout, members } = rolloutOf([member("a", updated), member("b", waiting), member("c", waiting)]);
  const blamed = async (failing: readonly ReturnType<typeof row>[]) => {
    const deps = depsOf({ reports: [{ receivedAt: now, failing }] });
    const { signals } = await gatherEvidence(deps, rollout, members, now);
    return signals[0]?.failingTenants.filter(({ wasFailing }) => !wasFailing).map(({ tenant }) => tenant);
  };
  expect(await blamed([row("a", "t1")])).toEqual(["t1"]);
  expect(await blamed([row("a", "t1"), row("b", "t2")])).toEqual(["t1"]);
  expect(await blamed([row("a", "t1"), row("b", "t2"), row("c", "t3")])).toEqual([]);
  expect(await blamed([row("a", "t1"), row("a", "t4"), row("b", "t2"), row("c", "t3")])).toEqual(["t1", "t4"]);
});
