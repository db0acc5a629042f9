import { createManualClock, createSimulatedEngine } from "@stampyard/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { startTestPostgres, type TestPostgres } from "../store/test-postgres.ts";
import { activateStamp, startTestServer, type TestServer } from "./test-server.ts";
import { files, fleetYaml } from "./test-files.ts";

let postgres: TestPostgres;
let server: TestServer;

const proposing = fleetYaml
  .replace("stamps: { min: 2, max: 3 }", "stamps: { min: 1, max: 3 }\n    automation: { scaleUp: propose }")
  .replace("stamps: { min: 0, max: 1 }", "stamps: { min: 0, max: 1 }\n    automation: { scaleUp: propose }");

beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres?.[Symbol.asyncDispose]());
beforeEach(async () => {
  const engine = createSimulatedEngine({ clock: createManualClock(Date.now()) });
  server = await startTestServer(await postgres.database(), engine);
  await server.clients.admin.apply({ body: { ...files, fleetYaml: proposing } });
  return () => server.close();
});

const show = (name = "shared") => server.clients.viewer.poolGet({ params: { name } });
const apply = (proposal: string, reason?: string) =>
  server.clients.operator.poolApplyProposal({
    params: { name: "shared" },
    body: { proposal, ...(reason === undefined ? {} : { reason }) },
  });
const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => "done",
    (error: { code?: string }) => error.code,
  );

describe("a pool", () => {
  test("shows its settings, what it waits for and what it proposes; the status says it too", async () => {
    await activateStamp(server, "shared-1");
    for (const key of ["acme", "globex", "initech"]) {
      await server.clients.operator.tenantCreate({ body: { key, pool: "shared" } });
    }
    const pool = await show();
    const why = "pool shared is at 100% of its tenants, and builds from 80%";
    expect(pool).toMatchObject({
      name: "shared",
      stamps: { min: 1, max: 3 },
      automation: { scaleUp: "propose" },
      waiting: 0,
      waitingOn: `somebody's word to build the next stamp: ${why}`,
      alerts: [],
      proposals: [{ id: "grow-us-next", kind: "grow", region: "us", why }],
      forecast: { unit: "tenants", share: 1 },
    });
    const { waitingOn } = await server.clients.viewer.status();
    expect(waitingOn).toContainEqual({ kind: "pool", name: "shared", why: pool.waitingOn });
    expect(await codeOf(show("shard"))).toBe("POOL_NOT_FOUND");
  });

  test("does what it proposes, once, and writes down who said so", async () => {
    await activateStamp(server, "shared-1");
    for (const key of ["acme", "globex", "initech"]) {
      await server.clients.operator.tenantCreate({ body: { key, pool: "shared" } });
    }
    expect(await apply("grow-us-next", "autumn sale")).toEqual({
      pool: "shared",
      proposal: "grow-us-next",
      stamp: "shared-2",
    });
    expect(await codeOf(apply("grow-us-next"))).toBe("WRONG_PHASE");
    const rows = (await server.clients.admin.auditList({ query: { subject: "stamp/shared-2" } })).items;
    expect(rows).toMatchObject([
      { action: "stamp.create", reason: expect.stringMatching(/builds from 80% \(autumn sale\)$/) },
    ]);
    expect((await show()).present).toBe(2);
  });

  test("drains a stamp that it needs no more when somebody says so", async () => {
    await server.clients.operator.stampCreate({ body: { pool: "shared" } });
    for (const name of ["shared-1", "shared-2"]) await activateStamp(server, name);
    await server.clients.operator.tenantCreate({ body: { key: "acme", pool: "shared" } });
    const [proposal] = (await show()).proposals;
    expect(proposal).toMatchObject({ kind: "scale-down", step: "drain" });
    const { stamp } = await apply(proposal?.id ?? "");
    expect((await server.store.stamps.read(stamp))?.value).toMatchObject({
      goal: "drained",
      goalDetail: { reason: expect.stringMatching(/^Scaling down: it is empty/) },
    });
  });
});

test("two that ask for the last stamp of a pool at once get one", async () => {
  const asked = Array.from({ length: 6 }, () =>
    codeOf(server.clients.operator.stampCreate({ body: { pool: "shared" } })),
  );
  const codes = await Promise.all(asked);
  expect(codes.filter((code) => code === "done")).toHaveLength(2);
  expect(codes.filter((code) => code === "POOL_FULL")).toHaveLength(4);
  expect((await show()).present).toBe(3);
});
