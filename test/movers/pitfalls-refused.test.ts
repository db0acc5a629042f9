import type { Mover, MoveProblem, MoverPolicy } from "@stampyard/domain";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Cluster, startCluster, type TestDatabase } from "./cluster.ts";
import { call, openPair, type Pair, preparePair } from "./pitfall-bed.ts";

let cluster: Cluster;
let pair: Pair;
beforeAll(async () => {
  cluster = await startCluster();
  const [from, to] = [await cluster.database(), await cluster.database()];
  pair = await preparePair(from, to, { schema, policy, rows });
});
afterAll(() => cluster[Symbol.asyncDispose]());

const schema = `
create table currencies (code text primary key, name text);
insert into currencies values ('EUR', 'Euro');
create table migrations (n int primary key);
create sequence numbers;
create type mood as enum ('sad', 'ok');
create table notes (tenant_id text not null, id uuid not null default gen_random_uuid(), title varchar(40), feeling mood, currency text references currencies,
  primary key (tenant_id, id));
create table tickets (tenant_id text not null, n bigint primary key default nextval('numbers'), title text);
create index on tickets (tenant_id);`;
const policy = {
  reference: ["currencies"],
  ignored: ["migrations"],
  ids: { numbers: { kind: "block", size: 1_000_000 } },
} as const;
const rows = `insert into notes (tenant_id, title) select 'acme', 'x' || g from generate_series(1, 5) g;
  insert into tickets (tenant_id, title) select t, 'x' from unnest(array['acme', 'bolt']) t, generate_series(1, 5)`;

interface Pitfall {
  readonly what: string;
  /** As the superuser, on one side or on both; `undo` after it. */
  readonly source?: string;
  readonly target?: string;
  readonly both?: string;
  readonly undo: string;
  readonly policy?: Partial<MoverPolicy>;
  readonly refused?: RegExp;
  readonly warned?: RegExp;
}

const pitfalls: readonly Pitfall[] = [
  {
    what: "an unlogged table",
    both: "alter table notes set unlogged",
    undo: "alter table notes set logged",
    refused: /notes is unlogged.*set logged/,
  },
  {
    what: "a table without the tenant column that nobody has named",
    both: "create table settings (k text primary key)",
    undo: "drop table settings",
    refused: /settings has no column tenant_id.*reference or ignored/,
  },
  {
    what: "a table on one side only",
    target: "drop table notes",
    undo: "select 1",
    refused: /notes is missing on the target/,
  },
  {
    what: "a column that only one side has",
    source: "alter table notes add column late text",
    undo: "alter table notes drop column if exists late",
    refused: /lacks the column late on the target/,
  },
  {
    what: "a column of another type",
    target: "alter table notes alter column title type text",
    undo: "alter table notes alter column title type varchar(40)",
    refused: /column title the type character varying\(40\) on the source and text on the target/,
  },
  {
    what: "an enum with other labels",
    target: "alter type mood add value 'glad'",
    undo: "select 1",
    refused: /column feeling the labels sad, ok on the source and sad, ok, glad on the target/,
  },
  {
    what: "a constraint that only the target has",
    target: "alter table notes add constraint short check (length(title) < 10)",
    undo: "alter table notes drop constraint if exists short",
    refused: /has on the target only the constraint CHECK/,
  },
  {
    what: "row security and a role that cannot look past it",
    source: "alter table notes enable row level security; alter role stampyard_mover nobypassrls",
    undo: "alter table notes disable row level security; alter role stampyard_mover bypassrls",
    refused: /has row security.*alter role stampyard_mover bypassrls/,
  },
  {
    what: "missing rights",
    target: "revoke pg_write_all_data from stampyard_mover",
    undo: "grant pg_write_all_data to stampyard_mover",
    refused: /may not be read and written by the mover's role/,
  },
  {
    what: "a trigger that fires for what the mover brings",
    both: "create function f() returns trigger language plpgsql as 'begin return new; end'; create trigger noisy after insert on notes for each row execute function f(); alter table notes enable always trigger noisy",
    undo: "drop function f cascade",
    refused: /has the trigger noisy, which fires for rows that a move brings/,
  },
  {
    what: "user triggers where triggers cannot be kept from firing",
    both: "create function f() returns trigger language plpgsql as 'begin return new; end'; create trigger noisy after insert on notes for each row execute function f(); revoke set on parameter session_replication_role from stampyard_mover",
    undo: "drop function f cascade; grant set on parameter session_replication_role to stampyard_mover",
    refused: /has the trigger noisy, and the mover's role may not keep triggers from firing/,
  },
  {
    what: "a reference table with other rows",
    target: "update currencies set name = 'EURO'",
    undo: "update currencies set name = 'Euro'",
    refused: /currencies is a reference table and has different rows on both sides: \["EUR"\]/,
  },
  {
    what: "a large object",
    both: "alter table notes add column scan oid",
    undo: "alter table notes drop column scan",
    refused: /column scan of type oid, whose values mean something in one database only.*bytea/,
  },
  {
    what: "a key of floating point numbers, which capture could not write down exactly",
    both: "create table points (tenant_id text not null, x float8 not null, primary key (tenant_id, x))",
    undo: "drop table points",
    refused: /points has the key column x of type double precision/,
  },
  {
    what: "a table that inherits",
    both: "create table old_notes () inherits (notes); alter table old_notes add primary key (tenant_id, id)",
    undo: "drop table old_notes",
    refused: /old_notes inherits from another table/,
  },
  {
    what: "a rule",
    both: "create rule keep as on delete to notes do instead nothing",
    undo: "drop rule keep on notes",
    refused: /notes has the rule keep/,
  },
  {
    what: "a foreign key to what does not move",
    both: "create table teams (id int primary key); alter table notes add column team int references teams",
    undo: "alter table notes drop column team; drop table teams",
    policy: { ignored: ["migrations", "teams"] },
    refused: /notes points at public\.teams .*which does not move/,
  },
  {
    what: "a unique key that two stamps may fill alike",
    both: "alter table notes add constraint one unique (title)",
    undo: "alter table notes drop constraint one",
    refused: /unique key one \(title\) without tenant_id: two stamps may use the same value/,
  },
  {
    what: "numbers without a policy",
    both: "select 1",
    undo: "select 1",
    policy: { ids: {} },
    refused: /tickets numbers its rows by a sequence of each stamp \(n\)/,
  },
  {
    what: "two stamps that count in the same block",
    target: "alter sequence numbers restart with 500",
    undo: "alter sequence numbers restart with 1000001",
    refused: /sequence public\.numbers counts in the same block on both sides/,
  },
  {
    what: "a sequence that does not stride",
    policy: { ids: { numbers: { kind: "stride", of: 4 } } },
    undo: "select 1",
    refused: /sequence public\.numbers does not count in steps of 4 on both sides/,
  },
  {
    what: "two stamps that stride on the same numbers",
    policy: { ids: { numbers: { kind: "stride", of: 4 } } },
    source: "alter sequence numbers increment by 4 restart with 1001",
    target: "alter sequence numbers increment by 4 restart with 1000001",
    // `cargo` is at home on the target only.
    undo: `alter sequence numbers increment by 1;
      select setval('numbers', case when exists (select from stampyard.tenant_home where tenant = 'cargo') then 1000001 else 101 end, false)`,
    refused: /sequence public\.numbers counts the same numbers on both sides/,
  },
  {
    what: "ids that the target has given out already",
    target: "set session_replication_role = replica; insert into tickets values ('cargo', 3, 'taken')",
    undo: "set session_replication_role = replica; delete from tickets where tenant_id = 'cargo'",
    refused: /has 1 values of the unique key tickets_pkey \(n\) that somebody else on the target has already/,
  },
  {
    what: "rows of the tenant on the target",
    target: "set session_replication_role = replica; insert into notes (tenant_id) values ('acme')",
    undo: "set session_replication_role = replica; delete from notes where tenant_id = 'acme' and title is null",
    refused: /has rows of tenant acme, which has no home there/,
  },
  {
    what: "a tenant that is open on both sides",
    target: "insert into stampyard.tenant_home (tenant, state, epoch) values ('acme', 'active', 1)",
    undo: "delete from stampyard.tenant_home where tenant = 'acme' and epoch = 1 and move_id is null and not exists (select from notes where tenant_id = 'acme')",
    refused: /tenant acme is active in the target/,
  },
  {
    what: "a tenant that is in another move",
    source: "update stampyard.tenant_home set move_id = 'other' where tenant = 'acme'",
    undo: "update stampyard.tenant_home set move_id = null where tenant = 'acme'",
    refused: /tenant acme is in move other/,
  },
  {
    what: "a fence that lets writes pass",
    target: "alter table notes disable trigger stampyard_update",
    undo: "alter table notes enable trigger stampyard_update",
    refused: /notes of the target is not fenced in enforce mode.*stampyard stamp fence/,
  },
  {
    what: "no index by tenant",
    source: "alter index tickets_tenant_id_idx rename to x; drop index x",
    undo: "create index if not exists tickets_tenant_id_idx on tickets (tenant_id)",
    warned: /tickets of the source has no index that begins with tenant_id/,
  },
  {
    what: "a table that is published",
    source: "create publication feed for table notes",
    undo: "drop publication if exists feed",
    warned: /notes of the source is published/,
  },
  {
    what: "tenants' rows in a table that stays",
    both: "create table audits (tenant_id text)",
    undo: "drop table audits",
    policy: { ignored: ["migrations", "audits"] },
    warned: /audits has the column tenant_id, and stays/,
  },
];

const told = (list: readonly MoveProblem[]) =>
  list.map(({ where, what, mend }) => `${where} ${what}. ${mend}`).join("\n");

/** Everything in the database that a check might touch. */
async function everything(db: TestDatabase): Promise<unknown> {
  return await db.run(
    "postgres",
    `select (select count(*) from pg_class) as relations, (select count(*) from pg_trigger) as triggers, (select count(*) from pg_proc) as functions,
       (select jsonb_agg(to_jsonb(h) order by tenant) from stampyard.tenant_home h) as homes, (select jsonb_agg(n order by id) from notes n) as notes,
       (select jsonb_agg(n order by n.n) from tickets n) as tickets, (select count(*) from stampyard.move_change) as changes,
       (select last_value from numbers) as numbers, (select last_value from stampyard.move_starts) as starts`,
  );
}

test("check() finds nothing wrong with an application as it should be, counts what moves, and changes nothing", async () => {
  await pair.to.run("postgres", "alter sequence numbers restart with 1000001");
  const before = await Promise.all([everything(pair.from), everything(pair.to)]);
  await using mover = await openPair(pair);
  const check = await mover.check(call);
  expect(told(check.problems)).toBe("");
  expect(check).toMatchObject({ rows: 10 });
  expect(check.tables.map(({ table, kind, rows: n }) => `${table} ${kind} ${n}`)).toEqual([
    "public.notes tenant 5",
    "public.tickets tenant 5",
    "public.currencies reference 0",
    "public.migrations ignored 0",
  ]);
  expect(await Promise.all([everything(pair.from), everything(pair.to)])).toEqual(before);
});

test.each(pitfalls)("check() tells of $what, and changes nothing", async (pitfall) => {
  // What has no way back is done to a copy.
  const to = pitfall.undo === "select 1" && pitfall.target !== undefined ? await cluster.database(pair.to) : pair.to;
  const { from } = pair;
  const sides = [
    [from, pitfall.source],
    [to, pitfall.target],
    ...[from, to].map((db) => [db, pitfall.both] as const),
  ] as const;
  try {
    for (const [db, sql] of sides) if (sql !== undefined) await db.run("postgres", sql);
    const before = to === pair.to ? await Promise.all([everything(from), everything(to)]) : [];
    const check = await checkOf({ ...pair, to, policy: { ...pair.policy, ...pitfall.policy } });
    if (pitfall.refused !== undefined) expect(told(check.problems)).toMatch(pitfall.refused);
    else expect(told(check.problems)).toBe("");
    if (pitfall.warned !== undefined) expect(told(check.warnings)).toMatch(pitfall.warned);
    if (to === pair.to) expect(await Promise.all([everything(from), everything(to)])).toEqual(before);
  } finally {
    for (const [db, sql] of sides) if (sql !== undefined) await db.run("postgres", pitfall.undo);
  }
});

async function checkOf(changed: Pair): ReturnType<Mover["check"]> {
  await using mover = await openPair(changed);
  return await mover.check(call);
}
