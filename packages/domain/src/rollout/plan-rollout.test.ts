import { describe, expect, test } from "vitest";
import { afterPlan } from "./after-plan.ts";
import type { GateReport, GateVerdict } from "./evidence.ts";
import { planRollout } from "./plan-rollout.ts";
import type { MemberState, Rollout, RolloutMember, RolloutState, Wave } from "./rollout.ts";
import type { MemberSeen, RolloutPlan, RolloutWorld } from "./rollout-world.ts";
import { rolloutWords } from "./rollout-words.ts";
import { aimOf, digest, strategyFor } from "./test-rollouts.ts";
import { hookKey } from "./wave-steps.ts";

const now = 1_000_000;
const minute = 60_000;
const old = aimOf("r0");
const fresh = aimOf("r1");

const wave = (name: string, over: Partial<Wave> = {}): Wave => {
  return { name, bakeMs: minute, maxUnavailable: 2, approval: false, ...over };
};

function rolloutIn(state: RolloutState, over: Partial<Rollout> = {}): Rollout {
  return {
    id: "ro-1",
    release: digest("r1"),
    components: [],
    strategy: strategyFor(),
    waves: [wave("canary"), wave("rest")],
    state,
    hotfix: false,
    by: "ada",
    spent: { activeMs: 0, bakingMs: 0, waitingMs: 0 },
    looks: 0,
    hooksDone: [],
    ...over,
  };
}

function member(stamp: string, index: number, state: MemberState, over: Partial<RolloutMember> = {}): RolloutMember {
  return { stamp, wave: index, place: 0, from: old, to: fresh, state, ...over };
}

/** Whole, seen just now, and running what it should. */
function sight(aim = old, over: Partial<MemberSeen> = {}): MemberSeen {
  const { stampDigest } = aim;
  const seen = { aimed: stampDigest, running: stampDigest, observedAt: now - 1, isWhole: true, isLeaving: false };
  return { phase: "active", ...seen, ...over };
}

function worldOf(seen: Record<string, MemberSeen>, over: Partial<RolloutWorld> = {}): RolloutWorld {
  return { now, members: new Map(Object.entries(seen)), barred: new Map(), ...over };
}

function gate(verdict: GateVerdict, at = now): GateReport {
  return { at, verdict, checks: [{ name: "errors", verdict, text: `errors say ${verdict}` }], tookLook: false };
}

const stateOf = (plan: RolloutPlan, stamp: string) => plan.members.find((one) => one.stamp === stamp)?.state;

describe("planRollout() of members", () => {
  const strategy = strategyFor({ onAbort: "pause" });
  const updating = rolloutIn({ kind: "updating", wave: 0, since: now - 5 * minute }, { strategy });
  const since = now - minute;
  const follow = (seen: MemberSeen, state: MemberState = { kind: "updating", since }, at = now) => {
    return stateOf(planRollout(updating, [member("a", 0, state)], { ...worldOf({ a: seen }), now: at }), "a");
  };

  test("takes a member for updated by its own digest, seen whole after its update began (I35)", () => {
    expect(follow(sight(fresh))).toEqual({ kind: "updated", since, at: now });
    expect(follow(sight(fresh, { observedAt: since })), "seen before").toBeUndefined();
    expect(follow(sight(fresh, { isWhole: false })), "not whole").toBeUndefined();
    expect(follow(sight(fresh, { running: old.stampDigest })), "runs the old one").toBeUndefined();
    expect(follow(sight(fresh, { running: undefined })), "cannot be looked at").toBeUndefined();
    expect(follow(sight(fresh, { phase: "verifying" })), "not serving").toBeUndefined();
  });

  test("takes a second failed attempt since its update began for a fault, and the end of its time for another", () => {
    const setback = { attempt: 2, cause: "job migrate failed", stampDigest: fresh.stampDigest, at: now - 1 };
    const going = sight(fresh, { running: old.stampDigest, setback, lack: "web is starting" });
    expect(follow(going)).toEqual({ kind: "failed", since, at: now, cause: "job migrate failed" });
    expect(follow({ ...going, setback: { ...setback, attempt: 1 } }), "a hiccup").toBeUndefined();
    expect(follow({ ...going, setback: { ...setback, at: since } }), "of the attempt before").toBeUndefined();
    expect(follow({ ...going, setback: { ...setback, stampDigest: old.stampDigest } }), "of another").toBeUndefined();
    const { setback: _, ...slow } = going;
    expect(follow(slow, { kind: "updating", since: now - 299_999 })).toBeUndefined();
    expect(follow(slow, { kind: "updating", since: now - 300_000 })).toMatchObject({
      kind: "failed",
      cause: "it has not arrived after 300 s: web is starting",
    });
  });

  test("begins the time of a member anew when a clock went back, and counts nothing that was seen before", () => {
    const ahead: MemberState = { kind: "updating", since: now + 500_000 };
    expect(follow(sight(old), ahead)).toEqual({ kind: "updating", since: now });
    // Seen before the clock went back, maybe before the update began.
    expect(follow(sight(fresh, { observedAt: now + 400_000 }), ahead)).toEqual({
      kind: "updating",
      since: now + 400_000,
    });
  });

  test("lets whoever is gone or going out, whatever its state", () => {
    const states: MemberState[] = [
      { kind: "waiting" },
      { kind: "updating", since },
      { kind: "updated", since, at: now - 1 },
      { kind: "failed", since, at: now - 1, cause: "x" },
      { kind: "returning", since },
    ];
    for (const state of states) {
      expect(follow(sight(old, { isLeaving: true }), state)).toMatchObject({ kind: "skipped" });
      expect(follow(sight(old, { phase: "destroying" }), state)).toMatchObject({ kind: "skipped" });
      expect(stateOf(planRollout(updating, [member("a", 0, state)], worldOf({})), "a")).toMatchObject({
        kind: "skipped",
      });
    }
  });

  test("is complete when each returning one was seen to run its old release since", () => {
    const aborting = rolloutIn({ kind: "aborting", since, cause: "errors", by: "gate" });
    const plan = (seen: MemberSeen) =>
      planRollout(aborting, [member("a", 0, { kind: "returning", since })], worldOf({ a: seen }));
    expect(plan(sight(old)).next).toEqual({ kind: "aborted", at: now, cause: "errors", by: "gate" });
    expect(plan(sight(old, { observedAt: since })).next.kind).toBe("aborting");
    expect(plan(sight(old, { running: fresh.stampDigest })).next.kind).toBe("aborting");
    // It is aimed there for good, and keeps nobody else from being helped.
    const late = { ...aborting, state: { ...aborting.state, since: now - 600_000 } } as Rollout;
    const gone = [member("a", 0, { kind: "returning", since: now - 300_000 })];
    const unseen = worldOf({ a: sight(old, { running: undefined }) });
    expect(planRollout(late, gone, unseen).next).toMatchObject({
      kind: "aborted",
      cause: "errors (not seen to be back: a)",
    });
  });
});

describe("planRollout() of a wave under way", () => {
  const state: RolloutState = { kind: "updating", wave: 0, since: now - minute };
  const waiting = (stamp: string, place: number) => member(stamp, 0, { kind: "waiting" }, { place });
  const all = ["a", "b", "c"];
  const three = all.map((stamp, place) => waiting(stamp, place));
  const seen = Object.fromEntries(all.map((stamp) => [stamp, sight(old)]));
  const begun = (plan: RolloutPlan) => plan.actions.flatMap((one) => (one.kind === "update" ? [one.stamp] : []));

  test("begins members in their order, no more than may be away at a time", () => {
    const rollout = rolloutIn(state);
    expect(begun(planRollout(rollout, three.toReversed(), worldOf(seen)))).toEqual(["a", "b"]);
    const one = [member("x", 0, { kind: "updating", since: now - 1 }), ...three];
    const world = worldOf({ ...seen, x: sight(fresh, { running: undefined }) });
    expect(begun(planRollout(rollout, one, world))).toEqual(["a"]);
  });

  test("passes over what is barred or cannot be looked at, and says why", () => {
    const world = worldOf(
      { ...seen, b: sight(old, { running: undefined }) },
      { barred: new Map([["a", "it is frozen"]]) },
    );
    const plan = planRollout(rolloutIn(state), three, world);
    expect(begun(plan)).toEqual(["c"]);
    expect(plan.waitingOn).toBe("3 still to begin; 2 that cannot begin now: a: it is frozen, and 1 more");
    // A person's word leaves out who cannot be seen, not who is frozen.
    const promoted = rolloutIn(state, { waves: [wave("canary", { promoted: true }), wave("rest")] });
    const out = sight(old, { running: undefined });
    const left = planRollout(promoted, three.slice(0, 2), worldOf({ a: out, b: out }, { barred: world.barred }));
    expect(left.members).toEqual([{ stamp: "b", state: { kind: "skipped", why: "it could not be looked at" } }]);
  });

  test("leaves out who is pinned when its wave comes, and waits for nobody's pin", () => {
    const pinned = new Map([
      ["a", "it is pinned"],
      ["z", "it is pinned"],
    ]);
    const later = member("z", 1, { kind: "waiting" });
    const plan = planRollout(rolloutIn(state), [...three, later], worldOf({ ...seen, z: sight(old) }, { pinned }));
    expect(plan.members).toEqual([{ stamp: "a", state: { kind: "skipped", why: "it is pinned" } }]);
    expect(plan.actions).toEqual([]);
  });

  test("refreshes what a stamp goes back to before it is touched (I37)", () => {
    const plan = planRollout(rolloutIn(state), three, worldOf({ ...seen, a: sight(aimOf("r9")) }));
    expect(plan.actions).toEqual([
      { kind: "refresh", stamp: "a" },
      { kind: "update", stamp: "b" },
    ]);
    expect(stateOf(plan, "a")).toBeUndefined();
  });

  test("begins nobody beside updated members of which nothing is known, and nobody at all once the gate says abort", () => {
    const done = member("x", 0, { kind: "updated", since: now - 9, at: now - 5 });
    const world = worldOf({ ...seen, x: sight(fresh) });
    const rollout = rolloutIn(state);
    const blind = planRollout(rollout, [done, ...three], world);
    expect(blind).toMatchObject({ needsGate: true, actions: [] });
    expect(begun(planRollout(rollout, [done, ...three], { ...world, gate: gate("inconclusive") }))).toEqual(["a", "b"]);
    const bad = planRollout(rollout, [done, ...three], { ...world, gate: gate("abort") });
    expect(bad.next).toEqual({ kind: "aborting", since: now, cause: "errors say abort", by: "gate" });
    expect(bad.actions).toEqual([{ kind: "return", stamp: "x" }]);
    const report = rolloutIn(state, { strategy: strategyFor({ gate: { ...rollout.strategy.gate, enforced: false } }) });
    expect(begun(planRollout(report, [done, ...three], { ...world, gate: gate("abort") }))).toEqual(["a", "b"]);
  });

  test("goes back at once when a member failed, or stays for a person, as the strategy says", () => {
    const failed = member("x", 0, { kind: "failed", since: now - 9, at: now - 5, cause: "job migrate failed" });
    const world = worldOf({ ...seen, x: sight(fresh, { running: undefined }) });
    const back = planRollout(rolloutIn(state), [failed, ...three], world);
    expect(back.next).toMatchObject({ kind: "aborting", cause: "stamp x failed: job migrate failed" });
    expect(back.actions).toEqual([{ kind: "return", stamp: "x" }]);
    const strategy = strategyFor({ onAbort: "pause" });
    const stay = planRollout(rolloutIn(state, { strategy }), [failed, ...three], world);
    expect(stay).toMatchObject({ next: { kind: "paused", by: "gate", was: state }, actions: [] });
    // What aborts wins over what pauses (I36).
    const hookFailures = [{ name: "check", verdict: "abort", cause: "500" }] as const;
    expect(planRollout(rolloutIn(state, { strategy }), [failed], { ...world, hookFailures }).next.kind).toBe(
      "aborting",
    );
  });

  test("asks the hooks of its points first, each once", () => {
    const hook = { call: { kind: "http", url: "http://hooks.test/" }, timeoutMs: 1_000, onFailure: "abort" } as const;
    const hooks = (["before-rollout", "before-wave"] as const).map((point) => ({ ...hook, name: "tell", point }));
    const rollout = rolloutIn(state, { strategy: strategyFor({ hooks }) });
    const first = hookKey("before-rollout", 0, "tell");
    expect(planRollout(rollout, three, worldOf(seen)).actions).toEqual([
      { kind: "hook", point: "before-rollout", wave: 0 },
    ]);
    const next = planRollout({ ...rollout, hooksDone: [first] }, three, worldOf(seen));
    expect(next.actions).toEqual([{ kind: "hook", point: "before-wave", wave: 0 }]);
    const done = { ...rollout, hooksDone: [first, hookKey("before-wave", 0, "tell")] };
    expect(begun(planRollout(done, three, worldOf(seen)))).toEqual(["a", "b"]);
  });
});

test("planRollout() begins nobody while a member of the wave before is tried again, and says so (I34)", () => {
  const again = member("a", 0, { kind: "updating", since: now - 1 });
  const seen = { a: sight(fresh, { running: old.stampDigest, lack: "web is starting" }), b: sight(old) };
  const state = { kind: "updating", wave: 1, since: now - 9 } as const;
  const plan = (...members: RolloutMember[]) => planRollout(rolloutIn(state), members, worldOf(seen));
  const waitingOn = "another wave's member to be updated first: a: web is starting";
  const wanted = { next: state, actions: [], members: [], waitingOn, lookAt: now - 1 + 300_000 };
  expect(plan(again, member("b", 1, { kind: "waiting" }))).toMatchObject(wanted);
  expect(plan(again, member("b", 1, { kind: "updated", since: 1, at: 2 })), "nor bakes").toMatchObject(wanted);
});

describe("planRollout() at the end of a bake", () => {
  const until = now - 10;
  const state = { kind: "baking", wave: 0, since: now - minute, until } as const;
  const members = [
    member("a", 0, { kind: "updated", since: now - 90_000, at: now - minute }),
    member("b", 1, { kind: "waiting" }),
  ];
  const world = (over: Partial<RolloutWorld> = {}, a = sight(fresh)) => worldOf({ a, b: sight(old) }, over);
  const plan = (over?: Partial<RolloutWorld>, rollout: Partial<Rollout> = {}, a?: MemberSeen) => {
    return planRollout(rolloutIn(state, rollout), members, world(over, a));
  };

  test("goes on by a good verdict that tells of the end, and by nothing else (I35)", () => {
    expect(plan({ gate: gate("go") }).next).toEqual({ kind: "updating", wave: 1, since: now });
    expect(plan(), "none").toMatchObject({ next: state, needsGate: true });
    expect(plan({ gate: gate("go", until - 1) }).next, "late").toEqual(state);
    expect(plan({ gate: gate("inconclusive") }).next, "inconclusive").toEqual(state);
    expect(plan({}, { gate: gate("go", until - 1) }).next, "of before").toEqual(state);
    const early = rolloutIn({ ...state, until: now + 1 });
    expect(planRollout(early, members, world({ gate: gate("go") })).next.kind, "early").toBe("baking");
  });

  test("goes on only while each member is seen to run it, whole (I35)", () => {
    const good = { gate: gate("go") };
    for (const bad of [
      sight(fresh, { isWhole: false }),
      sight(fresh, { running: undefined }),
      sight(fresh, { observedAt: now - 30_001 }),
      sight(fresh, { observedAt: now + 1 }),
      sight(fresh, { running: old.stampDigest }),
    ]) {
      expect(plan(good, {}, bad).next, JSON.stringify(bad)).toEqual(state);
    }
  });

  test("waits as long as its rule says, and then for a person, with what is lacking", () => {
    const { waitMs } = strategyFor().gate;
    const report = { ...gate("inconclusive", now + waitMs), enoughInMs: 90_500 };
    const late = planRollout(rolloutIn(state), members, { ...world(), now: now + waitMs, gate: report });
    expect(late.next).toMatchObject({ kind: "paused", by: "gate", was: state });
    const why = late.next.kind === "paused" ? late.next.why : "";
    expect(why).toBe("stamp a is not whole: it was not seen lately");
    const seen = world({ now: now + waitMs, gate: report }, sight(fresh, { observedAt: now + waitMs }));
    const unsure = planRollout(rolloutIn(state), members, seen);
    expect(unsure.next).toMatchObject({
      why: "the gate cannot tell: errors say inconclusive; enough is there in about 91 s",
    });
  });

  test("promotes nobody when those who were to be judged have left", () => {
    const next = planRollout(rolloutIn(state), members, worldOf({ b: sight(old) })).next;
    expect(next).toEqual(state);
    const last = planRollout(rolloutIn(state), members.slice(0, 1), worldOf({})).next;
    expect(last.kind, "nobody is left to be promoted").toBe("done");
  });

  test("asks for an approval, makes way, or ends", () => {
    const good = { gate: gate("go") };
    const waves = [wave("canary"), wave("rest", { approval: true })];
    expect(plan(good, { waves }).next).toEqual({ kind: "approval", wave: 1, since: now });
    expect(plan({ ...good, newer: "ro-2" }).next).toEqual({ kind: "superseded", at: now, by: "ro-2" });
    const rollout = rolloutIn(state);
    const done = planRollout(rollout, members.slice(0, 1), world({ ...good, newer: "ro-2" }));
    expect(done.next).toEqual({ kind: "done", at: now });
    const skipped = [members[0], member("b", 1, { kind: "skipped", why: "x" })].flatMap((one) => one ?? []);
    expect(planRollout(rollout, skipped, world(good)).next.kind).toBe("done");
  });

  test("needs no verdict of a wave without a bake, of one that is promoted, and of a gate that only reports", () => {
    const none = [wave("canary", { bakeMs: 0 }), wave("rest")];
    expect(plan({}, { waves: none }).next.kind).toBe("updating");
    const promoted = [wave("canary", { promoted: true }), wave("rest")];
    expect(plan({ gate: gate("abort") }, { waves: promoted }).next.kind).toBe("updating");
    const strategy = strategyFor({ gate: { ...strategyFor().gate, enforced: false } });
    expect(plan({ gate: gate("abort") }, { strategy }).next.kind).toBe("updating");
  });

  test("counts the looks that spent of alpha, and keeps no verdict of one bake for the next", () => {
    const looked = { ...gate("go"), tookLook: true };
    const judged = plan({ gate: looked });
    expect(judged.tookLook).toBe(true);
    const after = afterPlan(rolloutIn(state), members, judged, { now, gate: looked });
    expect(after.rollout).toMatchObject({ looks: 1, spent: { bakingMs: minute } });
    const updating = rolloutIn({ kind: "updating", wave: 1, since: now - 1 }, { gate: looked });
    const there = members.map(
      (one): RolloutMember => ({ ...one, state: { kind: "updated", since: now - 2, at: now - 1 } }),
    );
    const bakes = planRollout(updating, there, worldOf({ a: sight(fresh), b: sight(fresh) }, { gate: looked }));
    expect(bakes.next.kind).toBe("baking");
    expect(afterPlan(updating, there, bakes, { now, gate: looked }).rollout.gate).toBeUndefined();
  });

  test("begins the bake anew when a clock went back, as long as it was", () => {
    const ahead = { ...state, since: now + 600_000, until: now + 600_000 + minute };
    const mended = planRollout(rolloutIn(ahead), members, world({ gate: gate("go") })).next;
    expect(mended).toEqual({ ...ahead, since: now, until: now + minute });
  });
});

describe("planRollout() before and beside the waves", () => {
  const members = [member("a", 0, { kind: "waiting" }), member("b", 1, { kind: "waiting" })];
  const seen = { a: sight(old), b: sight(old) };
  const queued = rolloutIn({ kind: "queued", since: now - 1 });

  test("begins when nobody is before it, all it goes back to is known, and somebody may begin", () => {
    expect(planRollout(queued, members, worldOf(seen)).next).toEqual({ kind: "updating", wave: 0, since: now });
    expect(planRollout(queued, members, worldOf(seen, { behind: "ro-0" })).next).toEqual(queued.state);
    expect(planRollout(queued, members, worldOf(seen, { newer: "ro-2" })).next.kind).toBe("superseded");
    const stale = planRollout(queued, members, worldOf({ ...seen, b: sight(aimOf("r9")) }));
    expect(stale).toMatchObject({ next: queued.state, actions: [{ kind: "refresh", stamp: "b" }] });
    const frozen = planRollout(queued, members, worldOf(seen, { barred: new Map([["a", "it is frozen"]]) }));
    expect(frozen).toMatchObject({ next: queued.state, waitingOn: "1 that cannot begin now: a: it is frozen" });
  });

  test("ends at once when nobody has anything to do", () => {
    const same = [member("a", 0, { kind: "waiting" }, { from: fresh })];
    let rollout = queued;
    const kinds: string[] = [];
    for (let n = 0; n < 3; n++) {
      const plan = planRollout(rollout, same, worldOf({ a: sight(fresh) }));
      expect(stateOf(plan, "a")).toEqual({ kind: "skipped", why: "it runs this already" });
      rollout = { ...rollout, state: plan.next };
      kinds.push(plan.next.kind);
    }
    expect(kinds).toEqual(["updating", "baking", "baking"]);
    const last = planRollout(rollout, same, worldOf({ a: sight(fresh) }, { now: now + minute }));
    expect(last.next.kind).toBe("done");
  });

  test("says what it waits for in every phase that has not ended", () => {
    const was = { kind: "baking", wave: 0, since: now - 9, until: now + minute } as const;
    const words = (state: RolloutState, world = worldOf(seen)) => {
      const rollout = rolloutIn(state);
      return afterPlan(rollout, members, planRollout(rollout, members, world), world).rollout.waitingOn;
    };
    expect(words({ kind: "queued", since: now - 1 }, worldOf(seen, { behind: "ro-0" }))).toBe("rollout ro-0 to end");
    expect(words({ kind: "updating", wave: 0, since: now - 1 })).toBe("1 still to begin");
    expect(words(was)).toBe("the end of the bake of wave canary");
    const approval = words({ kind: "approval", wave: 1, since: now - 1 });
    expect(approval).toBe("a person, for wave rest: stampyard rollout approve ro-1");
    const paused = words({ kind: "paused", since: now - 1, why: "x", by: "ada", was });
    expect(paused).toBe("a person: stampyard rollout resume ro-1, or promote, retry, abort");
    const late = rolloutIn({ ...was, until: now - 1 });
    expect(rolloutWords(late, now)).toEqual({ waitsFor: "a verdict on wave canary", until: now - 1 + 120_000 });
  });

  test("makes way while it is paused by its gate with nobody on the way, and never while a person paused it", () => {
    const was = { kind: "updating", wave: 0, since: now - 9 } as const;
    const paused = rolloutIn({ kind: "paused", since: now - 1, why: "x", by: "gate", was });
    const newer = worldOf(seen, { newer: "ro-2" });
    expect(planRollout(paused, members, newer).next.kind).toBe("superseded");
    const away = [member("a", 0, { kind: "updating", since: now - 1 })];
    expect(planRollout(paused, away, newer).next.kind).toBe("paused");
    expect(
      planRollout({ ...paused, state: { ...paused.state, by: "ada" } as RolloutState }, members, newer).next.kind,
    ).toBe("paused");
  });
});
