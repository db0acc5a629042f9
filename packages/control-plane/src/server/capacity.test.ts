import { createManualClock, createSimulatedEngine } from "@stampyard/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestPostgres, type TestPostgres } from "../store/test-postgres.ts";
import { files, fleetYaml, templateYaml } from "./test-files.ts";
import { activateStamp, startTestServer, type TestServer } from "./test-server.ts";

const prices = "prices: { currency: EUR, components: { service: 20, postgres: 30 }, regions: { us: 0.5 } }\n";
const priced = {
  ...files,
  fleetYaml: `${fleetYaml}${prices}`,
  templateYaml: templateYaml.replace("tenants: 3 }", "tenants: 3, units: { rps: 100 } }"),
};

let postgres: TestPostgres;
let server: TestServer;

beforeAll(async () => {
  postgres = await startTestPostgres();
  const engine = createSimulatedEngine({ clock: createManualClock() });
  server = await startTestServer(await postgres.database(), engine);
});
afterAll(async () => {
  await server?.close();
  await postgres?.[Symbol.asyncDispose]();
});

test("plan says what it costs per month, stamp by stamp, when the file has prices", async () => {
  const plan = await server.clients.viewer.plan({ body: priced });
  expect(plan.cost).toEqual({
    currency: "EUR",
    before: 0,
    after: 75,
    changes: [
      { stamp: "shared-1", region: "eu", monthly: 50 },
      { stamp: "shared-2", region: "us", monthly: 25 },
    ],
    unpriced: ["cache"],
  });
  expect((await server.clients.viewer.plan({ body: files })).cost).toBe(undefined);

  await server.clients.operator.apply({ body: priced });
  const same = await server.clients.viewer.plan({ body: priced });
  expect(same.cost).toMatchObject({ before: 75, after: 75, changes: [] });
  const larger = priced.templateYaml.replace("kind: service", "kind: service\n    replicas: 3");
  const grown = await server.clients.viewer.plan({ body: { ...priced, templateYaml: larger } });
  expect(grown.cost).toMatchObject({ before: 75, after: 135 });
  expect(grown.cost?.changes).toContainEqual({ stamp: "shared-2", region: "us", monthly: 20 });
});

test("capacity says what every pool and stamp holds by unit, the tightest first, and what the next stamp would be", async () => {
  await activateStamp(server, "shared-1");
  const { operator, viewer } = server.clients;
  await operator.tenantCreate({ body: { key: "acme", pool: "shared", weight: { tenants: 1, rps: 90 } } });
  await operator.tenantCreate({ body: { key: "initech", pool: "shared" } });
  const { pools } = await viewer.capacityGet();
  expect(pools.map((pool) => pool.pool)).toEqual(["alone", "shared"]);
  const shared = pools.find((pool) => pool.pool === "shared");
  expect(shared).toMatchObject({
    tenancy: "shared",
    newStamp: { tenants: 3, rps: 100 },
    stampCost: { currency: "EUR", regions: { eu: 50, us: 25 } },
    tightest: { unit: "rps", share: 0.9 },
    over: false,
  });
  expect(shared?.units).toEqual([
    { unit: "tenants", limit: 3, reserved: 2, used: 2, free: 1, share: 2 / 3 },
    { unit: "rps", limit: 100, reserved: 90, used: 90, free: 10, share: 0.9 },
  ]);
  expect(shared?.stamps.map(({ stamp, takesTenants, basis }) => [stamp, takesTenants, basis])).toEqual([
    ["shared-1", true, "reserved"],
    ["shared-2", false, "reserved"],
  ]);
  expect(pools.find((pool) => pool.pool === "alone")?.newStamp["tenants"]).toBe(1);
  expect((await viewer.capacityGet({ query: { pool: "shared" } })).pools).toHaveLength(1);
  await expect(viewer.capacityGet({ query: { pool: "none" } })).rejects.toMatchObject({ code: "POOL_NOT_FOUND" });
});

test("capacity takes what was measured where that is more, and says that it was measured (D19)", async () => {
  const { store, ctx, clients } = server;
  const unitsOf = async () => {
    const { pools } = await clients.viewer.capacityGet({ query: { pool: "shared" } });
    const row = pools[0]?.stamps.find(({ stamp }) => stamp === "shared-1");
    return { ...row, rps: row?.units.find(({ unit }) => unit === "rps") };
  };
  await store.loads.record([{ stamp: "shared-1", amounts: { rps: 40 } }], ctx);
  expect(await unitsOf()).toMatchObject({
    basis: "observed",
    over: false,
    rps: { observed: 40, reserved: 90, used: 90 },
  });
  await store.loads.record([{ stamp: "shared-1", amounts: { rps: 120 } }], ctx);
  expect(await unitsOf()).toMatchObject({
    basis: "observed",
    over: true,
    rps: { observed: 120, reserved: 90, used: 120, free: 0 },
  });
});

test("capacity forecast is honest about too little history, and tenant sizes sum to all tenants", async () => {
  const { viewer } = server.clients;
  const { pools } = await viewer.capacityForecast({ query: { pool: "shared" } });
  expect(pools[0]?.units.map(({ unit, kind }) => [unit, kind])).toEqual([
    ["tenants", "unknown"],
    ["rps", "full"],
  ]);
  expect(pools[0]?.units[0]?.why).toContain("and 7 days are needed");
  expect(pools[0]?.buildTimeFrom).toBe("measured");

  const sizes = (await viewer.capacitySizes()).pools.find((pool) => pool.pool === "shared");
  expect(sizes?.tenants).toBe(2);
  const rps = sizes?.units.find((unit) => unit.unit === "rps");
  expect(rps).toMatchObject({ share: 0.5, biggestShare: 1 });
  expect(rps?.buckets.map((bucket) => bucket.value)).toEqual([0, 90]);
  for (const unit of sizes?.units ?? []) {
    expect(unit.buckets.reduce((sum, bucket) => sum + bucket.share, 0)).toBeCloseTo(1, 9);
  }
});
