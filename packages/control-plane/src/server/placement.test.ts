import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestPostgres, type TestPostgres } from "../store/test-postgres.ts";
import { applyFleet, stampFixture } from "../store/test-store.ts";
import { createSimulatedEngine } from "@stampyard/testing";
import { startTestServer } from "./test-server.ts";

let postgres: TestPostgres;
let server: Awaited<ReturnType<typeof startTestServer>>;
beforeAll(async () => {
  postgres = await startTestPostgres();
  const clock = { now: Date.now, sleep: async () => {} };
  server = await startTestServer(await postgres.database(), createSimulatedEngine({ clock }));
  const places = { capacity: { tenants: 3, units: { rps: 100 } } };
  await applyFleet(server.store, server.ctx, [stampFixture("shared-1", places), stampFixture("shared-2", places)]);
});
afterAll(async () => {
  await server.close();
  await postgres[Symbol.asyncDispose]();
});

test("placementPreview changes nothing and names the stamp that tenantCreate then gives", async () => {
  const { operator, viewer } = server.clients;
  const body = { key: "acme", weight: { rps: 60 } };
  const preview = await viewer.placementPreview({ body });
  expect(preview).toMatchObject({ outcome: "place", stamp: "shared-1", weight: { tenants: 1, rps: 60 } });
  expect(preview.verdicts.map(({ stamp, outcome }) => [stamp, outcome])).toEqual([
    ["shared-1", "chosen"],
    ["shared-2", "eligible"],
  ]);
  expect((await operator.tenantCreate({ body })).stamp).toBe("shared-1");
  expect(await viewer.placementPreview({ body: { key: "beta", weight: { rps: 60 } } })).toMatchObject({
    stamp: "shared-2",
    verdicts: [{ stamp: "shared-2" }, { stamp: "shared-1", filter: "room" }],
  });
});

test("overrideSet counts for the next tenant of that key and shows in its explanation until it is removed", async () => {
  const { operator, viewer } = server.clients;
  const params = { key: "gamma" };
  const until = new Date(Date.now() + 60_000).toISOString();
  const body = { kind: "pin", stamp: "shared-2", until, reason: "near its data" } as const;
  expect(await operator.overrideSet({ params, body })).toMatchObject({ tenant: "gamma", kind: "pin", until });
  expect((await operator.tenantCreate({ body: { key: "gamma" } })).stamp).toBe("shared-2");
  expect(await viewer.placementExplain({ params })).toMatchObject({
    home: "shared-2",
    outcome: "place",
    override: { kind: "pin", stamp: "shared-2", until },
  });
  expect((await viewer.all("overrideList", {})).map(({ tenant }) => tenant)).toEqual(["gamma"]);
  await expect(operator.overrideRemove({ params, query: { kind: "quarantine" } })).rejects.toMatchObject({
    code: "NOT_FOUND",
  });
  await operator.overrideRemove({ params, query: { reason: "moved on" } });
  expect(await viewer.all("overrideList", {})).toEqual([]);
  const past = { ...body, until: "2020-01-01T00:00:00Z" };
  await expect(operator.overrideSet({ params, body: past })).rejects.toMatchObject({ code: "INVALID_REQUEST" });
  await expect(viewer.placementExplain({ params: { key: "none" } })).rejects.toMatchObject({
    code: "TENANT_NOT_FOUND",
  });
});
