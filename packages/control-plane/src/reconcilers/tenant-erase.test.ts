import { certificateDigest, type Stamp } from "@stampyard/domain";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { run, startTestPostgres, type TestPostgres } from "../store/test-postgres.ts";
import { systemSha256 } from "../system-ports.ts";
import { reconcileTenant } from "./reconcile-tenant.ts";
import { createWorld, settle, type World } from "./test-world.ts";

let postgres: TestPostgres;
let world: World;
/** The stamps' database as its superuser. */
let admin: string;
beforeAll(async () => {
  postgres = await startTestPostgres();
  world = await createWorld(postgres);
  admin = world.stampUrl.replace("stampyard_mover@", "postgres@");
  await run(
    admin,
    `create schema "odd ""one";
     create table notes (tenant_id text, body text); create index on notes (tenant_id);
     create table "odd ""one"."Über;drop" (tenant_id varchar(63), n int);
     create table parts (tenant_id char(20), n int) partition by range (n);
     create table parts_1 partition of parts for values from (0) to (10);
     create table other (owner text); create view seen as select * from notes;
     create materialized view sums as select tenant_id, count(*) as notes from notes group by tenant_id;
     create table stampyard.own (tenant_id text);
     grant usage on schema "odd ""one" to stampyard_mover;
     grant select on notes, parts, other, sums, "odd ""one"."Über;drop" to stampyard_mover;`,
  );
});
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  await postgres?.[Symbol.asyncDispose]();
});

const tenantOf = async (key: string) => (await world.store.tenants.read(key))?.value;
const turn = () => ({ token: world.token, signal: new AbortController().signal });

async function housed(name: string): Promise<void> {
  await world.createStamp(name);
  await world.store.tenants.create({ key: name, pool: "main", residency: [name] }, world.ctx());
  await settle(world, world.freshDeps());
}

async function turnsUntil(name: string, text: string): Promise<void> {
  const deps = world.freshDeps();
  for (let n = 0; n < 4 && (await tenantOf(name))?.waitingOn?.includes(text) !== true; n++) {
    await reconcileTenant(deps, name, turn());
  }
  expect((await tenantOf(name))?.waitingOn).toContain(text);
}

const tables = ['"odd ""one"."Über;drop"', "public.notes", "public.parts", "public.sums"];

describe("deleting a tenant", () => {
  test("waits while the hook leaves rows in any table, names them, and certifies 0 rows after (I27)", async () => {
    await housed("acme");
    await run(admin, "insert into notes values ('acme', 'x'), ('acme', 'y'), ('globex', 'z')");
    await run(admin, "insert into parts values ('acme', 3); refresh materialized view sums");
    await run(admin, `insert into "odd ""one"."Über;drop" select 'acme', n from generate_series(1, 1200) n`);
    await world.store.tenants.remove("acme", {}, { ...world.ctx(), reason: "contract ended" });
    await turnsUntil("acme", "NOT_ERASED");
    const left = (await tenantOf("acme"))?.waitingOn;
    expect(left).toContain(
      '1000 rows or more in "odd ""one"."Über;drop" of db, 2 rows in public.notes of db, 1 row in',
    );
    expect(await world.homesOf("acme")).toEqual([{ state: "deleting", epoch: 1 }]);
    expect(await world.store.directory.tenantVersion("acme")).toBeUndefined();
    await expect(world.store.tenants.certificate("acme")).rejects.toMatchObject({ code: "NOT_FOUND" });

    await run(
      admin,
      `delete from "odd ""one"."Über;drop"; delete from parts; delete from notes where tenant_id = 'acme';
       refresh materialized view sums`,
    );
    const calls = () => world.application.calls.filter((call) => call === "tenant.onDelete acme acme 1").length;
    const before = calls();
    await settle(world, world.freshDeps());
    expect(calls(), "the hook is called again before each count").toBeGreaterThan(before);
    expect(await tenantOf("acme")).toBeUndefined();
    expect(await world.homesOf("acme")).toEqual([]);
    expect(await run(admin, "select * from notes")).toHaveLength(1);

    const { certificate, ordered } = await world.store.tenants.certificate("acme");
    expect(certificate).toMatchObject({ tenant: "acme", stamp: "acme", epoch: 1, basis: "erased", hook: "called" });
    expect(certificate.databases).toEqual([{ component: "db", tables: tables.map((table) => ({ table, rows: 0 })) }]);
    expect(certificate.unchecked).toBeUndefined();
    expect(certificate.digest).toBe(certificateDigest(certificate, systemSha256));
    expect(certificateDigest({ ...certificate, epoch: 2 }, systemSha256)).not.toBe(certificate.digest);
    expect(ordered).toMatchObject({ by: "test", reason: "contract ended" });
  });

  test("keeps the newest certificate of a key, numbered in the chained audit, when the key is used again (I39)", async () => {
    await world.store.tenants.create({ key: "acme", pool: "main", residency: ["acme"] }, world.ctx());
    await settle(world, world.freshDeps());
    expect((await world.store.tenants.certificate("acme")).certificate.epoch).toBe(1);
    await world.store.tenants.remove("acme", {}, world.ctx());
    await settle(world, world.freshDeps());
    for (const deadline = Date.now() + 5_000; ; ) {
      const found = await world.store.tenants.certificate("acme");
      expect(found.certificate.epoch).toBe(2);
      if (found.audit !== undefined || Date.now() > deadline) {
        expect(found.audit).toMatchObject({
          number: expect.any(Number),
          chain: expect.stringMatching(/^[0-9a-f]{64}$/),
        });
        break;
      }
    }
    expect(await world.store.audit.verify()).toMatchObject({ ok: true });
  });

  test("does not take unreadable tables for empty ones", async () => {
    await housed("shut");
    await run(admin, "create table hidden (tenant_id text); insert into hidden values ('shut')");
    await world.store.tenants.remove("shut", {}, world.ctx());
    await turnsUntil("shut", "permission denied for table hidden");
    await run(admin, "drop table hidden");
    await settle(world, world.freshDeps());
    expect(await tenantOf("shut")).toBeUndefined();
  });

  test("says so when the stamp was destroyed before, or there never was one", async () => {
    await housed("doomed");
    await world.store.stamps.remove("doomed", { force: true }, world.ctx());
    await world.store.tenants.remove("doomed", {}, world.ctx());
    await settle(world, world.freshDeps());
    expect((await world.store.tenants.certificate("doomed")).certificate).toMatchObject({
      basis: "stamp-gone",
      hook: "not-needed",
      databases: [],
      unchecked: "stamp doomed is destroyed, and its databases with it",
    });
  });

  test("only withdraws from an adopted stamp, and does not call that erased", async () => {
    const adoption = {
      endpoints: [world.application.endpoint],
      hasDatabase: false,
      capabilities: { guard: false, fence: false, drain: false, restore: false },
    };
    const zero: Stamp = {
      name: "zero",
      pool: "main",
      region: "zero",
      state: { kind: "requested" },
      goal: "present",
      origin: "adopted",
      adoption,
      releaseDigest: "sha256:none",
      stampDigest: "sha256:none",
      parameters: {},
      capacity: { tenants: 10, units: {} },
      endpoints: [],
      endpointRevision: 0,
    };
    await world.store.stamps.adopt({ stamp: zero }, world.ctx());
    await settle(world, world.freshDeps());
    await world.store.tenants.create({ key: "old", pool: "main", stamp: "zero" }, world.ctx());
    await settle(world, world.freshDeps());
    expect(await tenantOf("old")).toMatchObject({ state: { kind: "active" }, stamp: "zero" });
    await world.store.tenants.remove("old", {}, world.ctx());
    await settle(world, world.freshDeps());
    expect((await world.store.tenants.certificate("old")).certificate).toMatchObject({
      basis: "withdrawn",
      hook: "none",
      databases: [],
      unchecked: expect.stringContaining("was adopted"),
    });
  });
});
