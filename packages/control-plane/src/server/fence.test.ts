import { StampyardError } from "@stampyard/domain";
import { createManualClock, createSimulatedEngine } from "@stampyard/testing";
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTenantHomes } from "../reconcilers/tenant-homes.ts";
import { startTestPostgres, type TestPostgres } from "../store/test-postgres.ts";
import { files } from "./test-files.ts";
import { startTestServer, type TestServer } from "./test-server.ts";

const signal = AbortSignal.timeout(120_000);
let postgres: TestPostgres;
let server: TestServer;
beforeAll(async () => {
  postgres = await startTestPostgres();
  const engine = createSimulatedEngine({ clock: createManualClock() });
  server = await startTestServer(await postgres.database(), engine);
  await server.clients.admin.apply({ body: { ...files, expectedFleetRevision: 0 } });
});
afterAll(async () => {
  await server?.close();
  await postgres?.[Symbol.asyncDispose]();
});

async function failureOf(promise: Promise<unknown>): Promise<StampyardError> {
  const caught = await promise.then(
    () => new Error("It was answered"),
    (error: unknown) => error,
  );
  return StampyardError.from(caught);
}

const zero = { pool: "shared", region: "anywhere", endpoints: ["http://10.0.0.7:8080"] };

test("the fence comes to an adopted stamp's live database by steps, is shown, audited, and comes off again", async () => {
  const { admin, operator, viewer } = server.clients;
  const databaseUrl = await postgres.database();
  const params = { name: "zero" };
  await admin.stampAdopt({ params, body: { ...zero, databaseUrl } });
  const app = new pg.Client(databaseUrl);
  await app.connect();
  await app.query("create table notes (tenant_id text not null, id int not null, primary key (tenant_id, id))");
  await app.query("create table odd (id int); insert into notes values ('ghost', 1)");
  const [before] = (await viewer.fenceGet({ params })).databases;
  expect(before).toEqual({
    name: "database",
    holdsTables: false,
    tables: [{ table: "public.notes", mode: "off" }],
    unknown: ["public.odd"],
    report: [],
  });
  expect((await failureOf(viewer.fenceSet({ params, body: { mode: "report" } }))).code).toBe("FORBIDDEN");

  await app.query("begin; insert into notes values ('ghost', 2)");
  const [dry] = (await operator.fenceSet({ params, body: { mode: "enforce", dryRun: true } })).databases;
  expect(dry?.homeless).toEqual([{ table: "public.notes", tenants: ["ghost"] }]);
  expect(dry?.changes).toEqual([
    { table: "public.notes", change: "install", heldBy: [expect.stringMatching(/^pid \d+, idle in transaction/)] },
  ]);
  const held = await failureOf(operator.fenceSet({ params, body: { mode: "report" } }));
  expect([held.code, held.message]).toEqual(["TIMEOUT", expect.stringMatching(/notes.*held by pid \d+/)]);
  await app.query("commit");
  const [report] = (await operator.fenceSet({ params, body: { mode: "report", reason: "trial" } })).databases;
  expect(report).toMatchObject({ holdsTables: true, tables: [{ mode: "report" }] });
  await app.query("insert into notes values ('ghost', 3), ('ghost', 4)");
  const [noted] = (await viewer.fenceGet({ params })).databases;
  expect(noted?.report).toMatchObject([{ table: "public.notes", tenant: "ghost", writes: 2 }]);

  const refused = await failureOf(operator.fenceSet({ params, body: { mode: "enforce" } }));
  expect([refused.code, refused.message]).toEqual(["WRONG_PHASE", expect.stringContaining("home here: ghost")]);
  const tenants = [{ key: "ghost", pool: "shared", stamp: "zero" }];
  expect(await operator.tenantImport({ body: { tenants } })).toMatchObject({ applied: true, create: 1 });
  await operator.fenceSet({ params, body: { mode: "enforce" } });
  await app.query("insert into notes values ('ghost', 5)");
  await expect(app.query("insert into notes values ('nobody', 1)")).rejects.toMatchObject({ code: "SY001" });
  const fenced = (await server.store.stamps.read("zero"))?.value;
  if (fenced === undefined) throw new Error("It is gone");
  expect(fenced.adoption?.capabilities.fence).toBe(true);
  // From now on a new tenant's home is written there, as in a stamp that we built.
  await using homes = createTenantHomes(server.engine);
  await homes.open(await server.specOf(fenced), "late", 1, signal);
  await app.query("insert into notes values ('late', 1)");

  const [off] = (await operator.fenceSet({ params, body: { mode: "off" } })).databases;
  expect(off).toMatchObject({ holdsTables: false, tables: [{ mode: "off" }] });
  await app.query("insert into notes values ('nobody', 1)");
  expect((await server.store.stamps.read("zero"))?.value.adoption?.capabilities.fence).toBe(false);
  const audited = (await server.store.audit.list({ limit: 100 })).items.filter(
    ({ action }) => action === "stamp.fence",
  );
  expect(audited).toHaveLength(8);
  expect(JSON.stringify(audited)).not.toContain("postgres://");
  await app.end();
}, 60_000);

test("a stamp without a database that we may change says what to do", async () => {
  const { admin, viewer } = server.clients;
  await admin.stampAdopt({ params: { name: "bare" }, body: zero });
  const refused = await failureOf(viewer.fenceGet({ params: { name: "bare" } }));
  expect([refused.code, refused.mend]).toEqual(["WRONG_PHASE", expect.stringContaining("--database-url-file")]);
  expect((await failureOf(viewer.fenceGet({ params: { name: "none" } }))).code).toBe("STAMP_NOT_FOUND");
});
