import { createManualClock, createSimulatedEngine } from "@stampyard/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { files } from "../server/test-files.ts";
import { activateStamp, startTestServer, type TestServer } from "../server/test-server.ts";
import { startTestPostgres, type TestPostgres } from "../store/test-postgres.ts";

let postgres: TestPostgres;
let server: TestServer;
beforeAll(async () => {
  postgres = await startTestPostgres();
  const engine = createSimulatedEngine({ clock: createManualClock(Date.now()) });
  server = await startTestServer(await postgres.database(), engine);
  await server.clients.admin.apply({ body: { ...files, expectedFleetRevision: 0 } });
  await activateStamp(server, "shared-1");
});
afterAll(async () => {
  await server?.close();
  await postgres?.[Symbol.asyncDispose]();
});

test("people build and destroy no stamp in a freeze, unless they give a reason; routing goes on (FROZEN)", async () => {
  const { admin } = server.clients;
  const freeze = await server.store.freezes.start(
    { scope: { pools: ["shared"] }, stops: ["scaling", "destroys"] },
    { ...server.ctx, reason: "the books are closed" },
  );
  const refused = { code: "FROZEN", message: expect.stringContaining("the books are closed") };
  await expect(admin.stampCreate({ body: { pool: "shared" } })).rejects.toMatchObject(refused);
  const params = { name: "shared-1" };
  await expect(admin.stampDelete({ params, query: { force: true } })).rejects.toMatchObject(refused);
  const noReason = { body: { pool: "shared", overrideFreeze: true } };
  await expect(admin.stampCreate(noReason)).rejects.toMatchObject({ code: "INVALID_REQUEST" });
  const made = await admin.stampCreate({ body: { pool: "shared", overrideFreeze: true, reason: "it burns" } });
  expect(made.phase).toBe("requested");
  await admin.stampCordon({ params, body: {} });
  await admin.stampUncordon({ params, body: {} });
  await admin.tenantCreate({ body: { key: "acme" } });
  const query = { force: true, overrideFreeze: true, reason: "it burns" };
  expect((await admin.stampDelete({ params, query })).goal).toBe("absent");
  await server.store.freezes.end(freeze.id, server.ctx);
  await admin.stampDelete({ params: { name: made.name }, query: {} });
  const rows = await server.store.audit.list({ subject: "stamp/shared-1" });
  expect(rows.items.at(-1)).toMatchObject({ reason: "it burns", detail: { overridesFreeze: true } });
});

test("an apply in a freeze of scaling records a new pool and builds none of its stamps, and says for what they wait", async () => {
  const { admin } = server.clients;
  const freeze = await server.store.freezes.start(
    { scope: { pools: ["more"] }, stops: ["scaling"] },
    { ...server.ctx, reason: "the books are closed" },
  );
  const wanted = files.fleetYaml.replace("pools:\n", "pools:\n  more: { regions: [eu], stamps: { min: 2, max: 3 } }\n");
  expect(wanted).not.toBe(files.fleetYaml);
  const body = { ...files, fleetYaml: wanted };
  const namesOf = (view: { changes: readonly object[] }) =>
    view.changes.map((change) => ("stamp" in change ? change.stamp : ""));
  const planned = await admin.plan({ body });
  expect(namesOf(planned)).not.toContain("more-1");
  expect(planned.notes).toEqual([
    expect.stringMatching(
      /^pool more is built after the end of a freeze \(.*the books are closed.*\): more-1, more-2$/,
    ),
  ]);
  const { notes } = (await admin.apply({ body })).plan;
  expect(notes).toEqual(planned.notes);
  expect((await server.store.fleet.read())?.value.fleet.pools.map(({ name }) => name)).toContain("more");
  const stamps = async () => (await server.store.stamps.all()).filter(({ value }) => value.pool === "more");
  expect(await stamps()).toEqual([]);
  await server.store.freezes.end(freeze.id, server.ctx);
  expect(namesOf(await admin.plan({ body }))).toEqual(expect.arrayContaining(["more-1", "more-2"]));
});
