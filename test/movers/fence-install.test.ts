import { armMove, fenceStatus, installFence, removeFence } from "@stampyard/movers";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Cluster, startCluster } from "./cluster.ts";
import { clock, fencedDatabase, notes, outcome } from "./fence-bed.ts";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(() => cluster[Symbol.asyncDispose]());

const acme = { tenant: "acme", moveId: "m1" };

test("the application's role cannot take the fence away, look past it or write homes (I43)", async () => {
  const db = await fencedDatabase(cluster);
  const attempts = [
    "alter table notes disable trigger stampyard_update",
    "alter table notes disable trigger all",
    "drop trigger stampyard_update on notes",
    "create or replace function stampyard.fence_busy(text, oid, jsonb, jsonb, text[]) returns void language sql as 'select'",
    "drop function stampyard.fence_busy(text, oid, jsonb, jsonb, text[])",
    "update stampyard.tenant_home set state = 'moved'",
    "delete from stampyard.move_change",
    "select stampyard.key_of('{}', '{}')",
    "drop event trigger stampyard_ddl_start",
    "alter event trigger stampyard_ddl_start disable",
    "set stampyard.installs = 'on'; drop trigger stampyard_update on notes",
    "drop function stampyard.fence_ddl() cascade",
    "insert into stampyard.move_change (move_id, relation, row_key) values ('m1', 1, '{}')",
    "update stampyard.move_started set n = 0",
    "select setval('stampyard.move_starts', 1)",
    "grant set on parameter session_replication_role to stampyard_app",
    "set session_replication_role = replica",
    "set session authorization stampyard_mover",
    "truncate notes",
  ];
  for (const sql of attempts) expect(await outcome(db.run("stampyard_app", sql)), sql).toMatch(/^42501$/);
});

test("no search_path of the application changes what the fence compares (I43)", async () => {
  const db = await fencedDatabase(cluster);
  await db.run("postgres", "create schema trap; grant all on schema trap to stampyard_app");
  await using app = await db.connect("stampyard_app");
  await app.query(`
    create function trap.always(text, text) returns boolean language sql immutable as 'select true';
    create operator trap.= (function = trap.always, leftarg = text, rightarg = text);
    create function trap.current_setting(text) returns text language sql as $$ select 'read committed' $$;
    create function trap.coalesce_state() returns text language sql as $$ select 'active' $$;
    create domain trap.text as pg_catalog.int4;
    set search_path = trap, pg_catalog, public`);
  expect(await outcome(app.query("insert into notes values ('nobody'::pg_catalog.text, 1)"))).toBe("SY001");
  expect(await outcome(app.query("insert into notes values ('acme'::pg_catalog.text, 100)"))).toBe("ok");
});

test("a transaction over 20,000 tenants takes no lock of ours; four at once leave room for a neighbour (I44)", async () => {
  const db = await fencedDatabase(cluster);
  await db.run(
    "stampyard_mover",
    "insert into stampyard.tenant_home (tenant, state, epoch) select 't' || g, 'active', 1 from generate_series(1, 20000) g",
  );
  await db.run(
    "stampyard_app",
    "insert into notes select 't' || g, p, '' from generate_series(1, 20000) g, generate_series(1, 4) p",
  );
  await using mover = await db.connect("stampyard_mover");
  await armMove(mover, acme, 1);
  const writers = await Promise.all([1, 2, 3, 4].map(() => db.connect("stampyard_app")));
  await Promise.all(
    writers.map(async (writer, part) => {
      await writer.query("begin");
      await writer.query("update notes set body = 'x' where id = $1 and tenant_id like 't%'", [part + 1]);
    }),
  );
  const [locks] = await db.run("postgres", "select count(*)::int as n from pg_locks where locktype = 'advisory'");
  expect(locks?.["n"]).toBe(0);
  await db.run("stampyard_app", "update notes set body = 'neighbour' where tenant_id = 'bolt' and id = 1");
  for (const writer of writers) {
    await writer.query("update notes set body = 'y' where tenant_id = 'acme'").catch((error: unknown) => {
      throw error;
    });
    const [own] = (
      await writer.query(
        "select count(*)::int as n from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()",
      )
    ).rows;
    expect(own?.["n"]).toBe(1);
    await writer.query("commit");
    await writer[Symbol.asyncDispose]();
  }
}, 60_000);

test("the fence fails closed: a tenant without a home cannot be written, nor a row change its tenant", async () => {
  const db = await fencedDatabase(cluster);
  expect(await outcome(db.run("stampyard_app", "insert into notes values ('nobody', 1)"))).toBe("SY001");
  const changed = "update notes set tenant_id = 'bolt', id = 99 where tenant_id = 'acme' and id = 1";
  expect(await outcome(db.run("stampyard_app", changed))).toBe("SY002");
  expect(await outcome(db.run("stampyard_owner", "insert into notes values ('nobody', 1)"))).toBe("SY001");
});

test("TRUNCATE waits for the end of a move, by whomever; at rest it is the owner's", async () => {
  const db = await fencedDatabase(cluster);
  await using mover = await db.connect("stampyard_mover");
  await armMove(mover, acme, 1);
  expect(await outcome(db.run("stampyard_owner", "truncate notes"))).toBe("SY003");
  expect(await outcome(db.run("postgres", "truncate notes"))).toBe("SY003");
  await db.run("stampyard_mover", "update stampyard.tenant_home set move_id = null");
  await db.run("stampyard_owner", "truncate notes");
});

test("writes straight into a partition are fenced like those through its parent", async () => {
  const db = await cluster.database();
  await db.run(
    "stampyard_owner",
    `create table events (tenant_id text not null, id bigint not null, primary key (tenant_id, id)) partition by hash (tenant_id);
     create table events_0 partition of events for values with (modulus 1, remainder 0);`,
  );
  await using admin = await db.connect("postgres");
  await installFence(admin, [{ ...notes, table: "events" }], "enforce", { clock });
  expect(await outcome(db.run("stampyard_app", "insert into events values ('nobody', 1)"))).toBe("SY001");
  expect(await outcome(db.run("stampyard_app", "insert into events_0 values ('nobody', 1)"))).toBe("SY001");
  await db.run("stampyard_owner", "create table events_old (like events); ");
});

test("installFence() goes from report to enforce only when every tenant has a home, and comes off with one call", async () => {
  const db = await fencedDatabase(cluster);
  await using admin = await db.connect("postgres");
  await installFence(admin, [notes], "report", { clock });
  await db.run("stampyard_app", "insert into notes values ('nobody', 1)");
  const [report] = await db.run(
    "stampyard_mover",
    "select relation::regclass::text as t, tenant, state from stampyard.fence_report",
  );
  expect(report).toEqual({ t: "notes", tenant: "nobody", state: null });
  const refused = installFence(admin, [notes], "enforce", { clock });
  await expect(refused).rejects.toThrow("rows of tenants without a home here: nobody");
  expect((await fenceStatus(admin, [notes])).tables[0]?.mode).toBe("report");
  await db.run(
    "stampyard_mover",
    "insert into stampyard.tenant_home (tenant, state, epoch) values ('nobody', 'active', 1)",
  );
  await installFence(admin, [notes], "enforce", { clock });
  expect((await fenceStatus(admin, [notes])).tables[0]?.mode).toBe("enforce");
  await removeFence(admin, { clock });
  expect((await fenceStatus(admin, [notes])).tables[0]?.mode).toBe("off");
  await db.run("stampyard_app", "insert into notes values ('anybody', 1)");
  const left = await db.run(
    "postgres",
    "select proname from pg_proc p join pg_namespace n on n.oid = pronamespace where nspname = 'stampyard'",
  );
  expect(left.map((row) => row["proname"])).toEqual(["announce_tenant_home"]);
});

test("installFence() waits for a busy table in short turns, says who holds it, and then goes on", async () => {
  const db = await fencedDatabase(cluster);
  await using admin = await db.connect("postgres");
  await removeFence(admin, { clock });
  await using busy = await db.connect("stampyard_app");
  await busy.query("begin; update notes set body = 'long' where id = 1");
  const waits: number[] = [];
  const options = {
    clock,
    lockTimeoutMs: 20,
    attempts: 2,
    onWait: (wait: { blockers: { pid: number }[] }) => waits.push(wait.blockers[0]?.pid ?? 0),
  };
  await expect(installFence(admin, [notes], "enforce", options)).rejects.toThrow(`pid ${busy.pid}`);
  expect(waits).toEqual([busy.pid, busy.pid]);
  // Nobody waited longer than a turn, and nothing is half done.
  await db.run("stampyard_app", "update notes set body = 'short' where id = 2");
  await busy.query("commit");
  await installFence(admin, [notes], "enforce", options);
  expect((await fenceStatus(admin, [notes])).tables[0]?.mode).toBe("enforce");
});
