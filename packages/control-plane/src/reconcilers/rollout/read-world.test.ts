import type { FreezeWindow, Rollout, RolloutMember, Stamp, StampObservation } from "@stampyard/domain";
import { expect, test } from "vitest";
import type { Freeze } from "@stampyard/domain";
import { aimFixture, memberFixture } from "../../store/test-rollouts.ts";
import { stampFixture } from "../../store/test-store.ts";
import { readBars } from "./read-bars.ts";
import { readWorld, type WorldDeps } from "./read-world.ts";

const now = 1_000_000;
const turn = { token: 1, signal: new AbortController().signal };
const rollout = { state: { kind: "updating", wave: 0, since: now }, hotfix: false } as unknown as Rollout;
const { from, to } = memberFixture("eu-1");

function observationOf(over: Partial<StampObservation> = {}): StampObservation {
  return {
    stamp: "eu-1",
    presence: "present",
    stampDigest: to.stampDigest,
    host: "up",
    components: [{ name: "api", replica: 0, status: "healthy", restarts: 0, since: 0 }],
    endpoints: [{ host: "127.0.0.1", port: 20_000 }],
    endpointRevision: 1,
    ...over,
  };
}

/** A store that says `kept`, and an engine that says `seen`, or that cannot look. */
function depsOf(kept: StampObservation, seen?: StampObservation): WorldDeps {
  const store = {
    stamps: { observations: async () => new Map([["eu-1", { observation: kept, at: now + 999_999 }]]) },
    freezes: { list: async () => [] },
    fleet: { read: async () => undefined },
    pins: { byStamp: async () => new Map() },
    moves: { atWork: async () => new Map() },
  };
  const observe = async () => seen ?? Promise.reject(new Error("it sleeps"));
  return { store, engine: { observe }, clock: { now: () => now } } as unknown as WorldDeps;
}

const stampOf = (over: Partial<Stamp> = {}) =>
  stampFixture("eu-1", { stampDigest: to.stampDigest, releaseDigest: to.release, ...over });
const member = (state: RolloutMember["state"]): RolloutMember => memberFixture("eu-1", 0, { state });
async function seenOf(deps: WorldDeps, state: RolloutMember["state"], stamp = stampOf()) {
  const world = await readWorld(deps, rollout, [member(state)], new Map([["eu-1", stamp]]), turn);
  return world.members.get("eu-1");
}

test("readWorld() looks itself at a member that is on its way, whatever was seen before and by whose clock", async () => {
  const old = observationOf({ stampDigest: from.stampDigest });
  const seen = await seenOf(depsOf(observationOf(), old), { kind: "updating", since: now });
  expect(seen).toMatchObject({ running: from.stampDigest, observedAt: now, aimed: to.stampDigest, isWhole: true });
  const waiting = await seenOf(depsOf(old, observationOf()), { kind: "waiting" });
  expect(waiting?.running).toBe(from.stampDigest);
});

test("readWorld() takes one that it cannot look at, or whose host is down, for unknown", async () => {
  const returning = { kind: "returning", since: 0 } as const;
  expect(await seenOf(depsOf(observationOf()), returning)).toMatchObject({ isWhole: false, lack: expect.any(String) });
  expect((await seenOf(depsOf(observationOf()), returning))?.running).toBeUndefined();
  const down = await seenOf(depsOf(observationOf(), observationOf({ host: "down" })), returning);
  expect(down).toMatchObject({ running: undefined, isWhole: false });
  const half = await seenOf(depsOf(observationOf(), withoutDigest(observationOf())), returning);
  expect(half).toMatchObject({ running: undefined, lack: "it is on its way from one release to another" });
});

function withoutDigest({ stampDigest: _, ...rest }: StampObservation): StampObservation {
  return rest;
}

test("readWorld() says what one lacks: a component, or routers that do not know its new endpoints yet", async () => {
  const updating = { kind: "updating", since: now } as const;
  const sick = observationOf({
    components: [{ name: "api", replica: 0, status: "unhealthy", restarts: 3, since: 0, reason: "500" }],
  });
  expect(await seenOf(depsOf(sick, sick), updating)).toMatchObject({ isWhole: false, lack: "api is unhealthy: 500" });
  const moved = observationOf({ endpointRevision: 2 });
  expect(await seenOf(depsOf(moved, moved), updating)).toMatchObject({
    isWhole: false,
    lack: "routers to hear of its new endpoints",
  });
});

test("readWorld() tells when an attempt failed, so that an earlier one does not count", async () => {
  const setback = { attempt: 2, cause: "it crashed", retryAt: now + 4_000, stampDigest: to.stampDigest };
  const stamp = stampOf({ state: { kind: "active", setback } });
  const seen = await seenOf(depsOf(observationOf(), observationOf()), { kind: "updating", since: 0 }, stamp);
  expect(seen?.setback).toEqual({ attempt: 2, cause: "it crashed", stampDigest: to.stampDigest, at: now });
});

test("readBars() holds a hotfix back by a person's word and not by a window, and nothing that overrides them", async () => {
  const person: Freeze = { id: "fz-1", scope: {}, stops: ["rollouts"], reason: "an audit", by: "ann", since: 0 };
  const window: FreezeWindow = {
    name: "year-end",
    scope: {},
    stops: ["rollouts"],
    zone: "UTC",
    kind: "dates",
    from: "1970-01-01T00:00",
    to: "1999-01-01T00:00",
  };
  const barsOf = async (freezes: readonly Freeze[], over: Partial<Rollout>) => {
    const deps = depsOf(observationOf());
    const fleet = { read: async () => ({ value: { fleet: { freezes: [window] } } }) };
    const store = { ...deps.store, freezes: { list: async () => freezes }, fleet } as unknown as WorldDeps["store"];
    const { barred: bars } = await readBars(
      { ...deps, store },
      { ...rollout, ...over },
      [member({ kind: "waiting" })],
      rows,
    );
    return bars.get("eu-1");
  };
  const rows = new Map([["eu-1", stampOf(aimFixture("eu-1", "1.0.0"))]]);
  expect(await barsOf([], {})).toMatch(/year-end.*1999-01-01/);
  expect(await barsOf([], { hotfix: true })).toBeUndefined();
  expect(await barsOf([person], { hotfix: true })).toContain("an audit");
  expect(await barsOf([person], { hotfix: true, overridesFreeze: "it burns" })).toBeUndefined();
});
