import type { GateReport } from "@stampyard/domain";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { startTestPostgres, type TestPostgres } from "../../store/test-postgres.ts";
import { reconcileRollout } from "./reconcile-rollout.ts";
import { createRolloutWorld, noGate, quickStrategy, type RolloutWorldBed } from "./test-rollout-world.ts";

let postgres: TestPostgres;
let bed: RolloutWorldBed;
const names = ["a-1", "b-1", "c-1"];
beforeAll(async () => {
  postgres = await startTestPostgres();
  bed = await createRolloutWorld(postgres, names);
}, 60_000);
beforeEach(async () => {
  bed.state.judge = async () => ({ ...noGate, at: bed.world.clock.now() });
  bed.world.engine.blind.clear();
  for (const { id } of await bed.store.freezes.list()) await bed.store.freezes.end(id, bed.world.ctx());
  for (const id of await bed.store.rollouts.open()) {
    await bed.store.rollouts.command(id, { kind: "abort" }, {}, bed.world.ctx());
    await bed.until(id, ({ state }) => state.kind === "aborted");
  }
});
afterAll(async () => {
  await bed?.[Symbol.asyncDispose]();
  await postgres?.[Symbol.asyncDispose]();
});

let made = 0;
const nextVersion = () => `2.${made++}.0`;
const say = (id: string, kind: "pause" | "resume" | "abort" | "retry", reason = "a test") =>
  bed.store.rollouts.command(id, { kind }, {}, { ...bed.world.ctx(), reason });
const verdict = (verdict: GateReport["verdict"], text = "of a test"): GateReport => ({
  at: bed.world.clock.now(),
  verdict,
  checks: [{ name: "errors", verdict, text }],
  tookLook: verdict !== "inconclusive",
});
const ran = () => names.map(bed.runningOf);

test("reconcileRollout() brings a release to the canary, then to the rest, and makes it the fleet's own", async () => {
  const id = await bed.start(nextVersion());
  const first = await bed.until(id, ({ state }) => state.kind === "baking");
  expect(first.state).toMatchObject({ wave: 0 });
  expect(await bed.membersOf(id)).toEqual({ "a-1": "updated", "b-1": "waiting", "c-1": "waiting" });
  expect(bed.runningOf("b-1")).not.toBe(first.release);
  const done = await bed.until(id, ({ state }) => state.kind === "done");
  expect(ran()).toEqual(names.map(() => done.release));
  expect((await bed.store.fleet.read())?.value.release).toBe(done.release);
  expect(done.spent.bakingMs).toBeGreaterThanOrEqual(2_000);
});

describe("a rollout goes back", () => {
  test("when a member cannot be brought to the release, and never touches the others", async () => {
    const before = ran();
    const id = await bed.start(nextVersion(), {}, { BROKEN: "1" });
    const { state } = await bed.until(id, (rollout) => rollout.state.kind === "aborted");
    expect(state).toMatchObject({ cause: expect.stringMatching(/stamp a-1 failed: .*never got healthy/), by: "gate" });
    expect(await bed.membersOf(id)).toEqual({ "a-1": "returned", "b-1": "waiting", "c-1": "waiting" });
    expect(ran()).toEqual(before);
    expect(bed.world.engine.stamps.get("a-1")?.components.get("api.0")?.status).toBe("healthy");
  });

  test("when its gate says so in the last wave: all that were touched, at once", async () => {
    const before = ran();
    const id = await bed.start(nextVersion());
    bed.state.judge = async () => {
      const isLast = (await bed.membersOf(id))["c-1"] === "updated";
      return isLast ? verdict("abort", "5 of 100 failed") : verdict("go");
    };
    await bed.until(id, (rollout) => rollout.state.kind === "aborting");
    expect(new Set(Object.values(await bed.membersOf(id)))).toEqual(new Set(["returning"]));
    const { state } = await bed.until(id, (rollout) => rollout.state.kind === "aborted");
    expect(state).toMatchObject({ cause: expect.stringContaining("5 of 100 failed") });
    expect(ran()).toEqual(before);
  });

  test("by a person's word while its gate is asked, which waits for no probe (I36)", async () => {
    const id = await bed.start(nextVersion());
    await bed.until(id, ({ state }) => state.kind === "baking");
    let isAsked = () => {};
    const asked = new Promise<void>((resolve) => {
      isAsked = resolve;
    });
    bed.state.judge = (_rollout, _members, _now, signal) =>
      new Promise<GateReport>((_resolve, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason));
        isAsked();
      });
    bed.restart();
    const turn = reconcileRollout(bed.deps(), id, bed.turn());
    await asked;
    await say(id, "abort", "it smells");
    expect(await turn).toEqual({ kind: "again" });
    const row = await bed.rolloutOf(id);
    expect(row.state).toMatchObject({ kind: "aborting", cause: "it smells" });
    expect((await bed.membersOf(id))["a-1"]).toBe("returning");
  });
});

describe("a rollout waits", () => {
  test("for a verdict, and is paused when none comes; a promise of one later lets it go on (I35)", async () => {
    const id = await bed.start(nextVersion());
    bed.state.judge = async () => verdict("inconclusive", "12 of 300 requests");
    const { state } = await bed.until(id, (rollout) => rollout.state.kind === "paused");
    expect(state).toMatchObject({ by: "gate", why: expect.stringContaining("12 of 300 requests") });
    expect((await bed.membersOf(id))["b-1"]).toBe("waiting");
    bed.state.judge = async () => verdict("go");
    await say(id, "resume");
    await bed.until(id, (rollout) => rollout.state.kind === "done");
  });

  test("when its evidence cannot be read at all", async () => {
    const id = await bed.start(nextVersion());
    bed.state.judge = () => Promise.reject(new Error("no such table"));
    const { state, gate } = await bed.until(id, (rollout) => rollout.state.kind === "paused");
    expect(state).toMatchObject({ by: "gate" });
    expect(gate?.checks[0]).toMatchObject({ name: "evidence", verdict: "inconclusive" });
    expect(JSON.stringify(gate)).not.toContain("no such table");
  });

  test("for a member whose host cannot be asked: unknown is not healthy, whatever it said before", async () => {
    const id = await bed.start(nextVersion());
    await bed.until(id, ({ state }) => state.kind === "updating");
    bed.world.engine.blind.add("a-1");
    for (let n = 0; n < 10; n++) await bed.step();
    expect((await bed.membersOf(id))["a-1"]).toBe("updating");
    bed.world.engine.blind.delete("a-1");
    await bed.until(id, ({ state }) => state.kind === "baking");
    bed.world.engine.killHost("a-1");
    bed.world.engine.blind.add("a-1");
    const { state } = await bed.until(id, (rollout) => rollout.state.kind === "paused");
    expect(state).toMatchObject({
      by: "gate",
      was: { wave: 0 },
      why: expect.stringMatching(/a-1 cannot be looked at/),
    });
    expect((await bed.membersOf(id))["b-1"]).toBe("waiting");
  });

  test("while it is frozen, and goes on by itself", async () => {
    const { freezes } = bed.store;
    const reason = "the books are closed";
    const freeze = await freezes.start(
      { scope: { stamps: ["b-1"] }, stops: ["rollouts"] },
      { ...bed.world.ctx(), reason },
    );
    const id = await bed.start(nextVersion());
    await bed.until(id, ({ waitingOn = "" }) => /^1 still to begin; 1 that cannot/.test(waitingOn));
    expect((await bed.rolloutOf(id)).waitingOn).toContain(reason);
    expect(await bed.membersOf(id)).toEqual({ "a-1": "updated", "b-1": "waiting", "c-1": "updated" });
    await freezes.end(freeze.id, bed.world.ctx());
    await bed.until(id, ({ state }) => state.kind === "done");
  });

  test("for none of that to go back: an abort passes a freeze", async () => {
    const id = await bed.start(nextVersion());
    await bed.until(id, ({ state }) => state.kind === "baking");
    const ctx = { ...bed.world.ctx(), reason: "night" };
    const freeze = await bed.store.freezes.start(
      { scope: {}, stops: ["rollouts", "moves", "scaling", "destroys"] },
      ctx,
    );
    await say(id, "abort");
    await bed.until(id, ({ state }) => state.kind === "aborted");
    await bed.store.freezes.end(freeze.id, ctx);
  });
});

test("reconcileRollout() passes over a stamp that was pinned since, unless to what it brings", async () => {
  const version = nextVersion();
  const to = await bed.release(version);
  const until = bed.world.clock.now() + 3_600_000;
  const ctx = { ...bed.world.ctx(), reason: "a demo" };
  const subject = (name: string) => ({ kind: "stamp", name }) as const;
  await bed.store.pins.set({ subject: subject("b-1"), until, reason: "a demo" }, ctx);
  await bed.store.pins.set({ subject: subject("c-1"), release: to, until, reason: "a demo" }, ctx);
  const id = await bed.start(version);
  await bed.until(id, ({ state }) => state.kind === "done");
  expect(await bed.membersOf(id)).toEqual({ "a-1": "updated", "b-1": "skipped", "c-1": "updated" });
  const why = `it is pinned until ${new Date(until).toISOString()}: a demo`;
  const members = await bed.store.rollouts.members(id);
  expect(members.find(({ stamp }) => stamp === "b-1")?.state).toEqual({ kind: "skipped", why });
  await bed.store.pins.remove(subject("b-1"), ctx);
  await bed.store.pins.remove(subject("c-1"), ctx);
});

test("reconcileRollout() begins a queued rollout when the one before it has ended, and never beside it (I34)", async () => {
  const strategy = { ...quickStrategy, onNewer: "queue" } as const;
  const first = await bed.start(nextVersion(), { strategy });
  const second = await bed.start(nextVersion(), { strategy });
  await bed.until(first, ({ state }) => state.kind === "done");
  expect((await bed.rolloutOf(second)).state.kind).toBe("queued");
  const { release } = await bed.until(second, ({ state }) => state.kind === "done");
  expect(ran()).toEqual(names.map(() => release));
});

test("reconcileRollout() takes a stamp along that was built meanwhile, in a last wave", async () => {
  const id = await bed.start(nextVersion());
  await bed.until(id, ({ state }) => state.kind === "baking");
  await bed.world.createStamp("late-1");
  const { release, waves } = await bed.until(id, ({ state }) => state.kind === "done");
  expect(bed.runningOf("late-1")).toBe(release);
  expect(waves.at(-1)?.name).toBe("newcomers");
  expect((await bed.membersOf(id))["late-1"]).toBe("updated");
});

test("reconcileRollout() composes again what a queued rollout of one part brings, of what the one before it brought", async () => {
  const first = await bed.start(nextVersion());
  const asked = nextVersion();
  const part = await bed.start(asked, { components: ["api"] });
  await bed.until(first, ({ state }) => state.kind === "done");
  await bed.until(part, ({ state }) => state.kind === "done");
  const members = await bed.store.rollouts.members(part);
  for (const { from, to } of members) {
    expect(from.release).toBe((await bed.rolloutOf(first)).release);
    const { template, notes } = (await bed.store.fleet.release(to.release)) ?? {};
    expect(notes).toContain(`with api of ${asked}`);
    expect(JSON.stringify(template?.stages)).toContain(asked);
  }
  expect(ran()).toEqual(members.map(({ to }) => to.release));
});

test("reconcileRollout() writes nothing while nothing but figures changes", async () => {
  let looks = 0;
  bed.state.judge = async () => verdict("inconclusive", `${looks++} of 300 requests`);
  const id = await bed.start(nextVersion(), {
    strategy: { ...quickStrategy, bakeMs: 3_600_000, canary: { leastPerMinute: 0 } },
  });
  await bed.until(id, ({ state }) => state.kind === "baking");
  for (let n = 0; n < 3; n++) await bed.step();
  const before = await bed.store.rollouts.read(id);
  for (let n = 0; n < 20; n++) {
    bed.world.clock.leap(1_000);
    await bed.step();
  }
  const after = await bed.store.rollouts.read(id);
  expect((after?.revision ?? 0) - (before?.revision ?? 0)).toBeLessThanOrEqual(5);
  expect(looks).toBeGreaterThan(15);
});
