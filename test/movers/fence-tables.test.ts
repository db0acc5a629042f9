import {
  armMove,
  bringFence,
  closeFence,
  installFence,
  readFence,
  readTables,
  type SqlClient,
  tablesToFence,
} from "@stampyard/movers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Cluster, startCluster, type TestDatabase } from "./cluster.ts";
import { begin, clock, fencedDatabase, isolationLevels, notes, outcome } from "./fence-bed.ts";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(() => cluster[Symbol.asyncDispose]());

const acme = { tenant: "acme", moveId: "m1" };
const policy = {
  tenantColumn: "tenant_id",
  ids: {},
  via: { lines: ["orders"] },
  reference: ["vat"],
  ignored: ["jobs"],
};

async function shop(): Promise<TestDatabase> {
  const db = await cluster.database();
  await db.run(
    "stampyard_owner",
    `create table vat (country text primary key);
     create table jobs (id int primary key);
     create table odd (id int primary key);
     create table orders (tenant_id text not null, id uuid primary key default gen_random_uuid(), n int);
     create table lines (id uuid primary key default gen_random_uuid(), "order" uuid not null references orders on delete cascade, n int);
     create table drafts (tenant_id text, body text);`,
  );
  await db.run(
    "stampyard_mover",
    "insert into stampyard.tenant_home (tenant, state, epoch) values ('acme', 'active', 1), ('bolt', 'active', 1)",
  );
  return db;
}

async function fenced(db: TestDatabase): Promise<void> {
  await using admin = await db.connect("postgres");
  const { tables } = tablesToFence(await readTables(admin), policy);
  await bringFence(admin, tables, "enforce", { clock });
}

test("tablesToFence() takes tables of tenants, also those that a move would refuse, and names what is unknown", async () => {
  const db = await shop();
  await using admin = await db.connect("postgres");
  const { tables, unknown } = tablesToFence(await readTables(admin), policy);
  expect(tables.map(({ table, key, via }) => [table, key.join(), via?.length ?? 0])).toEqual([
    ["drafts", "tenant_id", 0],
    ["lines", "id", 1],
    ["orders", "id", 0],
  ]);
  expect(unknown).toEqual([{ schema: "public", table: "odd" }]);
});

test("bringFence() changes what differs and nothing else, mends what was taken away, and takes it off what left", async () => {
  const db = await shop();
  await using admin = await db.connect("postgres");
  const statements: string[] = [];
  const spied: SqlClient = {
    query(text, values) {
      statements.push(text);
      return admin.query(text, values);
    },
  };
  const { tables } = tablesToFence(await readTables(admin), policy);
  const names = (list: readonly { table: string }[]) => list.map(({ table }) => table).sort();
  const first = await bringFence(spied, tables, "enforce", { clock });
  expect(names(first.installed)).toEqual(["drafts", "lines", "orders"]);
  statements.length = 0;
  expect(await bringFence(spied, tables, "enforce", { clock })).toEqual({ installed: [], removed: [] });
  expect(statements).toHaveLength(1);
  await db.run(
    "postgres",
    "alter table orders disable trigger stampyard_update; drop trigger stampyard_truncate on lines",
  );
  expect(names((await bringFence(spied, tables, "enforce", { clock })).installed)).toEqual(["lines", "orders"]);
  const kept = tables.filter(({ table }) => table !== "drafts");
  expect(names((await bringFence(spied, kept, "enforce", { clock })).removed)).toEqual(["drafts"]);
  expect(names((await bringFence(spied, kept, "report", { clock })).installed)).toEqual(["lines", "orders"]);
  expect((await readFence(admin)).tables.map(({ mode }) => mode)).toEqual(["report", "report"]);
  await bringFence(spied, kept, "off", { clock });
  expect(await readFence(admin)).toMatchObject({ tables: [], guardsDdl: false });
  expect((await readFence(admin)).version).toBeUndefined();
});

test("installFence() prepares a database that is not ours, where one role is everything", async () => {
  const db = await cluster.database();
  await db.run(
    "postgres",
    "drop schema stampyard cascade; create table notes (tenant_id text, id int, primary key (tenant_id, id))",
  );
  await using admin = await db.connect("postgres");
  await installFence(admin, [notes], "enforce", { clock });
  expect(await outcome(db.run("postgres", "insert into notes values ('acme', 1)"))).toBe("SY001");
  await db.run("postgres", "insert into stampyard.tenant_home (tenant, state, epoch) values ('acme', 'active', 1)");
  await db.run("postgres", "insert into notes values ('acme', 1)");
});

describe.each(isolationLevels)("rows that lead to their tenant, at %s", (level) => {
  test("are fenced and captured like their parents, also when they go with them (I17, I18)", async () => {
    const db = await shop();
    await fenced(db);
    const [order] = await db.run(
      "stampyard_app",
      "insert into orders (tenant_id) values ('acme'), ('bolt') returning id",
    );
    const [other] = await db.run("stampyard_app", "select id from orders where tenant_id = 'bolt'");
    const line = `insert into lines ("order") values ($1) returning id`;
    const [first] = await db.run("stampyard_app", line, [order?.["id"]]);
    await db.run("stampyard_app", line, [other?.["id"]]);
    await using mover = await db.connect("stampyard_mover");
    await using app = await db.connect("stampyard_app");
    await armMove(mover, acme, 1);
    const captured = async () =>
      (
        await db.run("stampyard_mover", "delete from stampyard.move_change returning relation::regclass::text as t")
      ).map((row) => row["t"]);
    const run = async (sql: string, values: unknown[] = []) => {
      await app.query(`begin isolation level ${level}`);
      await app.query(sql, values);
      await app.query("commit");
    };
    await run("update lines set n = 1 where id = $1", [first?.["id"]]);
    expect(await captured()).toEqual(["lines"]);
    await run("update lines set n = 1 where id <> $1", [first?.["id"]]);
    expect(await captured()).toEqual([]);
    const change = `update lines set "order" = $1 where id = $2`;
    expect(await outcome(run(change, [other?.["id"], first?.["id"]]))).toBe("SY002");
    await app.query("rollback");
    await run("delete from orders where tenant_id = 'acme'");
    expect((await captured()).sort()).toEqual(["lines", "orders"]);
    await run("insert into orders (tenant_id) values ('acme')");
    const [again] = await db.run("stampyard_app", "select id from orders where tenant_id = 'acme'");
    await closeFence(mover, acme, { clock, maxPauseMs: 60_000 });
    expect(await outcome(run(line, [again?.["id"]]))).toBe("SY001");
    await app.query("rollback");
    await run(line, [other?.["id"]]);
  });
});

test("a table cannot change while a tenant moves, and can again afterwards; temporary tables always can (I20)", async () => {
  const db = await fencedDatabase(cluster);
  const changes = [
    "alter table notes add column extra int",
    "alter table notes rename to notes_2",
    "create index late on notes (body)",
    "create unique index concurrently late on notes (body)",
    "drop table notes",
    "create trigger mine before insert on notes for each row execute function suppress_redundant_updates_trigger()",
    "create table fresh (id int)",
    "create table copied as select * from notes",
    "drop owned by stampyard_owner",
  ];
  await using mover = await db.connect("stampyard_mover");
  await armMove(mover, acme, 1);
  for (const sql of changes) expect(await outcome(db.run("stampyard_owner", sql)), sql).toBe("SY003");
  for (const sql of changes.slice(0, 3)) expect(await outcome(db.run("postgres", sql)), sql).toBe("SY003");
  await expect(db.run("stampyard_owner", changes[0] ?? "")).rejects.toThrow("ALTER TABLE has to wait: a tenant moves");
  const pretended = "set stampyard.installs = 'on'; alter table notes add column extra int";
  expect(await outcome(db.run("stampyard_owner", pretended))).toBe("SY003");
  const scratch =
    "create temporary table t (id int); create index on t (id); alter table t add column n int; drop table t";
  expect(await outcome(db.run("stampyard_app", scratch))).toBe("ok");
  expect(await outcome(db.run("stampyard_owner", "create temporary table t (id int)"))).toBe("ok");
  expect(await outcome(db.run("stampyard_owner", "create table if not exists notes (id int)"))).toBe("ok");
  await closeFence(mover, acme, { clock, maxPauseMs: 60_000 });
  expect(await outcome(db.run("stampyard_owner", changes[0] ?? ""))).toBe("SY003");
  // Our own installation goes on.
  await using admin = await db.connect("postgres");
  await admin.query("set stampyard.installs = 'on'; drop trigger stampyard_update on notes");
  expect((await bringFence(admin, [notes], "enforce", { clock })).installed).toHaveLength(1);
  for (const mode of ["report", "off"] as const) {
    await expect(bringFence(admin, [notes], mode, { clock })).rejects.toThrow("tenant acme moves");
  }
  await db.run(
    "stampyard_mover",
    "update stampyard.tenant_home set state = 'active', deadline = null, watching = true",
  );
  expect(await outcome(db.run("stampyard_owner", changes[0] ?? "")), "watched").toBe("ok");
  for (const sql of ["drop event trigger stampyard_ddl_start", "alter event trigger stampyard_ddl_start disable"]) {
    expect(await outcome(db.run("stampyard_owner", sql)), sql).toBe("42501");
  }
});

test("the mover may bring rows without triggers and see who holds what; clusters of before get that with the fence", async () => {
  const db = await cluster.database();
  await db.run("postgres", "revoke set on parameter session_replication_role from stampyard_mover");
  await db.run("postgres", "revoke pg_read_all_stats from stampyard_mover");
  await db.run(
    "stampyard_owner",
    "create table notes (tenant_id text not null, id bigint not null, primary key (tenant_id, id))",
  );
  expect(await outcome(db.run("stampyard_mover", "set session_replication_role = replica"))).toBe("42501");
  await using admin = await db.connect("postgres");
  await installFence(admin, [notes], "enforce", { clock });
  expect(await outcome(db.run("stampyard_mover", "set session_replication_role = replica"))).toBe("ok");
  await using writer = await db.connect("stampyard_app");
  await begin(writer, "read committed");
  const [seen] = await db.run("stampyard_mover", "select state from pg_stat_activity where pid = $1", [writer.pid]);
  expect(seen).toEqual({ state: "idle in transaction" });
});
