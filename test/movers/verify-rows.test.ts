import type { Move } from "@stampyard/domain";
import { classifyTables, connectMover, readTables, verifyRows } from "@stampyard/movers";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Cluster, startCluster } from "./cluster.ts";
import { call, moveBy, openPair, type Pair, type PairStep, pastTheFence, preparePair, rowsOf } from "./pitfall-bed.ts";

let cluster: Cluster;
let made: Pair;
beforeAll(async () => {
  cluster = await startCluster();
  const [from, to] = await Promise.all([cluster.database(), cluster.database()]);
  made = await preparePair(from, to, { schema, policy, rows: rowsFor("acme") });
  await Promise.all([from.run("stampyard_app", rowsFor("bolt")), to.run("stampyard_app", rowsFor("cargo"))]);
});
afterAll(() => cluster[Symbol.asyncDispose]());

const schema = `
create table currencies (code text primary key);
insert into currencies values ('EUR');
create table accounts (tenant_id text not null, id uuid not null default gen_random_uuid(), name text not null, n int not null default 0,
  currency text not null default 'EUR' references currencies, primary key (tenant_id, id), unique (tenant_id, name));
create table orders (tenant_id text not null, id uuid primary key default gen_random_uuid(), account uuid not null,
  foreign key (tenant_id, account) references accounts (tenant_id, id));
create table lines (order_id uuid not null references orders on delete cascade, line int not null, what text,
  primary key (order_id, line));`;
const policy = { reference: ["currencies"], via: { lines: ["orders"] } };
const rowsFor = (tenant: string) => `
with a as (insert into accounts (tenant_id, name) select '${tenant}', 'account ' || g from generate_series(1, 60) g returning *),
  o as (insert into orders (tenant_id, account) select tenant_id, id from a returning *)
insert into lines select o.id, g, 'line ' || g from o, generate_series(1, 5) g`;

async function freshPair(): Promise<Pair> {
  const [from, to] = [await cluster.database(made.from), await cluster.database(made.to)];
  return { ...made, from, to };
}

/** The comparison by itself, in ranges of a few rows. */
async function verifySmall(
  { from, to, policy: of }: Pair,
  bring: () => Promise<unknown>,
): ReturnType<typeof verifyRows> {
  await using source = await connectMover(from.url("stampyard_mover"), "mv-1");
  await using target = await connectMover(to.url("stampyard_mover"), "mv-1");
  const { tables } = classifyTables(await readTables(source), of);
  const pair = { tenant: "acme", moveId: "mv-1", source, target, tables };
  return await verifyRows(pair, { ...call, rangeRows: 25, bring: async () => void (await bring()) });
}

const someAccount = (n: number) => `(select id from accounts where tenant_id = 'acme' order by id offset ${n} limit 1)`;
const someOrder = "(select id from orders where tenant_id = 'acme' order by id offset 7 limit 1)";
/** What is done to the target past every fence, and how it is told. */
const breaks: readonly (readonly [string, RegExp])[] = [
  [`update accounts set name = name || '.' where id = ${someAccount(7)}`, /public\.accounts.*: different/],
  [`delete from accounts where id = ${someAccount(9)}`, /public\.accounts.*: missing/],
  ["insert into accounts (tenant_id, name) values ('acme', 'nobody''s')", /public\.accounts.*: extra/],
  [`update lines set what = 'other' where line = 3 and order_id = ${someOrder}`, /public\.lines.*: different/],
  [`delete from lines where line = 4 and order_id = ${someOrder}`, /public\.lines.*: missing/],
  [
    `insert into lines select order_id, 99, 'x' from lines where order_id = ${someOrder} limit 1`,
    /public\.lines.*: extra/,
  ],
  ["delete from currencies where code = 'EUR'", /public\.currencies.*: missing/],
];
/** By when it is found, at the latest. */
const found = { incremental: "verify", before: "settle", after: "compare" } as const satisfies Record<
  Move["verify"],
  PairStep
>;

test.each(["incremental", "before", "after"] as const)(
  "verified %s, each row that is broken on the target during a move is found and named, and neighbours stay (I18, I20)",
  async (verify) => {
    const pair = await freshPair();
    await using mover = await openPair(pair, { verify });
    const seen: PairStep[] = [];
    await pastTheFence(pair.to, "update accounts set name = 'renamed ' || name where tenant_id = 'cargo'");
    const cargo = await rowsOf(pair.to, "accounts", "tenant_id = 'cargo'");
    const moved = moveBy(mover, verify, {
      async before(step) {
        seen.push(step);
        if (step === "verify") for (const [sql] of breaks) await pastTheFence(pair.to, sql);
      },
    });
    const told = await moved.then(
      () => [],
      (caught: { problems?: readonly { message: string }[] }) => (caught.problems ?? []).map(({ message }) => message),
    );
    for (const [sql, what] of breaks)
      expect(
        told.some((message) => what.test(message)),
        sql,
      ).toBe(true);
    expect(told).toHaveLength(breaks.length);
    expect(seen.at(-1)).toBe(found[verify]);
    expect(await rowsOf(pair.to, "accounts", "tenant_id = 'cargo'")).toEqual(cargo);
    if (verify === "after") return;
    // Nothing is lost by it: the tenant goes on where it was.
    await mover.reopen(call);
    await pair.from.run("stampyard_app", "update accounts set n = 1 where tenant_id = 'acme'");
    await mover.forget(call);
    expect(await rowsOf(pair.to, "accounts")).toEqual([]);
    expect(await rowsOf(pair.to, "accounts", "tenant_id = 'cargo'")).toEqual(cargo);
  },
);

test.each(["incremental", "after"] as const)(
  "verified %s, a row whose owner is gone is found, too, although no tenant has it any more",
  async (verify) => {
    const pair = await freshPair();
    await using mover = await openPair(pair, { verify });
    const moved = moveBy(mover, verify, {
      async before(step) {
        if (step === "verify")
          await pastTheFence(pair.to, "insert into lines values (gen_random_uuid(), 1, 'nobody''s')");
      },
    });
    await expect(moved).rejects.toMatchObject({
      code: "NOT_EQUAL",
      problems: [{ message: expect.stringMatching(/public\.lines.*extra/) }],
    });
  },
);

test("a row that is broken after it was compared is found in the pause when it is written again, and only then (I18)", async () => {
  const pair = await freshPair();
  await using mover = await openPair(pair);
  await moveBy(mover, "incremental", { until: "fence" });
  await pair.from.run("stampyard_app", `update accounts set n = 5 where id = ${someAccount(7)}`);
  await mover.follow(call);
  await pastTheFence(pair.to, `update accounts set n = 6 where id = ${someAccount(7)}`);
  await mover.fence(call);
  await expect(mover.settle(call)).rejects.toMatchObject({ code: "NOT_EQUAL" });
});

test("verify() goes on where it stopped, and a range that differs is compared again", async () => {
  const pair = await freshPair();
  await using mover = await openPair(pair);
  await moveBy(mover, "incremental", { until: "verify" });
  await pastTheFence(pair.to, "update lines set what = 'other' where line = 3");
  for (const _ of [1, 2]) await expect(mover.verify(call)).rejects.toMatchObject({ code: "NOT_EQUAL" });
  const [row] = await pair.to.run("postgres", "select position from stampyard.move_verified");
  expect(row?.["position"]).toEqual({ done: ["public.accounts", "public.orders"], rows: 120 });
  await pastTheFence(pair.to, "update lines set what = 'line 3' where line = 3");
  expect(await mover.verify(call)).toMatchObject({ isEqual: true, rows: 420 });
  expect(await mover.look()).toMatchObject({ isCompared: true });
});

test("verify() finds nothing wrong while writers go on, and compares every key that was brought meanwhile (I15)", async () => {
  const pair = await freshPair();
  await using mover = await openPair(pair);
  let isOver = false;
  const writing = [1, 2].map(async (writer) => {
    await using app = await pair.from.connect("stampyard_app");
    for (let n = 0; !isOver; n++) {
      await app
        .query(
          `begin;
         update accounts set n = n + 1 where id = (select id from accounts where tenant_id = 'acme' and name = 'account ${1 + ((n * 7 + writer) % 60)}');
         delete from orders where id = (select id from orders where tenant_id = 'acme' order by random() limit 1);
         with o as (insert into orders (tenant_id, account) select tenant_id, id from accounts where tenant_id = 'acme' limit 1 returning id)
         insert into lines select id, ${writer}, 'new' from o;
         commit`,
        )
        .catch(() => app.query("rollback"));
    }
  });
  try {
    await moveBy(mover, "incremental", { until: "verify" });
    expect(await verifySmall(pair, () => mover.follow(call))).toMatchObject({ isEqual: true });
    for (let turn = 0; turn < 3; turn++) {
      await mover.follow(call);
      expect(await mover.verify(call)).toMatchObject({ isEqual: true });
    }
    await mover.follow(call);
  } finally {
    isOver = true;
    await Promise.all(writing);
  }
  const [brought] = await pair.to.run("postgres", "select count(*)::int as n from stampyard.move_brought");
  expect(brought?.["n"]).toBeGreaterThan(0);
  await mover.fence(call);
  const { compared } = await mover.settle(call);
  expect(compared).toMatchObject({ isEqual: true, differences: [] });
  for (const table of ["accounts", "orders"])
    expect(await rowsOf(pair.to, table)).toEqual(await rowsOf(pair.from, table));
  const ofAcme = "exists (select from orders o where o.id = t.order_id and o.tenant_id = 'acme')";
  expect(await rowsOf(pair.to, "lines", ofAcme)).toEqual(await rowsOf(pair.from, "lines", ofAcme));
});

test("copies are equal under other collations and orders, and a difference is found there, too (D15)", async () => {
  const icu = "locale_provider icu icu_locale 'en-US'";
  const [from, to] = await Promise.all([cluster.database(), cluster.database(undefined, icu)]);
  const texts = `
    create type mood as enum ('sad', 'ok');
    create table words (tenant_id text not null, word text not null, mood mood not null default 'ok', primary key (tenant_id, word, mood));
    create table codes (tenant_id text not null, code char(8) not null, name varchar(20) collate "C" not null,
      primary key (tenant_id, code), unique (tenant_id, name));`;
  const rows = `insert into words select 'acme', w || g from unnest(array['a', 'B', 'ä', 'Z', '_', 'z', '-', ' ']) w, generate_series(1, 40) g;
    insert into codes select 'acme', w || g, g || w from unnest(array['a', 'B', 'Z', '_']) w, generate_series(1, 9) g`;
  const pair = await preparePair(from, to, { schema: texts, rows });
  await using mover = await openPair(pair);
  expect((await mover.check(call)).warnings.map(({ what }) => what).join()).toContain("sorts text by");
  await moveBy(mover, "incremental", { until: "verify" });
  await pastTheFence(to, "delete from words where word = 'B3'");
  await expect(verifySmall(pair, async () => {})).rejects.toThrow('["acme", "B3", "ok"] is missing');
  await pastTheFence(to, "insert into words values ('acme', 'B3')");
  expect(await verifySmall(pair, async () => {})).toMatchObject({ isEqual: true, rows: 356 });
});
