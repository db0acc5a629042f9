import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Cluster, startCluster } from "./cluster.ts";
import { outcome } from "./fence-bed.ts";
import { call, moveBy, openPair, type Pair, preparePair, rowsOf } from "./pitfall-bed.ts";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(() => cluster[Symbol.asyncDispose]());

/** Everything that has spoiled a move somewhere, in one application. */
const schema = `
create table currencies (code text primary key);
insert into currencies values ('EUR');
create type mood as enum ('sad', 'ok');
create type place as (street text, no int);
create domain positive as int check (value > 0);
create table people (tenant_id text not null, id bigint not null, name text not null, boss bigint,
  shout text generated always as (upper(name)) stored, currency text references currencies,
  primary key (tenant_id, id), unique (tenant_id, name), foreign key (tenant_id, boss) references people);
create index on people (tenant_id, boss);
create table "odd ""table""" (tenant_id text not null, "the ""key""" text not null, "select" numeric, at timestamptz, day date, real8 float8,
  raw bytea, plain json, doc jsonb, bits bit(3), span int4range, tags text[], feeling mood, size positive, home place,
  primary key (tenant_id, "the ""key"""));
create table moments (tenant_id text not null, at timestamptz not null, amount numeric not null, raw bytea not null,
  primary key (tenant_id, at, amount, raw));
create table notes (tenant_id text not null, id bigint not null, body text, primary key (tenant_id, id)) partition by hash (tenant_id);
create table notes_0 partition of notes for values with (modulus 2, remainder 0);
create table notes_1 partition of notes for values with (modulus 2, remainder 1);
create table orders (tenant_id text not null, id uuid primary key default gen_random_uuid());
create index on orders (tenant_id);
create table lines (order_id uuid not null references orders on delete cascade, line int not null, what text, primary key (order_id, line));
create table bookings (tenant_id text not null, n int not null, span int4range, primary key (tenant_id, n),
  exclude using gist (tenant_id with =, span with &&));
create table fired (at timestamptz default clock_timestamp());
create function fire() returns trigger language plpgsql security definer as
  'begin insert into fired default values; perform pg_notify(''notes'', new.id::text); return new; end';
create trigger fire after insert on notes for each row execute function fire();
create function renumber() returns trigger language plpgsql as 'begin if new.id = 70 then new.id := 77; end if; return new; end';
create trigger zzz before insert on notes for each row execute function renumber();
-- A stream would need these; capture does not.
alter table notes replica identity nothing; alter table people replica identity nothing;
alter table people enable row level security;
alter table people force row level security;
create policy everybody on people to stampyard_app using (tenant_id = current_setting('app.tenant', true));`;
const policy = { reference: ["currencies"], ignored: ["fired"], via: { lines: ["orders"] } };
const odd = `"odd ""table"""`;
const keys = [
  "it''s",
  "back\\slash",
  'say "so"',
  "tab\there",
  "new\nline",
  "",
  "ü\u{1f600}",
  "{json}",
  "$1",
  "a%_b",
  "\\N",
  "NULL",
  "\u0001",
];
const rows = `
set app.tenant = 'acme';
insert into people (tenant_id, id, name, boss, currency) select 'acme', 9007199254740993 + g, 'p' || g, null, 'EUR' from generate_series(0, 99) g;
update people set boss = id - 1 where id > 9007199254740993;
insert into ${odd} (tenant_id, "the ""key""", "select", at, day, real8, raw, plain, doc, bits, span, tags, feeling, size, home)
  select 'acme', k, case n % 4 when 0 then 'NaN' when 1 then 1.100 when 2 then 'Infinity' else 12345678901234567890.12345678901234567890 end,
    case n % 3 when 0 then 'infinity'::timestamptz when 1 then '-infinity' else '2024-02-29 23:59:59.999999+02' end,
    case n % 2 when 0 then 'infinity'::date else '0044-03-15 BC' end, case n % 3 when 0 then 'NaN'::float8 when 1 then '-0'::float8 else 0.1 + 0.2 end,
    '\\x00ff5c27', '{"b": 1,  "a": 1, "b": 2}', '{"b": 1, "a": "\\\\u0041"}', '101', '[1,5)', array['x', null, 'NULL', '', E'a"b\\\\c'], 'sad', 3, row('a,b"c', 1)::place
  from unnest($1::text[]) with ordinality as k (k, n);
insert into moments select 'acme', t, a, r from unnest(array['infinity', '-infinity', '2024-01-01']::timestamptz[]) t,
  unnest(array['NaN', '1.10', '-Infinity', '123456789012345678901234567890.5']::numeric[]) a, unnest(array['\\x00', '\\x5c', '\\x2700ff']::bytea[]) r;
insert into bookings select 'acme', g, int4range(g * 10, g * 10 + 10) from generate_series(1, 12) g;
insert into notes select 'acme', g, repeat('x', 10) from generate_series(1, 50) g;
insert into notes select 'acme', 1000 + g, (select string_agg(md5(i::text || g), '') from generate_series(1, 32768) i) from generate_series(1, 3) g;
with o as (insert into orders (tenant_id) select 'acme' from generate_series(1, 20) returning id) insert into lines select id, g, 'line' from o, generate_series(1, 3) g`;
const tables = ["people", odd, "moments", "notes", "orders", "bookings"];
const linesOfAcme = "exists (select from orders o where o.id = t.order_id and o.tenant_id = 'acme')";

/** The application's changes after the copy has passed: everything below must arrive by what was captured. */
const changes = [
  // Unique values swapped between two rows.
  `set app.tenant = 'acme'; update people set name = 'tmp' where name = 'p1'; update people set name = 'p1' where name = 'p2'; update people set name = 'p2' where name = 'tmp'`,
  // A transaction larger than a round, and two rows that have changed places at its end.
  `update bookings set span = '[1,2)' where n = 1;
   insert into notes select 'acme', 10000 + g, 'large' from generate_series(1, 3000) g; update notes set body = body || '.' where tenant_id = 'acme' and id > 10000;
   update bookings set span = '[10,20)' where n = 2; update bookings set span = '[20,30)' where n = 1`,
  // A trigger changes the id after the application has named it.
  "insert into notes values ('acme', 70, 'is 77')",
  // Rows of 1 MB change, and one goes.
  "update notes set body = body || 'y' where tenant_id = 'acme' and id = 1001; delete from notes where tenant_id = 'acme' and id = 1002",
  // Keys that need quoting, numbers that JavaScript cannot hold, and values without a plain text.
  `update ${odd} set size = 4, doc = doc || '{"c": 3}' where tenant_id = 'acme'`,
  `update ${odd} set "the ""key""" = "the ""key""" || '''\\' where tenant_id = 'acme' and size = 4 and bits = '101' and feeling = 'sad' and span @> 2 and "the ""key""" like 'back%'`,
  "set app.tenant = 'acme'; update people set boss = null where id % 2 = 0; delete from people where id = 9007199254740993 + 99",
  "update moments set amount = 2 where amount = 'NaN' and tenant_id = 'acme'; delete from moments where at = '-infinity' and tenant_id = 'acme'",
  // Children that go with their parent, change their parent, and come with one.
  "delete from orders where id = (select min(id::text)::uuid from orders where tenant_id = 'acme')",
  "update lines set order_id = (select max(id::text)::uuid from orders where tenant_id = 'acme'), line = line + 10 where order_id = (select min(id::text)::uuid from orders where tenant_id = 'acme') and line = 1",
  "with o as (insert into orders (tenant_id) values ('acme') returning id) insert into lines select id, 1, 'late' from o",
  // A table emptied row by row and filled again in one transaction.
  "begin; delete from notes where tenant_id = 'acme' and id < 20; insert into notes select 'acme', g, 'again' from generate_series(1, 10) g; commit",
];

describe("one move of everything that is odd", () => {
  let pair: Pair;
  const heard: string[] = [];
  beforeAll(async () => {
    const [from, to] = [await cluster.database(), await cluster.database()];
    for (const db of [from, to]) await db.run("postgres", "create extension btree_gist");
    pair = await preparePair(from, to, { schema, policy });
    await from.run(
      "stampyard_app",
      rows.replace("$1", `array[${keys.map((key) => `E'${key.replaceAll("\\", "\\\\")}'`).join(", ")}]`),
    );
    const other = await cluster.database();
    await using elsewhere = await other.connect("stampyard_owner");
    await elsewhere.query("create table busy (n int)");
    await elsewhere.query("begin; insert into busy values (1)");
    await using mover = await openPair(pair);
    await moveBy(mover, "incremental", {
      async before(step) {
        if (step === "follow" || step === "verify")
          for (const sql of changes.filter((_, i) => (i % 2 === 0) === (step === "follow")))
            await from.run("stampyard_app", sql);
        if (step === "fence")
          await from.run("stampyard_app", "update notes set body = 'last' where tenant_id = 'acme' and id = 77");
      },
    });
    heard.push(...(await to.run("postgres", "select at::text from fired")).map((row) => String(row["at"])));
    // It was open all the while, and held nobody up.
    await elsewhere.query("rollback");
  }, 60_000);

  test.each(tables)("rows of %s are the same on both sides (I15)", async (table) => {
    const [there, here] = await Promise.all([rowsOf(pair.to, table), rowsOf(pair.from, table)]);
    expect(there.length).toBeGreaterThan(10);
    expect(there).toEqual(here);
  });

  test("rows without the tenant column follow their parents: gone, moved and new ones", async () => {
    const [there, here] = await Promise.all([
      rowsOf(pair.to, "lines", "true"),
      rowsOf(pair.from, "lines", linesOfAcme),
    ]);
    expect(there.length).toBeGreaterThan(50);
    expect(there).toEqual(here);
  });

  test("generated columns are computed anew, and no foreign key is left pointing nowhere", async () => {
    const [row] = await pair.to.run(
      "postgres",
      `select count(*) filter (where shout <> upper(name))::int as wrong, (select count(*)::int from people p where p.boss is not null
         and not exists (select from people b where b.tenant_id = p.tenant_id and b.id = p.boss)) as orphans from people`,
    );
    expect(row).toEqual({ wrong: 0, orphans: 0 });
  });

  test("the target's triggers do not fire for what is brought: nothing is done or announced twice", () => {
    expect(heard).toEqual([]);
  });

  test("erasing the source takes nothing from the target", async () => {
    const before = await rowsOf(pair.to, "notes");
    await using mover = await openPair(pair);
    await mover.erase(call);
    for (const table of tables) expect(await rowsOf(pair.from, table)).toEqual([]);
    expect(await rowsOf(pair.from, "lines", "true")).toEqual([]);
    expect(await rowsOf(pair.to, "notes")).toEqual(before);
  });
});

const simple = `
create sequence numbers;
create table tickets (tenant_id text not null, id bigint not null default nextval('numbers'), title text, primary key (tenant_id, id));`;
const blocks = { ids: { numbers: { kind: "block", size: 1_000_000 } } } as const;
const ticketsFor =
  "insert into tickets (tenant_id, title) select t, 'x' from unnest(array['acme', 'bolt', 'delta']) t, generate_series(1, 200) g";

async function ticketPair(): Promise<Pair> {
  const [from, to] = [await cluster.database(), await cluster.database()];
  const pair = await preparePair(from, to, { schema: simple, policy: blocks, tenants: ["acme", "bolt", "delta"] });
  await to.run("stampyard_owner", "alter sequence numbers restart with 1000001");
  await from.run("stampyard_app", ticketsFor);
  return pair;
}

test("TRUNCATE and ADD COLUMN wait for the end of a move; a change of tables that came past the guard refuses the switch", async () => {
  const { from, to, ...rest } = await ticketPair();
  const pair = { from, to, ...rest };
  await using mover = await openPair(pair);
  await moveBy(mover, "incremental", { until: "fence" });
  expect(await outcome(from.run("stampyard_owner", "truncate tickets"))).toBe("SY003");
  expect(await outcome(from.run("stampyard_owner", "alter table tickets add column more text"))).toBe("SY003");
  // As on a server where nobody may install the guard.
  const guards = await from.run("postgres", "select evtname from pg_event_trigger");
  for (const guard of guards) await from.run("postgres", `alter event trigger "${String(guard["evtname"])}" disable`);
  await from.run("stampyard_owner", "alter table tickets add column more text");
  await expect(mover.fence(call)).rejects.toMatchObject({ code: "MOVE_REFUSED" });
  await mover.reopen(call);
  await from.run("stampyard_app", "update tickets set more = 'goes on' where tenant_id = 'acme'");
  await mover.forget(call);
  expect(await rowsOf(to, "tickets")).toEqual([]);
});

test("sequences stay in each stamp's block, and several tenants move at once without a mix (I20, I24)", async () => {
  const pair = await ticketPair();
  const tenants = ["acme", "bolt", "delta"];
  const before = await Promise.all(tenants.map((tenant) => rowsOf(pair.from, "tickets", `tenant_id = '${tenant}'`)));
  await Promise.all(
    tenants.map(async (tenant, i) => {
      await using mover = await openPair(pair, { id: `mv-${i}`, tenant });
      await moveBy(mover);
    }),
  );
  expect(await Promise.all(tenants.map((tenant) => rowsOf(pair.to, "tickets", `tenant_id = '${tenant}'`)))).toEqual(
    before,
  );
  await pair.to.run("stampyard_app", "insert into tickets (tenant_id, title) values ('acme', 'after')");
  const [row] = await pair.to.run("postgres", "select id::int from tickets where title = 'after'");
  expect(row?.["id"]).toBe(1_000_001);
  const [next] = await pair.from.run("postgres", "select nextval('numbers')::int as n");
  expect(next?.["n"]).toBe(601);
});
