import { createManualClock, createSimulatedEngine } from "@stampyard/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { startTestPostgres, type TestPostgres } from "../store/test-postgres.ts";
import { files } from "./test-files.ts";
import { activateStamp, activateTenant, startTestServer, type TestServer } from "./test-server.ts";

let postgres: TestPostgres;
let server: TestServer;

const fenced = {
  ...files,
  templateYaml: files.templateYaml.replace("version: 18 }", "version: 18, fence: enforce }"),
};

beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres?.[Symbol.asyncDispose]());
beforeEach(async () => {
  const engine = createSimulatedEngine({ clock: createManualClock(Date.now()) });
  server = await startTestServer(await postgres.database(), engine);
  return () => server.close();
});

async function fleetOf(tenants: readonly string[], template = fenced): Promise<void> {
  await server.clients.admin.apply({ body: template });
  await activateStamp(server, "shared-1");
  for (const key of tenants) {
    await server.clients.operator.tenantCreate({ body: { key, pool: "shared" } });
    await activateTenant(server, key);
  }
  await activateStamp(server, "shared-2");
}

const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => "done",
    (error: { code?: string }) => error.code,
  );

describe("campaigns", () => {
  test("a drain is planned, begun with its settings, changed, paused, resumed and cancelled, each by who may", async () => {
    await fleetOf(["acme"]);
    const { viewer, operator } = server.clients;
    const plan = await viewer.campaignPlanDrain({ params: { name: "shared-1" }, query: {} });
    expect(plan).toMatchObject({
      kind: "drain",
      subject: "shared-1",
      items: [{ tenant: "acme", to: "shared-2", phase: "planned" }],
    });
    expect(plan.barred, "nothing stands in its way").toBeUndefined();
    expect(plan.estimate, "no move was measured").toBeUndefined();
    expect((await viewer.stampGet({ params: { name: "shared-1" } })).goal, "and nothing was changed").toBe("present");
    expect(await codeOf(viewer.campaignPlanDrain({ params: { name: "nowhere" }, query: {} }))).toBe("STAMP_NOT_FOUND");

    const deadline = "2099-01-01T00:00:00.000Z";
    const drain = (moves: object) => operator.stampDrain({ params: { name: "shared-1" }, body: { deadline, moves } });
    expect(await codeOf(drain({ maxPauseMs: 30_000, pauseBudgetMs: 1_000 }))).toBe("INVALID_REQUEST");
    expect((await viewer.stampGet({ params: { name: "shared-1" } })).goal, "refused as a whole").toBe("present");
    await drain({ concurrency: 3, maxPauseMs: 500, wayBackMs: 0 });
    const [begun] = (await viewer.campaignList({ query: { subject: "shared-1" } })).items;
    const id = begun?.id ?? "";
    expect(begun).toMatchObject({ kind: "drain", phase: "running", deadline, late: false });
    expect(begun?.settings).toMatchObject({
      concurrency: 3,
      maxPauseMs: 500,
      wayBackMs: 0,
      budget: { pauseMs: 8_000 },
    });
    await drain({ concurrency: 1 });
    const { items } = await viewer.campaignList({ query: { open: true } });
    expect(items, "the same wish again changes the one that goes on").toMatchObject([
      { id, settings: { concurrency: 1 } },
    ]);

    expect(await codeOf(viewer.campaignPause({ params: { id }, body: {} }))).toBe("FORBIDDEN");
    expect((await operator.campaignPause({ params: { id }, body: {} })).phase).toBe("paused");
    expect((await operator.campaignResume({ params: { id }, body: {} })).phase).toBe("running");
    expect(await codeOf(operator.campaignCancel({ params: { id }, body: {}, ifMatch: 1 }))).toBe("STALE_REVISION");
    const cancelled = await operator.campaignCancel({ params: { id }, body: { reason: "not today" } });
    expect(cancelled).toMatchObject({ phase: "cancelling", why: "a person cancelled the campaign: not today" });
    expect(await viewer.campaignGet({ params: { id } })).toMatchObject({ waysBack: { count: 0 } });
    await operator.stampUncordon({ params: { name: "shared-1" }, body: {} });
    expect(await codeOf(drain({ concurrency: 2 })), "its moves have not ended").toBe("WRONG_PHASE");
    const { goal } = await viewer.stampGet({ params: { name: "shared-1" } });
    expect(goal, "the goal and its campaign are one write").toBe("present");
    expect(await codeOf(viewer.campaignItems({ params: { id: "cp-nothere" }, query: {} }))).toBe("NOT_FOUND");
  });

  test("a rebalancing is planned with its gain, begun once, and refused when nothing would be better", async () => {
    await fleetOf(["acme", "globex"]);
    const { viewer, operator } = server.clients;
    const plan = await viewer.campaignPlanRebalance({ params: { name: "shared" }, query: {} });
    // One stamp for each region: evenness is no reason to serve anybody from farther away.
    expect(plan).toMatchObject({ kind: "rebalance", items: [] });
    expect(await codeOf(operator.campaignRebalance({ params: { name: "shared" }, body: {} }))).toBe("WRONG_PHASE");
    expect(await codeOf(operator.campaignRebalance({ params: { name: "nothing" }, body: {} }))).toBe("POOL_NOT_FOUND");
  });

  test("without a fence nobody is moved, and it is said", async () => {
    await fleetOf(["acme"], files);
    const plan = await server.clients.viewer.campaignPlanDrain({ params: { name: "shared-1" }, query: {} });
    expect(plan.barred).toMatch(/the fence of component db is off|no database of ours/);
    const wrong = { params: { name: "shared-1" }, body: { moves: { maxPauseMs: 30_000, pauseBudgetMs: 1_000 } } };
    expect(await codeOf(server.clients.operator.stampDrain(wrong)), "settings are read all the same").toBe(
      "INVALID_REQUEST",
    );
    await server.clients.operator.stampDrain({ params: { name: "shared-1" }, body: {} });
    expect((await server.clients.viewer.campaignList({ query: {} })).items).toEqual([]);
    expect(await codeOf(server.clients.operator.campaignRebalance({ params: { name: "shared" }, body: {} }))).toBe(
      "WRONG_PHASE",
    );
  });
});
