import type { MemberState, RolloutState } from "@stampyard/domain";
import { createSeededRandom } from "@stampyard/testing";
import { Client } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { connectionConfig } from "./database.ts";
import { openStore } from "./open.ts";
import { openLed } from "./test-moves.ts";
import { run, startTestPostgres, type TestPostgres } from "./test-postgres.ts";
import {
  aborting,
  aimFixture,
  baking,
  fleetOf,
  memberFixture,
  rolloutFixture,
  rolloutOf,
  stampOf,
  step,
  strategyFixture,
  updating,
} from "./test-rollouts.ts";
import { digest, leaderOf, testKeys } from "./test-store.ts";

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres[Symbol.asyncDispose]());

const begun: MemberState = { kind: "updating", since: 1 };
const outcome = (promise: Promise<unknown>) =>
  promise.then(
    () => "ok",
    (error: { code: string }) => error.code,
  );

test("of many rollouts that begin at once, from two processes, one does (I34)", async () => {
  await using led = await openLed(postgres);
  const { store, ctx, url } = led;
  await using other = await openStore({ url, keys: testKeys });
  const names = ["a", "b", "c", "d", "e", "f"];
  await fleetOf(store, ctx, names);
  // Each of a stamp and a part of its own: what runs at once would meet nowhere, and yet only one may.
  const started = await Promise.all(
    names.map((name) => store.rollouts.start(rolloutFixture([name], { components: [`part-${name}`] }), ctx)),
  );
  for (let round = 0; round < names.length; round++) {
    const open = await store.rollouts.open();
    const results = await Promise.all(
      started
        .filter(({ value }) => open.includes(value.id))
        .map(({ value, revision }, at) =>
          outcome((at % 2 === 0 ? store : other).rollouts.write({ ...value, state: updating() }, revision, [], ctx)),
        ),
    );
    expect(results.filter((result) => result === "ok")).toHaveLength(1);
    expect(results.filter((result) => result === "WRONG_PHASE")).toHaveLength(results.length - 1);
    const [running] = (await store.rollouts.list({ phase: "updating" })).items;
    if (running === undefined) throw new RangeError("None began");
    await store.rollouts.command(running.value.id, { kind: "abort" }, {}, ctx);
    await step(store, ctx, running.value.id, { kind: "aborted", at: 9, cause: "a test", by: "tester" });
  }
  expect(await store.rollouts.open()).toEqual([]);
});

test("an abort that comes while the reconciler writes wins: no stamp is aimed ahead after it (I36)", async () => {
  const random = createSeededRandom(3_600);
  await using led = await openLed(postgres);
  const { store, ctx, url } = led;
  await using api = await openStore({ url, keys: testKeys });
  const names = ["a", "b", "c", "d"];
  await fleetOf(store, ctx, names);
  for (let round = 0; round < 12; round++) {
    const members = names.map((name, place) => memberFixture(name, 0, { place }));
    const { value } = await store.rollouts.start(rolloutFixture(["a"], { members }), ctx);
    await step(store, ctx, value.id, updating(), { a: begun });
    const seen = await rolloutOf(store, value.id);
    const next = (await store.rollouts.members(value.id)).filter((member) => member.stamp !== "a");
    const ahead = () =>
      outcome(
        store.rollouts.write(
          seen.value,
          seen.revision,
          next.map((member) => ({ ...member, state: begun })),
          ctx,
        ),
      );
    const abort = () => outcome(api.rollouts.command(value.id, { kind: "abort" }, {}, { ...ctx, actor: "a person" }));
    const order = random.next() < 0.5;
    const [first, second] = await Promise.all(order ? [ahead(), abort()] : [abort(), ahead()]);
    const [reconciler, person] = order ? [first, second] : [second, first];
    expect(person).toBe("ok");
    expect(["ok", "STALE_REVISION"]).toContain(reconciler);
    const now = await rolloutOf(store, value.id);
    expect(now.value.state).toMatchObject({ kind: "aborting", by: "a person" });
    // Whatever it had seen, nothing of it is written over the person's word.
    expect(await ahead()).toBe("STALE_REVISION");
    for (const member of await store.rollouts.members(value.id)) {
      const aim = member.state.kind === "waiting" || member.state.kind === "returning" ? member.from : member.to;
      expect((await stampOf(store, member.stamp)).stampDigest).toBe(aim.stampDigest);
    }
    const touched = (await store.rollouts.members(value.id)).filter((member) => member.state.kind !== "waiting");
    const all = (state: MemberState) => Object.fromEntries(touched.map((member) => [member.stamp, state]));
    const back = { kind: "returning", since: 4 } as const;
    const home = { kind: "returned", at: 5 } as const;
    await step(store, ctx, value.id, now.value.state, all(back));
    await step(store, ctx, value.id, { kind: "aborted", at: 5, cause: "a test", by: "tester" }, all(home));
    for (const name of names) {
      expect((await stampOf(store, name)).stampDigest).toBe(aimFixture(name, "1.0.0").stampDigest);
    }
  }
});

test("rollouts.command() says a word once, to its revision, and where it has a meaning", async () => {
  await using led = await openLed(postgres);
  const { store, ctx } = led;
  await fleetOf(store, ctx, ["a"]);
  const { value } = await store.rollouts.start(rolloutFixture(["a"]), ctx);
  const say = (kind: "pause" | "resume" | "abort" | "retry", over = {}) =>
    store.rollouts.command(value.id, { kind }, over, { ...ctx, reason: "we saw something" });
  await expect(say("pause")).rejects.toMatchObject({ code: "WRONG_PHASE" });
  await step(store, ctx, value.id, updating(), { a: begun });
  await expect(say("pause", { revision: 1 })).rejects.toMatchObject({ code: "STALE_REVISION" });
  const paused = await say("pause");
  expect(paused.value.state).toMatchObject({ kind: "paused", why: "we saw something", was: { kind: "updating" } });
  expect(await say("pause")).toEqual(paused);
  await say("resume");
  await step(store, ctx, value.id, updating(), { a: { kind: "failed", since: 1, at: 2, cause: "no" } });
  await say("retry");
  expect((await store.rollouts.members(value.id))[0]?.state.kind).toBe("updating");
  const { items } = await store.audit.list({ subject: `rollout/${value.id}` });
  expect(items.map((item) => item.action)).toEqual([
    "rollout.start",
    "rollout.updating",
    "rollout.pause",
    "rollout.resume",
    "rollout.members",
    "rollout.retry",
  ]);
  expect(items[2]).toMatchObject({ reason: "we saw something", detail: { state: { kind: "paused" } } });
  await expect(store.rollouts.command("ro-none", { kind: "abort" }, {}, ctx)).rejects.toMatchObject({
    code: "NOT_FOUND",
  });
});

test("what a connection leaves half way leaves nothing of a step of a rollout behind (I26)", async () => {
  await using led = await openLed(postgres);
  const { store, ctx, url } = led;
  await fleetOf(store, ctx, ["a", "b"]);
  const { value } = await store.rollouts.start(rolloutFixture(["a", "b"]), ctx);
  const before = await everything(url);
  // Its last statement is the rollout's own row: everything of the step is done by then, and none of it committed.
  const stopper = new Client(connectionConfig(url, "test"));
  stopper.on("error", () => {});
  await stopper.connect();
  await stopper.query(
    `CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$`,
  );
  for (const [table, when] of [
    ["stamps", "UPDATE"],
    ["rollout_members", "INSERT OR UPDATE"],
    ["audit", "INSERT"],
    ["rollouts", "UPDATE"],
  ] as const) {
    await stopper.query(`CREATE TRIGGER die AFTER ${when} ON ${table} FOR EACH ROW EXECUTE FUNCTION die()`);
    const died = await outcome(step(store, ctx, value.id, updating(), { a: begun }));
    expect(died, table).not.toBe("ok");
    await stopper.query(`DROP TRIGGER die ON ${table}`);
    expect(await everything(url), table).toEqual(before);
  }
  await stopper.query("DROP FUNCTION die");
  await stopper.end();
  await step(store, ctx, value.id, updating(), { a: begun });
  expect((await stampOf(store, "a")).releaseDigest).toBe(digest("2.0.0"));
});

async function everything(url: string): Promise<unknown> {
  const parts = ["rollouts", "rollout_members", "stamps", "fleet", "webhook_messages", "audit"].map((table) =>
    run(url, `SELECT to_jsonb(t) AS row FROM stampyard_control.${table} t ORDER BY 1`),
  );
  return Promise.all(parts);
}

test("a leader that lost its lease moves no rollout on (I28)", async () => {
  await using led = await openLed(postgres);
  const { store, ctx } = led;
  await fleetOf(store, ctx, ["a"]);
  const { value, revision } = await store.rollouts.start(rolloutFixture(["a"]), ctx);
  await store.lease.release("test", ctx.token);
  const next = await leaderOf(store, "next");
  const stale = { code: "STALE_LEADER" };
  await expect(store.rollouts.write({ ...value, state: updating() }, revision, [], ctx)).rejects.toMatchObject(stale);
  await expect(store.rollouts.command(value.id, { kind: "abort" }, {}, ctx)).rejects.toMatchObject(stale);
  await expect(store.rollouts.start(rolloutFixture(["a"]), ctx)).rejects.toMatchObject(stale);
  await step(store, next, value.id, updating());
});

test("by `batch` a newer rollout takes the place of those that wait and that it covers, and of no other", async () => {
  await using led = await openLed(postgres);
  const { store, ctx } = led;
  await fleetOf(store, ctx, ["a"]);
  const batch = { strategy: { ...strategyFixture, onNewer: "batch" as const } };
  const why = { ...ctx, reason: "a hole is open" };
  const running = await store.rollouts.start(rolloutFixture(["a"], batch), ctx);
  await step(store, ctx, running.value.id, updating());
  const waiting = await store.rollouts.start(rolloutFixture(["a"], batch), ctx);
  const hotfix = await store.rollouts.start(rolloutFixture(["a"], { hotfix: true }), why);
  const whole = await store.rollouts.start(rolloutFixture(["a"]), ctx);
  const part = await store.rollouts.start(rolloutFixture(["a"], { ...batch, components: ["db"] }), ctx);
  expect((await rolloutOf(store, waiting.value.id)).value.state.kind).toBe("queued");
  const newest = await store.rollouts.start(rolloutFixture(["a"], batch), ctx);
  const phases = async () =>
    Object.fromEntries((await store.rollouts.list()).items.map(({ value }) => [value.id, value.state.kind]));
  expect(await phases()).toEqual({
    [running.value.id]: "updating",
    [waiting.value.id]: "superseded",
    [hotfix.value.id]: "queued",
    [whole.value.id]: "superseded",
    [part.value.id]: "superseded",
    [newest.value.id]: "queued",
  });
  const by: RolloutState = { kind: "superseded", at: expect.any(Number), by: newest.value.id };
  expect((await rolloutOf(store, part.value.id)).value.state).toEqual(by);
  const { items } = await store.audit.list({ subject: `rollout/${newest.value.id}` });
  expect(items[0]?.detail).toMatchObject({ supersedes: [waiting.value.id, whole.value.id, part.value.id] });
});

test("2,000 members are recorded, aimed and taken back, each by one statement", async () => {
  await using led = await openLed(postgres);
  const { store, ctx } = led;
  const names = Array.from({ length: 200 }, (_, n) => `s${n}`);
  await fleetOf(store, ctx, names);
  const strangers = Array.from({ length: 1_800 }, (_, n) =>
    memberFixture(`gone-${n}`, 0, { state: { kind: "skipped", why: "it is gone" } }),
  );
  const members = [...names.map((name, place) => memberFixture(name, 0, { place })), ...strangers];
  const { value } = await store.rollouts.start(rolloutFixture(["s0"], { members }), ctx);
  const every = (state: MemberState) => Object.fromEntries(names.map((name) => [name, state]));
  await step(store, ctx, value.id, updating(), every(begun));
  await step(store, ctx, value.id, baking(), every({ kind: "updated", since: 1, at: 2 }));
  await step(store, ctx, value.id, aborting, every({ kind: "returning", since: 4 }));
  expect((await store.rollouts.counts([value.id])).get(value.id)).toEqual({ returning: 200, skipped: 1_800 });
  expect((await stampOf(store, "s199")).releaseDigest).toBe(digest("1.0.0"));
});
