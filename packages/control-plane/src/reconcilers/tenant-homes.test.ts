import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { StampSpec } from "@stampyard/domain";
import { run, startTestPostgres, type TestPostgres } from "../store/test-postgres.ts";
import { createWorld, settle, type World } from "./test-world.ts";

let postgres: TestPostgres;
let world: World;
let spec: StampSpec;
const never = new AbortController().signal;
beforeAll(async () => {
  postgres = await startTestPostgres();
  world = await createWorld(postgres);
  await world.createStamp("eu-1");
  const deps = world.freshDeps();
  await settle(world, deps);
  const stamp = await world.store.stamps.read("eu-1");
  if (stamp !== undefined) spec = await deps.specOf(stamp.value);
});
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  await postgres?.[Symbol.asyncDispose]();
});

/** Rows as a mover would write them; the control plane's own role may do that. */
const put = (tenant: string, state: string, epoch: number) =>
  run(
    world.stampUrl,
    `insert into stampyard.tenant_home (tenant, state, epoch, move_id, moved_to, deadline)
     values ($1, $2, $3, 'm1', 'us-1', clock_timestamp())`,
    [tenant, state, epoch],
  );

describe("tenant homes", () => {
  test("open() makes the row, may be repeated, and raises an epoch (I27)", async () => {
    await world.homes.open(spec, "acme", 1, never);
    await world.homes.open(spec, "acme", 1, never);
    expect(await world.homesOf("acme")).toEqual([{ state: "active", epoch: 1 }]);
    await world.homes.open(spec, "acme", 4, never);
    expect(await world.homesOf("acme")).toEqual([{ state: "active", epoch: 4 }]);
  });

  test("open() never lowers an epoch (I2)", async () => {
    await world.homes.open(spec, "high", 7, never);
    const refused = world.homes.open(spec, "high", 6, never);
    await expect(refused).rejects.toMatchObject({ code: "WRONG_PHASE", message: expect.stringContaining("epoch 7") });
    expect(await world.homesOf("high")).toEqual([{ state: "active", epoch: 7 }]);
  });

  test("nothing of a move is touched: that row decides the move (D12)", async () => {
    for (const state of ["fenced", "moved", "importing"]) {
      await put(state, state, 2);
      const epoch = state === "moved" ? 2 : 9;
      await expect(world.homes.open(spec, state, epoch, never)).rejects.toMatchObject({ code: "WRONG_PHASE" });
      await world.homes.close(spec, state, 9, never);
      await world.homes.forget(spec, state, 9, never);
      expect(await world.homesOf(state)).toEqual([{ state, epoch: 2 }]);
    }
  });

  test("open() takes a key that comes back where a move took its earlier tenant away", async () => {
    await put("again", "moved", 2);
    await world.homes.open(spec, "again", 3, never);
    expect(await world.homesOf("again")).toEqual([{ state: "active", epoch: 3 }]);
    const rows = await world.homes.list(spec, never);
    expect(rows).toContainEqual({ tenant: "again", state: "active", epoch: 3 });
  });

  test("close() keeps the row for those on their way, forget() removes it, and both spare a later epoch", async () => {
    await world.homes.open(spec, "gone", 2, never);
    await world.homes.close(spec, "gone", 1, never);
    expect(await world.homesOf("gone")).toEqual([{ state: "active", epoch: 2 }]);
    await world.homes.forget(spec, "gone", 2, never);
    expect(await world.homesOf("gone"), "it is not closed").toHaveLength(1);
    await world.homes.close(spec, "gone", 2, never);
    expect(await world.homesOf("gone")).toEqual([{ state: "deleting", epoch: 2 }]);
    await world.homes.forget(spec, "gone", 2, never);
    await world.homes.forget(spec, "gone", 2, never);
    expect(await world.homesOf("gone")).toEqual([]);
  });

  test("list() names every tenant with its epoch", async () => {
    const rows = await world.homes.list(spec, never);
    expect(rows).toContainEqual({ tenant: "acme", state: "active", epoch: 4 });
    // Its move and the stamp that it names, as recovery asks for them.
    expect(rows).toContainEqual({ tenant: "fenced", state: "fenced", epoch: 2, moveId: "m1", movedTo: "us-1" });
  });

  test("a hostile key stays a value", async () => {
    const hostile = "x'); drop table stampyard.tenant_home; --";
    await world.homes.open(spec, hostile, 1, never);
    expect(await world.homesOf(hostile)).toHaveLength(1);
  });
});
