import { afterAll, beforeAll, expect, test } from "vitest";
import { openLed } from "./test-moves.ts";
import { run, startTestPostgres, type TestPostgres } from "./test-postgres.ts";
import {
  aborting,
  aimFixture,
  baking,
  finish,
  fleetOf,
  memberFixture,
  rolloutFixture,
  rolloutOf,
  stampOf,
  step,
  strategyFixture,
  updating,
  waveFixture,
} from "./test-rollouts.ts";
import { digest } from "./test-store.ts";

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres[Symbol.asyncDispose]());

const names = ["a", "b", "c"];
const begun = { kind: "updating", since: 1 } as const;
const arrived = { kind: "updated", since: 1, at: 2 } as const;

test("rollouts.start() keeps release, strategy, waves and members as they are, and answers them", async () => {
  await using led = await openLed(postgres);
  const { store, ctx } = led;
  await fleetOf(store, ctx, names);
  const input = rolloutFixture(names, {
    members: [memberFixture("b", 1), memberFixture("a", 0), memberFixture("c", 1, { place: 1 })],
  });
  const because = { ...ctx, reason: "to have it" };
  const { value, revision } = await store.rollouts.start(input, because);
  expect(value).toMatchObject({
    release: digest("2.0.0"),
    state: { kind: "queued" },
    by: "tester",
    reason: "to have it",
  });
  expect(await rolloutOf(store, value.id)).toMatchObject({ value, revision });
  expect((await store.rollouts.members(value.id)).map((member) => member.stamp)).toEqual(["a", "b", "c"]);
  expect((await store.rollouts.members(value.id))[1]).toEqual(memberFixture("b", 1));
  expect((await store.rollouts.counts([value.id])).get(value.id)).toEqual({ waiting: 3 });
  expect(await store.rollouts.open()).toEqual([value.id]);
  const { items: audits } = await store.audit.list({ subject: `rollout/${value.id}` });
  expect(audits).toMatchObject([{ action: "rollout.start", reason: "to have it", detail: { members: 3 } }]);
  const second = await store.rollouts.start(rolloutFixture(["c"], { release: digest("3.0.0") }), ctx);
  const ids = async (filter: Parameters<typeof store.rollouts.list>[0]) =>
    (await store.rollouts.list(filter)).items.map((item) => item.value.id);
  expect(await ids({})).toEqual([second.value.id, value.id]);
  expect(await ids({ stamp: "a" })).toEqual([value.id]);
  expect(await ids({ release: digest("3.0.0") })).toEqual([second.value.id]);
  expect(await ids({ isOpen: false })).toEqual([]);
  expect(await ids({ phase: "queued", limit: 1 })).toEqual([second.value.id]);
});

test("rollouts.start() refuses what it could not carry out", async () => {
  await using led = await openLed(postgres);
  const { store, ctx } = led;
  await fleetOf(store, ctx, names);
  const refused = async (over: Parameters<typeof rolloutFixture>[1]) =>
    store.rollouts.start(rolloutFixture(["a"], over), ctx).then(
      () => "started",
      (error: { code: string }) => error.code,
    );
  expect(await refused({ release: digest("9.9.9") })).toBe("RELEASE_NOT_FOUND");
  expect(await refused({ members: [memberFixture("a", 0, { from: aimFixture("a", "9.9.9") })] })).toBe(
    "RELEASE_NOT_FOUND",
  );
  expect(await refused({ members: [memberFixture("z")] })).toBe("STAMP_NOT_FOUND");
  expect(await refused({ members: [memberFixture("z", 0, { state: { kind: "skipped", why: "it is gone" } })] })).toBe(
    "started",
  );
  expect(await refused({ members: [memberFixture("a", 1)] })).toBe("INVALID_REQUEST");
  expect(await refused({ members: [memberFixture("a"), memberFixture("a")] })).toBe("INVALID_REQUEST");
  expect(await refused({ members: [memberFixture("a", 0, { state: begun })] })).toBe("INVALID_REQUEST");
  expect(await refused({ strategy: { ...strategyFixture, maxUnavailable: 0 } })).toBe("INVALID_REQUEST");
  expect(await refused({ waves: [waveFixture("w", { bakeMs: -1 })] })).toBe("INVALID_REQUEST");
  expect(await refused({ hotfix: true })).toBe("INVALID_REQUEST");
  expect((await store.audit.list({ subject: "stamp/a" })).items).toEqual([]);
});

test("rollouts.write() aims the stamps of members in the transaction that writes their state, and back again", async () => {
  await using led = await openLed(postgres);
  const { store, ctx } = led;
  await fleetOf(store, ctx, names);
  const { value } = await store.rollouts.start(rolloutFixture(names), ctx);
  await step(store, ctx, value.id, updating(), { a: begun });
  const to = aimFixture("a", "2.0.0");
  expect(await stampOf(store, "a")).toMatchObject({
    releaseDigest: to.release,
    stampDigest: to.stampDigest,
    parameters: to.parameters,
  });
  expect(await stampOf(store, "b")).toMatchObject({ releaseDigest: digest("1.0.0") });
  await step(store, ctx, value.id, baking(), { a: arrived });
  await step(store, ctx, value.id, aborting, { a: { kind: "returning", since: 4 } });
  expect(await stampOf(store, "a")).toMatchObject({ stampDigest: aimFixture("a", "1.0.0").stampDigest });
  await step(
    store,
    ctx,
    value.id,
    { kind: "aborted", at: 5, cause: "a test", by: "tester" },
    { a: { kind: "returned", at: 5 } },
  );
  expect(await store.rollouts.open()).toEqual([]);
  const { items } = await store.audit.list({ subject: `rollout/${value.id}` });
  expect(items.map((item) => item.action)).toEqual([
    "rollout.start",
    "rollout.updating",
    "rollout.baking",
    "rollout.aborting",
    "rollout.aborted",
  ]);
  expect(items[1]?.detail).toMatchObject({ members: { a: "updating" } });
});

test("a stamp goes back to what it was aimed at when its turn came, not when the rollout was asked for (I37)", async () => {
  await using led = await openLed(postgres);
  const { store, ctx } = led;
  await fleetOf(store, ctx, names);
  const first = await store.rollouts.start(rolloutFixture(["a"]), ctx);
  const second = await store.rollouts.start(
    rolloutFixture(["a"], {
      release: digest("3.0.0"),
      members: [memberFixture("a", 0, { to: aimFixture("a", "3.0.0") })],
    }),
    ctx,
  );
  await finish(store, ctx, first.value.id);
  await step(store, ctx, second.value.id, updating(), { a: begun });
  expect((await store.rollouts.members(second.value.id))[0]?.from).toMatchObject(aimFixture("a", "2.0.0"));
  // Tried again, it does not take its own release for what was before.
  await step(store, ctx, second.value.id, updating(), { a: { kind: "failed", since: 1, at: 2, cause: "no" } });
  await step(store, ctx, second.value.id, updating(), { a: begun });
  await step(store, ctx, second.value.id, aborting, { a: { kind: "returning", since: 4 } });
  expect((await stampOf(store, "a")).releaseDigest).toBe(digest("2.0.0"));
  await step(
    store,
    ctx,
    second.value.id,
    { kind: "aborted", at: 5, cause: "a test", by: "tester" },
    { a: { kind: "returned", at: 5 } },
  );
  const good = await store.rollouts.lastGood();
  expect(good.get("a")).toEqual([digest("2.0.0"), digest("1.0.0")]);
  expect(good.get("b")).toEqual([digest("1.0.0")]);
  expect(good.get("z")).toBeUndefined();
});

test("rollouts.write() of a part refuses a stamp whose other parts have changed since", async () => {
  await using led = await openLed(postgres);
  const { store, ctx } = led;
  await fleetOf(store, ctx, names);
  const part = await store.rollouts.start(rolloutFixture(["a"], { components: ["db"] }), ctx);
  const other = await store.rollouts.start(
    rolloutFixture(["a"], {
      components: ["api"],
      release: digest("3.0.0"),
      members: [memberFixture("a", 0, { to: aimFixture("a", "3.0.0") })],
    }),
    ctx,
  );
  await finish(store, ctx, other.value.id);
  await expect(step(store, ctx, part.value.id, updating(), { a: begun })).rejects.toMatchObject({
    code: "WRONG_PHASE",
    message: expect.stringContaining("has had another release"),
  });
  expect((await rolloutOf(store, part.value.id)).value.state.kind).toBe("queued");
  // Composed anew of what runs now, it may go.
  const found = await rolloutOf(store, part.value.id);
  const anew = memberFixture("a", 0, { from: aimFixture("a", "3.0.0"), state: begun });
  await store.rollouts.write({ ...found.value, state: updating() }, found.revision, [anew], ctx);
  expect((await stampOf(store, "a")).stampDigest).toBe(aimFixture("a", "2.0.0").stampDigest);
});

test("rollouts.write() refuses what the tables do not allow, and leaves everything as it was", async () => {
  await using led = await openLed(postgres);
  const { store, ctx } = led;
  await fleetOf(store, ctx, names);
  const { value } = await store.rollouts.start(rolloutFixture(names), ctx);
  const wrong = { code: "WRONG_PHASE" };
  const { id } = value;
  await expect(step(store, ctx, id, baking())).rejects.toMatchObject(wrong);
  await expect(step(store, ctx, id, { kind: "queued", since: 1 }, { a: begun })).rejects.toMatchObject(wrong);
  await expect(step(store, ctx, id, updating(), { b: begun })).rejects.toMatchObject(wrong);
  await expect(step(store, ctx, id, updating(), { a: { kind: "returned", at: 1 } })).rejects.toMatchObject(wrong);
  await expect(step(store, ctx, id, updating(3))).rejects.toMatchObject(wrong);
  expect((await stampOf(store, "b")).releaseDigest).toBe(digest("1.0.0"));
  await step(store, ctx, id, updating(), { a: begun });
  // The first wave is under way: no second one beside it (I34).
  await expect(step(store, ctx, id, baking(1))).rejects.toMatchObject({
    ...wrong,
    message: expect.stringContaining("wave 0"),
  });
  await step(store, ctx, id, baking(), { a: arrived });
  await expect(step(store, ctx, id, baking(), { b: begun })).rejects.toMatchObject(wrong);
  await step(store, ctx, id, updating(1), { b: begun });
  await expect(step(store, ctx, id, updating(0))).rejects.toMatchObject(wrong);
  const moved = { ...memberFixture("b", 1), to: aimFixture("b", "3.0.0"), state: begun };
  const now = await rolloutOf(store, id);
  await expect(store.rollouts.write(now.value, now.revision, [moved], ctx)).rejects.toMatchObject(wrong);
  await expect(store.rollouts.write(now.value, now.revision - 1, [], ctx)).rejects.toMatchObject({
    code: "STALE_REVISION",
  });
  await store.stamps.remove("c", { force: true }, ctx);
  const leaving = await store.stamps.read("c");
  if (leaving === undefined) throw new RangeError("c");
  const destroying = { ...leaving.value, state: { kind: "destroying", attempt: 1 } } as const;
  const { revision } = await store.stamps.write(destroying, leaving.revision, {}, ctx);
  await store.stamps.write({ ...destroying, state: { kind: "gone" } }, revision, {}, ctx);
  await step(store, ctx, id, baking(1), { b: arrived });
  await expect(step(store, ctx, id, updating(2), { c: begun })).rejects.toMatchObject({ code: "STAMP_NOT_FOUND" });
  expect((await rolloutOf(store, id)).value.state).toMatchObject({ kind: "baking", wave: 1 });
  await step(store, ctx, id, updating(2), { c: { kind: "skipped", why: "it is gone" } });
});

test("who was passed over begins in no later wave, unless it failed and is tried again (I34)", async () => {
  await using led = await openLed(postgres);
  const { store, ctx } = led;
  await fleetOf(store, ctx, names);
  const members = [memberFixture("a", 0), memberFixture("b", 0, { place: 1 }), memberFixture("c", 1)];
  const { value } = await store.rollouts.start(rolloutFixture(["a", "c"], { members }), ctx);
  await step(store, ctx, value.id, updating(), { b: begun });
  await step(store, ctx, value.id, baking(), { b: { kind: "failed", since: 1, at: 2, cause: "no" } });
  await step(store, ctx, value.id, updating(1));
  await expect(step(store, ctx, value.id, updating(1), { a: begun })).rejects.toMatchObject({ code: "WRONG_PHASE" });
  await step(store, ctx, value.id, updating(1), { b: begun, c: begun });
});

test("rollouts.write() of what is there already changes nothing, and of notes alone leaves no audit row", async () => {
  await using led = await openLed(postgres);
  const { store, ctx } = led;
  await fleetOf(store, ctx, names);
  const started = await store.rollouts.start(rolloutFixture(names), ctx);
  expect(await store.rollouts.write(started.value, started.revision, [], ctx)).toEqual(started);
  const waiting = { ...started.value, waitingOn: "another one", hooksDone: ["before-rollout/0/ask"] };
  const noted = await store.rollouts.write(waiting, started.revision, [], ctx);
  expect(noted).toMatchObject({ value: waiting, revision: started.revision + 1 });
  // What was written down at the start is nobody's to change.
  const forged = { ...noted.value, release: digest("3.0.0"), hotfix: true, by: "somebody" };
  expect(await store.rollouts.write(forged, noted.revision, [], ctx)).toEqual(noted);
  expect((await store.audit.list({ subject: `rollout/${started.value.id}` })).items).toHaveLength(1);
});

test("a failed member that is tried again does not wait for the back-off of its stamp", async () => {
  await using led = await openLed(postgres);
  const { store, ctx } = led;
  await fleetOf(store, ctx, names);
  const { value } = await store.rollouts.start(rolloutFixture(["a"]), ctx);
  await step(store, ctx, value.id, updating(), { a: begun });
  const seen = await store.stamps.read("a");
  if (seen === undefined) throw new RangeError("a");
  const late = Date.now() + 600_000;
  const { stampDigest } = aimFixture("a", "2.0.0");
  const setback = { attempt: 3, cause: "it crashed", retryAt: late, stampDigest };
  await store.stamps.write({ ...seen.value, state: { kind: "active", setback } }, seen.revision, {}, ctx);
  await step(store, ctx, value.id, updating(), { a: { kind: "failed", since: 1, at: 2, cause: "it crashed" } });
  expect((await stampOf(store, "a")).state).toMatchObject({ setback: { retryAt: late } });
  await step(store, ctx, value.id, updating(), { a: begun });
  const { state } = await stampOf(store, "a");
  expect(state.kind === "active" && state.setback?.retryAt).toBeLessThan(late - 500_000);
});

test("rollouts.prune() forgets what ended long ago, and nothing that is open, new, or among the last", async () => {
  await using led = await openLed(postgres);
  const { store, ctx, url } = led;
  await fleetOf(store, ctx, names);
  const ids: string[] = [];
  for (let n = 0; n < 4; n++) {
    const { value } = await store.rollouts.start(rolloutFixture(["a"]), ctx);
    ids.push(value.id);
    if (n > 0) await store.rollouts.command(value.id, { kind: "abort" }, {}, ctx);
  }
  const keep = { keepMs: 60_000, keepRollouts: 1 };
  expect(await store.rollouts.prune(keep, ctx)).toBe(0);
  await run(url, "UPDATE stampyard_control.rollouts SET updated_at = updated_at - interval '1 hour'");
  expect(await store.rollouts.prune(keep, ctx)).toBe(2);
  const left = (await store.rollouts.list()).items.map((item) => item.value.id);
  expect(left).toEqual([ids[3], ids[0]]);
  expect(await store.rollouts.members(ids[1] ?? "")).toEqual([]);
  expect(await store.rollouts.members(ids[0] ?? "")).toHaveLength(1);
});
