import { classifyTables, installFence, openRowsMover, readTables } from "@stampyard/movers";
import type { BedStamp, MoverBed } from "@stampyard/testing";
import { expect } from "vitest";
import type { Cluster, Connection, Role, TestDatabase } from "./cluster.ts";
import { clock, isolationLevels } from "./fence-bed.ts";

export const bedPolicy = {
  tenantColumn: "tenant_id",
  ids: { tickets: { kind: "block", size: 1_000_000 } },
  via: { lines: ["entries"] },
  reference: ["currencies"],
  ignored: [],
} as const;

export const bedSchema = `
create table currencies (code text primary key);
insert into currencies values ('EUR');
create table accounts (tenant_id text not null, id uuid not null default gen_random_uuid(), name text, n bigint not null default 0,
  doubled bigint generated always as (n * 2) stored, currency text references currencies,
  primary key (tenant_id, id), unique (tenant_id, name));
create table entries (tenant_id text not null, account uuid not null, id uuid not null default gen_random_uuid(),
  value text, at timestamptz default clock_timestamp(), amount numeric, tags text[], doc jsonb, raw bytea,
  primary key (tenant_id, id), unique (id), foreign key (tenant_id, account) references accounts on delete cascade);
create table lines (id uuid primary key default gen_random_uuid(), entry uuid not null references entries (id) on delete cascade,
  body text);
create index on lines (entry);
create sequence ticket_numbers;
create table tickets (tenant_id text not null, n bigint not null default nextval('ticket_numbers'), title text,
  primary key (tenant_id, n));`;

/** Of one tenant; `entries` that no test writes have no value. */
const rowsSql = `
with a as (insert into accounts (tenant_id, name, currency) select $1, 'account ' || g, 'EUR' from generate_series(1, 6) g returning id)
insert into entries (tenant_id, account, amount, tags, doc, raw)
select $1, a.id, g / 3.0, array['x', null, E'a\\tb'], jsonb_build_object('g', g), decode('00ff', 'hex')
from a, generate_series(1, 50) g`;

const writeSql = [
  "update accounts set n = n + 1 where (tenant_id, id) = (select tenant_id, id from accounts where tenant_id = 'acme' order by random() limit 1)",
  `insert into entries (tenant_id, account, value) select tenant_id, id, $1 from accounts where tenant_id = 'acme' order by random() limit 1`,
  `delete from entries where tenant_id = 'acme' and id = (select id from entries where tenant_id = 'acme' and value is null order by random() limit 1)`,
  "insert into lines (entry, body) select id, value from entries where tenant_id = 'acme' and value = $1",
  `update lines set body = 'new' where id = (select l.id from lines l join entries e on e.id = l.entry
     where e.tenant_id = 'acme' and e.value is null order by random() limit 1)`,
  "insert into tickets (tenant_id, title) values ('acme', $1)",
];

/** A value is kept when all of its transaction is: the row, and the row that only leads to the tenant. */
const valuesSql = `select e.value from entries e join lines l on l.entry = e.id and l.body = e.value
  join tickets t on t.tenant_id = e.tenant_id and t.title = e.value where e.tenant_id = 'acme'`;

const refusals = ["SY001", "40001", "40P01"];

/** Databases of two clusters as a move finds them: the fence in `enforce`, the tenant in `a`, and a neighbour in each. */
export async function captureBed(
  clusters: readonly [Cluster, Cluster],
  role: Role = "stampyard_mover",
): Promise<MoverBed & { readonly stamps: Record<BedStamp, TestDatabase> }> {
  const [a, b] = await Promise.all([
    copyOf(clusters[0], "a", (db) => prepare(db, 0, ["acme", "bolt"])),
    copyOf(clusters[1], "b", (db) => prepare(db, 1_000_000, ["cargo"])),
  ]);
  const stamps = { a, b };
  const apps = { a: clientsOf(a), b: clientsOf(b) };
  const select = (stamp: BedStamp, sql: string) => stamps[stamp].run("postgres", sql);
  return {
    clock,
    stamps,
    open: (move) =>
      openRowsMover({
        move,
        policy: bedPolicy,
        clock,
        source: stamps[move.from as BedStamp].url(role),
        target: stamps[move.to as BedStamp].url(role),
      }),
    write: (stamp, value) => apps[stamp].use((client, n) => write(client, value, n)),
    async values(stamp) {
      const rows = await select(stamp, valuesSql);
      return rows.map((row) => String(row["value"])).sort();
    },
    copy: (stamp) => select(stamp, allRows("= 'acme'")),
    neighbours: (stamp) => select(stamp, allRows("<> 'acme'")),
    async nextNumber(stamp) {
      const [row] = await select(stamp, "select nextval('ticket_numbers')::int as n");
      return Number(row?.["n"]);
    },
    async notes(stamp) {
      const rows = await select(stamp, notesSql);
      return rows.map((row) => String(row["note"])).sort();
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([apps.a.end(), apps.b.end()]);
    },
  };
}

const prepared = new WeakMap<Cluster, Map<BedStamp, Promise<TestDatabase>>>();

/** Made once for each cluster, and copied for each test. */
async function copyOf(
  cluster: Cluster,
  stamp: BedStamp,
  make: (db: TestDatabase) => Promise<void>,
): Promise<TestDatabase> {
  const known = prepared.get(cluster) ?? new Map<BedStamp, Promise<TestDatabase>>();
  prepared.set(cluster, known);
  const original = known.get(stamp) ?? madeBy(cluster, make);
  known.set(stamp, original);
  return await cluster.database(await original);
}

async function madeBy(cluster: Cluster, make: (db: TestDatabase) => Promise<void>): Promise<TestDatabase> {
  const db = await cluster.database();
  await make(db);
  return db;
}

async function prepare(db: TestDatabase, firstNumber: number, tenants: readonly string[]): Promise<void> {
  await db.run("stampyard_owner", bedSchema);
  await db.run("stampyard_owner", `alter sequence ticket_numbers restart with ${firstNumber + 1}`);
  await using admin = await db.connect("postgres");
  const { tables, problems } = classifyTables(await readTables(admin), bedPolicy);
  expect(problems).toEqual([]);
  await installFence(admin, tables, "enforce", { clock });
  for (const tenant of tenants) {
    await admin.query("insert into stampyard.tenant_home (tenant, state, epoch) values ($1, 'active', 1)", [tenant]);
    await admin.query(rowsSql, [tenant]);
    await admin.query("insert into tickets (tenant_id, title) values ($1, 'first')", [tenant]);
  }
}

function allRows(which: string): string {
  const of = (table: string) =>
    `select '${table}' as table, to_jsonb(t) as row from ${table} t where t.tenant_id ${which}`;
  const lines = `select 'lines' as table, to_jsonb(l) as row from lines l join entries e on e.id = l.entry where e.tenant_id ${which}`;
  const all = [...["accounts", "entries", "tickets"].map(of), lines].join(" union all ");
  return `select * from (${all}) x order by 1, 2`;
}

const notesSql = `
select 'captured for ' || move_id as note from stampyard.move_change group by 1
union all select 'copied by ' || move_id from stampyard.move_copied
union all select 'brought by ' || move_id from stampyard.move_brought group by 1
union all select 'verified by ' || move_id from stampyard.move_verified
union all select tenant || ' ' || state || ' by ' || move_id from stampyard.tenant_home where move_id is not null
union all select 'line without an entry' from lines l where not exists (select from entries e where e.id = l.entry)
union all select 'slot ' || slot_name from pg_replication_slots
union all select 'trigger ' || tgname from pg_trigger where not tgisinternal and tgname not like 'stampyard\\_%' and tgname <> 'announce'`;

async function write(client: Connection, value: string, n: number): Promise<boolean> {
  try {
    await client.query(`begin isolation level ${isolationLevels[n % isolationLevels.length]}`);
    for (const sql of writeSql) await client.query(sql, sql.includes("$1") ? [value] : []);
    await client.query("commit");
    return true;
  } catch (caught) {
    await client.query("rollback");
    if (caught instanceof Error && "code" in caught && refusals.includes(String(caught.code))) return false;
    throw caught;
  }
}

/** Connections of the application, as many as are used at once. */
function clientsOf(db: TestDatabase) {
  const idle: Connection[] = [];
  let count = 0;
  return {
    async use<T>(work: (client: Connection, n: number) => Promise<T>): Promise<T> {
      const client = idle.pop() ?? (await db.connect("stampyard_app"));
      try {
        return await work(client, count++);
      } finally {
        idle.push(client);
      }
    },
    end: () => Promise.all(idle.map((client) => client[Symbol.asyncDispose]())),
  };
}
