import type { MemberState, Routing } from "@stampyard/domain";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openStore } from "./open.ts";
import type { Store, WriteContext } from "./port.ts";
import { openLed } from "./test-moves.ts";
import { startTestPostgres, type TestPostgres } from "./test-postgres.ts";
import { aborting, aimFixture, fleetOf, rolloutOf, startRules, step, updating } from "./test-rollouts.ts";
import { fleetFixture, readSnapshot, releaseFixture, sequenceAll, stampFixture, testKeys } from "./test-store.ts";

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres[Symbol.asyncDispose]());

const begun: MemberState = { kind: "updating", since: 1 };
const names = ["a", "b", "c"];
const old: Routing = { domains: ["localhost"] };
const wanted: Routing = { domains: ["localhost"], path: { prefix: "/t", strip: true } };
const rounds = 15;

async function destroy(store: Store, ctx: WriteContext, name: string): Promise<() => Promise<unknown>> {
  const row = await store.stamps.read(name);
  if (row === undefined) throw new RangeError(`No stamp ${name}`);
  const destroying = { ...row.value, goal: "absent", state: { kind: "destroying", attempt: 0 } } as const;
  const { revision } = await store.stamps.write(destroying, row.revision, {}, ctx);
  return () => store.stamps.write({ ...destroying, state: { kind: "gone" } }, revision, {}, ctx);
}

async function applyLimits(store: Store, ctx: WriteContext, burst: number): Promise<unknown> {
  const expectedRevision = (await store.fleet.read())?.revision ?? 0;
  const fleet = { ...fleetFixture(), routing: { ...old, limits: { requestsPerSecond: 1, burst } } };
  return store.fleet.apply(
    { fleet, release: releaseFixture(), stampCreates: [], stampUpdates: [], expectedRevision },
    ctx,
  );
}

test("whoever changes rules of stamps at once, what is published last is what their rows say", async () => {
  await using led = await openLed(postgres);
  const { store, ctx, url } = led;
  await using other = await openStore({ url, keys: testKeys });
  await fleetOf(store, ctx, names);
  for (let round = 0; round < rounds; round++) {
    const id = await startRules(store, ctx, names, old, wanted);
    await step(store, ctx, id, updating(), { c: begun });
    const remove = await destroy(other, ctx, "c");
    const { value, revision } = await rolloutOf(store, id);
    const a = (await store.rollouts.members(id)).filter(({ stamp }) => stamp === "a");
    const orders = a.map((member) => ({ ...member, state: begun }));
    const done = await Promise.all([
      store.rollouts.write(value, revision, orders, ctx),
      remove(),
      applyLimits(other, ctx, round + 1),
    ]);
    expect(done).toHaveLength(3);
    await sequenceAll(store, ctx);
    const { changes } = await readSnapshot(store);
    const published = changes.flatMap((change) => (change.kind === "routing-put" ? [change.routing] : []));
    expect(published, `round ${round}`).toEqual([await store.fleet.routing()]);
    expect(published[0]).toMatchObject({ limits: { burst: round + 1 }, trials: [{ stamps: ["a"] }] });
    const back = (await store.rollouts.members(id)).filter(({ state }) => state.kind === "updating");
    const returning: MemberState = { kind: "returning", since: 4 };
    await step(
      store,
      ctx,
      id,
      aborting,
      Object.fromEntries(back.flatMap(({ stamp }) => (stamp === "c" ? [] : [[stamp, returning]]))),
    );
    await step(store, ctx, id, { kind: "aborted", at: 5, cause: "a test", by: "tester" });
    const { stampDigest, parameters } = aimFixture("c", "1.0.0");
    await store.stamps.create({ stamp: stampFixture("c", { stampDigest, parameters }), secrets: {} }, ctx);
  }
}, 60_000);
