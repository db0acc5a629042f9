import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestPostgres, type TestPostgres } from "../store/test-postgres.ts";
import { acceptedKids } from "./drift.ts";
import { createWorld, settle, type World } from "./test-world.ts";

let postgres: TestPostgres;
let world: World;
beforeAll(async () => {
  postgres = await startTestPostgres();
  world = await createWorld(postgres);
});
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  await postgres?.[Symbol.asyncDispose]();
});

const stampOf = async (name: string) => (await world.store.stamps.read(name))?.value;

test("a draining stamp serves, is kept in line, and is empty and destroyed after its last tenant (I31)", async () => {
  const deps = world.freshDeps();
  await world.createStamp("old");
  await world.store.tenants.create({ key: "acme", pool: "main", residency: ["old"] }, world.ctx());
  await settle(world, deps);

  await world.store.stamps.setGoal("old", "drained", { deadline: world.clock.now() + 60_000 }, world.ctx());
  await settle(world, deps);
  expect(await stampOf("old")).toMatchObject({
    state: { kind: "draining" },
    waitingOn: /^its 1 tenant to leave: acme;/,
  });
  expect(await world.store.directory.tenantVersion("acme"), "it is routed as before").toBeDefined();

  // It may drain for days: its keys are rotated meanwhile as those of every other stamp.
  const followed = { accepted: acceptedKids(deps.drift, "old"), dropAfterMs: 0 };
  await world.store.stamps.rotateRouteKeys("old", world.ctx(), followed);
  await settle(world, deps);
  const kids = (await world.store.stamps.routeKeys("old")).map(({ kid }) => kid);
  expect(kids).toHaveLength(2);
  expect([...acceptedKids(deps.drift, "old")].sort()).toEqual(kids.sort());
  world.engine.killHost("old");
  await settle(world, deps);
  expect(world.engine.stamps.get("old")?.host, "mended").toBe("up");

  world.clock.leap(120_000);
  await settle(world, deps);
  expect((await stampOf("old"))?.waitingOn).toMatch(/^past its deadline, its 1 tenant to leave/);
  const early = world.store.stamps.remove("old", { force: false }, world.ctx());
  await expect(early).rejects.toMatchObject({ code: "STAMP_NOT_EMPTY" });

  await world.store.tenants.remove("acme", {}, world.ctx());
  await settle(world, deps);
  expect(await stampOf("old")).toMatchObject({ state: { kind: "empty" } });
  expect((await stampOf("old"))?.waitingOn).toBeUndefined();
  await world.store.stamps.remove("old", { force: false }, world.ctx());
  await settle(world, deps);
  expect(await stampOf("old")).toBeUndefined();
  expect(world.engine.stamps.has("old")).toBe(false);
});
