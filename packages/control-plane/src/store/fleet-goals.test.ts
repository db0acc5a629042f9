import type { Fleet, Pool } from "@stampyard/domain";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openLed } from "./test-moves.ts";
import { startTestPostgres, type TestPostgres } from "./test-postgres.ts";
import { aborting, finish, fleetOf, rolloutFixture, step, strategyFixture, updating } from "./test-rollouts.ts";
import type { Store, WriteContext } from "./port.ts";
import { digest, fleetFixture, poolFixture, releaseFixture } from "./test-store.ts";

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres[Symbol.asyncDispose]());

const sized = (size: string, over: Partial<Pool> = {}): Pool => ({
  ...poolFixture("shared"),
  parameters: { size },
  ...over,
});

async function fleetNow(store: Store) {
  const found = await store.fleet.read();
  if (found === undefined) throw new RangeError("No fleet");
  return found;
}

/** An apply that wants another release and other parameters for the stamps that there are. */
async function applyByRollout(store: Store, ctx: WriteContext, now: Fleet, wanted: Fleet, version: string) {
  const { revision } = await fleetNow(store);
  const rollout = rolloutFixture(["a"], { release: digest(version) });
  const release = releaseFixture(version);
  return store.fleet.apply(
    {
      fleet: now,
      release,
      stampCreates: [],
      stampUpdates: [],
      expectedRevision: revision,
      byRollout: { fleet: wanted, rollout },
    },
    ctx,
  );
}

test("what a rollout brings becomes the fleet's own when it is done, and nothing of it before", async () => {
  await using led = await openLed(postgres);
  const { store, ctx } = led;
  await fleetOf(store, ctx, ["a"]);
  const wanted = fleetFixture([sized("large", { capacity: { tenants: 5 } })]);
  const applied = await applyByRollout(store, ctx, fleetFixture(), wanted, "2.0.0");
  const id = applied.rollout?.value.id ?? "";
  expect(applied.value).toEqual({ fleet: fleetFixture(), release: digest("1.0.0") });
  expect(applied.rollout?.value.fleetRevision).toBe(applied.revision);
  expect(await store.fleet.goals()).toEqual([{ revision: applied.revision, fleet: wanted, release: digest("2.0.0") }]);
  expect(await store.fleet.goal(applied.revision)).toMatchObject({ fleet: wanted });
  const { items } = await store.audit.list({ subject: "fleet" });
  expect(items.at(-1)).toMatchObject({ action: "fleet.apply", detail: { rollout: { id } } });
  await finish(store, ctx, id);
  const now = await fleetNow(store);
  expect(now.value).toEqual({ fleet: wanted, release: digest("2.0.0") });
  expect(now.revision).toBe(applied.revision + 1);
  expect(await store.fleet.goals()).toEqual([]);
});

test("what a later apply changed at once stays when an earlier rollout is done", async () => {
  await using led = await openLed(postgres);
  const { store, ctx } = led;
  await fleetOf(store, ctx, ["a"]);
  const first = await applyByRollout(store, ctx, fleetFixture(), fleetFixture([sized("large")]), "2.0.0");
  const limits = { stamps: { min: 1, max: 40 } };
  const added = poolFixture("gold");
  const second = await applyByRollout(
    store,
    ctx,
    fleetFixture([{ ...poolFixture("shared"), ...limits }, added]),
    fleetFixture([sized("huge", limits), added]),
    "3.0.0",
  );
  expect((await store.fleet.goals()).map((goal) => goal.release)).toEqual([digest("3.0.0"), digest("2.0.0")]);
  await finish(store, ctx, first.rollout?.value.id ?? "");
  expect((await fleetNow(store)).value).toEqual({
    fleet: fleetFixture([sized("large", limits), added]),
    release: digest("2.0.0"),
  });
  await finish(store, ctx, second.rollout?.value.id ?? "");
  expect((await fleetNow(store)).value).toEqual({
    fleet: fleetFixture([sized("huge", limits), added]),
    release: digest("3.0.0"),
  });
});

test("an aborted rollout leaves the fleet as it was", async () => {
  await using led = await openLed(postgres);
  const { store, ctx } = led;
  await fleetOf(store, ctx, ["a"]);
  const { rollout } = await applyByRollout(store, ctx, fleetFixture(), fleetFixture([sized("large")]), "2.0.0");
  const id = rollout?.value.id ?? "";
  const before = await fleetNow(store);
  await step(store, ctx, id, updating());
  await step(store, ctx, id, aborting);
  await step(store, ctx, id, { kind: "aborted", at: 5, cause: "a test", by: "tester" });
  expect(await fleetNow(store)).toEqual(before);
  expect(await store.fleet.goals()).toEqual([]);
});

test("an undoing gives the fleet back what it was before, once it is done itself", async () => {
  await using led = await openLed(postgres);
  const { store, ctx } = led;
  await fleetOf(store, ctx, ["a"]);
  const old = (await fleetNow(store)).value;
  const { rollout } = await applyByRollout(store, ctx, fleetFixture(), fleetFixture([sized("large")]), "2.0.0");
  const undone = rollout?.value.id ?? "";
  const undo = () => store.rollouts.start(rolloutFixture(["a"], { release: digest("1.0.0"), undoes: undone }), ctx);
  await expect(undo()).rejects.toMatchObject({ code: "WRONG_PHASE" });
  await finish(store, ctx, undone);
  const { value } = await undo();
  expect((await fleetNow(store)).value.release).toBe(digest("2.0.0"));
  await finish(store, ctx, value.id);
  expect((await fleetNow(store)).value).toEqual(old);
  const unknown = rolloutFixture(["a"], { undoes: "ro-none" });
  await expect(store.rollouts.start(unknown, ctx)).rejects.toMatchObject({ code: "NOT_FOUND" });
});

test("an undoing says nothing of a fleet that has gone on since", async () => {
  await using led = await openLed(postgres);
  const { store, ctx } = led;
  await fleetOf(store, ctx, ["a"]);
  const wanted = fleetFixture([sized("large")]);
  const first = await applyByRollout(store, ctx, fleetFixture(), wanted, "2.0.0");
  const firstId = first.rollout?.value.id ?? "";
  await finish(store, ctx, firstId);
  const second = await store.rollouts.start(rolloutFixture(["a"], { release: digest("3.0.0") }), ctx);
  await finish(store, ctx, second.value.id);
  const undo = (undoes: string) =>
    store.rollouts.start(rolloutFixture(["a"], { release: digest("1.0.0"), undoes }), ctx);
  const early = await undo(firstId);
  expect(early.value.fleetRevision).toBeUndefined();
  await finish(store, ctx, early.value.id);
  expect((await fleetNow(store)).value).toEqual({ fleet: wanted, release: digest("3.0.0") });
  // The later one taken back first, it can be.
  await finish(store, ctx, (await undo(second.value.id)).value.id);
  expect((await fleetNow(store)).value).toEqual({ fleet: wanted, release: digest("2.0.0") });
  await finish(store, ctx, (await undo(firstId)).value.id);
  expect((await fleetNow(store)).value).toEqual({ fleet: fleetFixture(), release: digest("1.0.0") });
});

test("a rollout of some parts, without a goal of its own, leaves the fleet's release alone", async () => {
  await using led = await openLed(postgres);
  const { store, ctx } = led;
  await fleetOf(store, ctx, ["a"]);
  const { value } = await store.rollouts.start(rolloutFixture(["a"], { components: ["db"] }), ctx);
  await finish(store, ctx, value.id);
  expect((await fleetNow(store)).value.release).toBe(digest("1.0.0"));
});

test("an apply whose rollout cannot be started changes nothing at all", async () => {
  await using led = await openLed(postgres);
  const { store, ctx } = led;
  await fleetOf(store, ctx, ["a"]);
  const before = await fleetNow(store);
  const rollout = rolloutFixture(["a"], {
    release: digest("4.0.0"),
    strategy: { ...strategyFixture, maxUnavailable: 0 },
  });
  const refused = store.fleet.apply(
    {
      fleet: fleetFixture([poolFixture("shared"), poolFixture("gold")]),
      release: releaseFixture("4.0.0"),
      stampCreates: [],
      stampUpdates: [],
      expectedRevision: before.revision,
      byRollout: { fleet: fleetFixture(), rollout },
    },
    ctx,
  );
  await expect(refused).rejects.toMatchObject({ code: "INVALID_REQUEST" });
  expect(await fleetNow(store)).toEqual(before);
  expect(await store.fleet.release(digest("4.0.0"))).toBeUndefined();
  expect(await store.rollouts.open()).toEqual([]);
});
