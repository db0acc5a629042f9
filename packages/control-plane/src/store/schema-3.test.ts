import { Client } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { connectionConfig } from "./database.ts";
import { latestSchemaVersion, migrateSteps } from "./migrations.ts";
import { openStore } from "./open.ts";
import { bringTo, tenantOf } from "./test-moves.ts";
import { run, startTestPostgres, type TestPostgres } from "./test-postgres.ts";
import { applyFleet, leaderOf, stampFixture, testKeys } from "./test-store.ts";

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres[Symbol.asyncDispose]());

test("a store of before moves is brought up to date with its tenants, which can move then", async () => {
  const url = await postgres.database();
  const client = new Client(connectionConfig(url, "test"));
  await client.connect();
  await migrateSteps(client, 0, 2);
  await client.end();
  await run(
    url,
    `SET search_path = stampyard_control;
     INSERT INTO tenants (key, pool, tier, residency, weight, goal, state, stamp, epoch)
     VALUES ('acme', 'shared', 'standard', '{}', '{"tenants": 1}', 'present', '{"kind": "active"}', 'a', 1)`,
  );
  await using store = await openStore({ url, keys: testKeys });
  expect((await store.meta()).schemaVersion).toBe(latestSchemaVersion);
  const ctx = await leaderOf(store);
  await run(url, "UPDATE stampyard_control.tenants SET stamp = NULL");
  await applyFleet(store, ctx, [stampFixture("a"), stampFixture("b")]);
  await run(url, "UPDATE stampyard_control.tenants SET stamp = 'a'");
  const { value: move } = await store.moves.request({ tenant: "acme" }, ctx);
  await bringTo(store, ctx, move.id, "done");
  expect(await tenantOf(store, "acme")).toMatchObject({ stamp: "b", epoch: 2 });
  expect(await store.placement.counterDifferences()).toEqual([]);
});
