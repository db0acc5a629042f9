import {
  admitTenant,
  armMove,
  captureRound,
  classifyTables,
  closeFence,
  compareTenant,
  connectMover,
  copyTenant,
  flip,
  forgetImport,
  forgetRows,
  installFence,
  type MoverDb,
  type MoveTable,
  openTenant,
  readTables,
  waitForOldWriters,
} from "@stampyard/movers";
import { createSeededRandom } from "@stampyard/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { checkRows } from "../../packages/movers/src/postgres-rows/check-rows.ts";
import { type Cluster, startCluster, type TestDatabase } from "./cluster.ts";
import { clock, isolationLevels, outcome } from "./fence-bed.ts";

let clusters: readonly [Cluster, Cluster];
beforeAll(async () => {
  clusters = await Promise.all([startCluster(), startCluster()]);
});
afterAll(async () => {
  await Promise.all(clusters.map((cluster) => cluster[Symbol.asyncDispose]()));
});

const policy = { tenantColumn: "tenant_id", ids: {}, via: {}, reference: ["currencies"], ignored: [] };
const schema = `
create table currencies (code text primary key);
create table accounts (tenant_id text not null, id uuid not null default gen_random_uuid(), name text, n bigint not null default 0,
  doubled bigint generated always as (n * 2) stored, primary key (tenant_id, id), unique (tenant_id, name));
create table entries (tenant_id text not null, account uuid not null, id uuid not null default gen_random_uuid(),
  writer int, seq int, at timestamptz default clock_timestamp(), amount numeric, tags text[], doc jsonb, raw bytea,
  primary key (tenant_id, id), foreign key (tenant_id, account) references accounts on delete cascade);`;

interface Pair {
  readonly from: TestDatabase;
  readonly to: TestDatabase;
  readonly source: MoverDb;
  readonly target: MoverDb;
  readonly tables: readonly MoveTable[];
}

async function pair(rows: number): Promise<Pair & AsyncDisposable> {
  const [from, to] = await Promise.all([clusters[0].database(), clusters[1].database()]);
  for (const db of [from, to]) {
    await db.run("stampyard_owner", `${schema} insert into currencies values ('EUR');`);
    await using admin = await db.connect("postgres");
    const { tables, problems } = classifyTables(await readTables(admin), policy);
    expect(problems).toEqual([]);
    await installFence(admin, tables, "enforce", { clock });
  }
  await from.run(
    "stampyard_mover",
    "insert into stampyard.tenant_home (tenant, state, epoch) values ('acme', 'active', 1), ('bolt', 'active', 1)",
  );
  await to.run(
    "stampyard_mover",
    "insert into stampyard.tenant_home (tenant, state, epoch) values ('cargo', 'active', 1)",
  );
  for (const [db, tenant] of [
    [from, "acme"],
    [from, "bolt"],
    [to, "cargo"],
  ] as const) {
    await db.run(
      "stampyard_app",
      `with a as (insert into accounts (tenant_id, name) select $1, 'account ' || g from generate_series(1, 10) g returning id)
       insert into entries (tenant_id, account, writer, seq, amount, tags, doc, raw)
       select $1, a.id, 0, g, g / 3.0, array['x', null, E'a\\tb'], jsonb_build_object('g', g), decode('00ff', 'hex')
       from a, generate_series(1, ${rows / 10}) g`,
      [tenant],
    );
  }
  const source = await connectMover(from.url("stampyard_mover"), "m1");
  const target = await connectMover(to.url("stampyard_mover"), "m1");
  const { tables } = classifyTables(await readTables(source), policy);
  return {
    from,
    to,
    source,
    target,
    tables,
    async [Symbol.asyncDispose]() {
      await Promise.all([source[Symbol.asyncDispose](), target[Symbol.asyncDispose]()]);
    },
  };
}

const acme = { tenant: "acme", moveId: "m1" };

/** Everything up to the closed fence and the last captured change. */
async function bringOver({ source, target, tables }: Pair, rangeRows: number): Promise<void> {
  await admitTenant(target, tables, acme, 2);
  await armMove(source, acme, 1);
  await waitForOldWriters(source, tables, { clock, deadlineMs: 5_000 });
  await copyTenant(source, target, tables, { ...acme, rangeRows });
  for (let round = 0; round < 50; round++) {
    const { changes } = await captureRound(source, target, tables, acme);
    if (changes < 50) break;
  }
  await closeFence(source, acme, { clock, maxPauseMs: 20_000, attempts: 40 });
  while (!(await captureRound(source, target, tables, acme)).isLast);
}

interface Acknowledged {
  readonly writer: number;
  readonly seq: number;
}

/** Clients that know only where the tenant was last: they write, and look again when they are refused. */
async function writeAlong(pairOf: Pair, writer: number, until: () => boolean): Promise<Acknowledged[]> {
  const level = isolationLevels[writer % isolationLevels.length];
  await using there = await pairOf.to.connect("stampyard_app");
  await using here = await pairOf.from.connect("stampyard_app");
  const accounts = (await here.query("select id from accounts where tenant_id = 'acme' order by id")).rows;
  const random = createSeededRandom(writer);
  const acknowledged: Acknowledged[] = [];
  let home = here;
  for (let seq = 1; !until(); seq++) {
    const account = accounts[random.int(0, accounts.length - 1)]?.["id"];
    const write = async () => {
      await home.query(`begin isolation level ${level}`);
      const { rowCount } = await home.query("update accounts set n = n + 1 where tenant_id = 'acme' and id = $1", [
        account,
      ]);
      // Nobody looks at a target before it opens but this test: a statement may then find the row not there, or gone.
      if (rowCount !== 1) throw Object.assign(new Error("not there yet"), { code: "SY001" });
      await home.query("insert into entries (tenant_id, account, writer, seq) values ('acme', $1, $2, $3)", [
        account,
        writer,
        seq,
      ]);
      if (seq % 5 === 0) {
        await home.query(
          "delete from entries where tenant_id = 'acme' and writer = 0 and id = (select id from entries where tenant_id = 'acme' and writer = 0 limit 1)",
        );
      }
      await home.query("commit");
    };
    for (;;) {
      const state = await outcome(write());
      if (state === "ok") break;
      await home.query("rollback");
      if (!["40001", "40P01", "SY001"].includes(state)) throw new Error(`writer ${writer}: ${state}`);
      if (state === "SY001") home = home === here ? there : here;
      await clock.sleep(3);
    }
    acknowledged.push({ writer, seq });
  }
  return acknowledged;
}

test("a tenant moves under writers at every isolation level: each acknowledged write is on its new home once, and nowhere else (I15–I18)", async () => {
  await using both = await pair(4_000);
  const { from, to, source, target, tables } = both;
  const neighbours = await from.run("postgres", "select * from entries where tenant_id = 'bolt' order by id");
  let isOver = false;
  const writers = [1, 2, 3, 4, 5, 6].map((writer) => writeAlong(both, writer, () => isOver));
  await clock.sleep(150);
  await bringOver(both, 500);
  // The source is frozen by its fence; the target's view is taken before it opens.
  const view = await connectMover(to.url("stampyard_mover"), "m1");
  await view.query("begin isolation level repeatable read read only");
  await view.query("select 1 from accounts limit 1");
  expect(await flip(source, acme, "shared-2")).toBe(true);
  await openTenant(target, acme, 2);
  await openTenant(target, acme, 2);
  const compared = await compareTenant(source, view, tables, "acme");
  expect(compared.map(({ table, isEqual, differences }) => ({ table, isEqual, differences }))).toEqual([
    { table: "accounts", isEqual: true, differences: [] },
    { table: "entries", isEqual: true, differences: [] },
  ]);
  await view[Symbol.asyncDispose]();
  await clock.sleep(200);
  isOver = true;
  const acknowledged = (await Promise.all(writers)).flat();

  const there = await to.run("postgres", "select writer, seq from entries where tenant_id = 'acme' and writer > 0");
  const names = (rows: readonly Record<string, unknown>[]) =>
    rows.map((row) => `${row["writer"]}/${row["seq"]}`).sort();
  expect(names(there)).toEqual(names(acknowledged as unknown as Record<string, unknown>[]));
  expect(acknowledged.length).toBeGreaterThan(100);
  const [sums] = await to.run(
    "postgres",
    "select sum(n)::int as n, sum(doubled)::int as d from accounts where tenant_id = 'acme'",
  );
  expect(sums).toEqual({ n: acknowledged.length, d: acknowledged.length * 2 });
  // Nobody else noticed, on either side (I20).
  expect(await from.run("postgres", "select * from entries where tenant_id = 'bolt' order by id")).toEqual(neighbours);
  expect(await to.run("postgres", "select count(*)::int as n from entries where tenant_id = 'cargo'")).toEqual([
    { n: 4_000 },
  ]);

  const erased = await forgetRows(source, tables, acme, "moved");
  expect(erased.every(({ rows }) => rows > 0)).toBe(true);
  expect(await from.run("postgres", "select count(*)::int as n from entries where tenant_id = 'acme'")).toEqual([
    { n: 0 },
  ]);
  expect(await from.run("postgres", "select count(*)::int as n from stampyard.move_change")).toEqual([{ n: 0 }]);
}, 60_000);

test("copyTenant() goes on where it stopped, without a row twice", async () => {
  await using both = await pair(1_000);
  const { source, target, tables, to } = both;
  await admitTenant(target, tables, acme, 2);
  await armMove(source, acme, 1);
  const stop = new AbortController();
  let ranges = 0;
  const options = { ...acme, rangeRows: 130, signal: stop.signal };
  const stopped = copyTenant(source, target, tables, {
    ...options,
    onRange: () => {
      ranges += 1;
      if (ranges === 4) stop.abort(new Error("stopped"));
    },
  });
  await expect(stopped).rejects.toThrow("stopped");
  // A repeat of the first step of the same move keeps what is there.
  await admitTenant(target, tables, acme, 2);
  await copyTenant(source, target, tables, { ...acme, rangeRows: 130 });
  const view = await compareTenant(source, target, tables, "acme");
  expect(view.every((table) => table.isEqual)).toBe(true);
  await forgetImport(target, tables, acme);
  const left = await to.run("postgres", "select tenant_id, count(*)::int as n from entries group by 1");
  expect(left).toEqual([{ tenant_id: "cargo", n: 1_000 }]);
});

test("compareTenant() names the rows that are missing, extra or different", async () => {
  await using both = await pair(100);
  const { source, target, tables, to } = both;
  await bringOver(both, 1_000);
  const [first, second] = await to.run(
    "postgres",
    "select id from accounts where tenant_id = 'acme' order by id limit 2",
  );
  await to.run(
    "postgres",
    "set session_replication_role = replica; delete from accounts where tenant_id = 'acme' and id = '" +
      String(first?.["id"]) +
      "'",
  );
  await to.run(
    "postgres",
    "set session_replication_role = replica; update accounts set n = 7 where tenant_id = 'acme' and id = '" +
      String(second?.["id"]) +
      "'",
  );
  await to.run(
    "postgres",
    "set session_replication_role = replica; insert into accounts (tenant_id, id) values ('acme', '00000000-0000-0000-0000-000000000000')",
  );
  const [accounts] = await compareTenant(source, target, tables, "acme");
  expect(accounts?.differences.map(({ what }) => what).sort()).toEqual(["different", "extra", "missing"]);
});

test("a captured key that the application made up reaches no other tenant's rows, and does no harm", async () => {
  await using both = await pair(100);
  const { source, target, tables, from, to } = both;
  await admitTenant(target, tables, acme, 2);
  await armMove(source, acme, 1);
  await copyTenant(source, target, tables, acme);
  const [cargo] = await to.run("postgres", "select id from accounts where tenant_id = 'cargo' limit 1");
  const forged = [
    `{"tenant_id": "cargo", "id": "${String(cargo?.["id"])}"}`,
    '{"tenant_id": null, "id": null}',
    '{"nonsense": true}',
    '{"tenant_id": "acme", "id": "00000000-0000-0000-0000-000000000000"}',
  ];
  for (const key of forged) {
    await from.run(
      "stampyard_app",
      "select stampyard.fence_busy('acme', 'accounts'::regclass, null, $1::jsonb, array['tenant_id', 'id'])",
      [key],
    );
  }
  expect((await captureRound(source, target, tables, acme)).changes).toBe(forged.length);
  expect(await to.run("postgres", "select count(*)::int as n from accounts where tenant_id = 'cargo'")).toEqual([
    { n: 10 },
  ]);
  expect((await compareTenant(source, target, tables, "acme")).every((table) => table.isEqual)).toBe(true);
});

test("two rows that swap a unique value across rounds still arrive (D14)", async () => {
  await using both = await pair(100);
  const { source, target, tables, from } = both;
  await admitTenant(target, tables, acme, 2);
  await armMove(source, acme, 1);
  await copyTenant(source, target, tables, acme);
  const swap = `update accounts set name = case name when 'account 1' then 'tmp' else name end where tenant_id = 'acme';
    update accounts set name = 'account 1' where tenant_id = 'acme' and name = 'account 2';
    update accounts set name = 'account 2' where tenant_id = 'acme' and name = 'tmp'`;
  await from.run("stampyard_app", swap);
  for (;;) if ((await captureRound(source, target, tables, { ...acme, limit: 1 })).changes === 0) break;
  expect((await compareTenant(source, target, tables, "acme")).every((table) => table.isEqual)).toBe(true);
});

test.each([
  ["where the mover may tell the planner", true],
  ["where it may not", false],
])(
  "a round of thousands of changes looks each up by its key, though the target was empty when its planner last looked, %s",
  async (_, maySay) => {
    await using both = await pair(24_000);
    const { from, to, source, target, tables } = both;
    await using admin = await to.connect("postgres");
    // As after an earlier move: pages are there, and no rows in them.
    await admin.query("alter table entries set (autovacuum_enabled = false)");
    await admin.query("set session_replication_role = replica");
    await admin.query("delete from entries");
    await admin.query("vacuum (truncate false, analyze) entries");
    await admitTenant(target, tables, acme, 2);
    await armMove(source, acme, 1);
    await waitForOldWriters(source, tables, { clock, deadlineMs: 5_000 });
    if (!maySay) await admin.query("revoke pg_maintain from stampyard_mover");
    try {
      await copyTenant(source, target, tables, acme);
      const [{ rows } = { rows: 0 }] = await to.run(
        "postgres",
        "select reltuples::int as rows from pg_class where relname = 'entries'",
      );
      if (maySay) expect(rows).toBeGreaterThan(18_000);
      else expect(rows).toBeLessThan(1_000);
      await from.run("stampyard_app", "update entries set seq = -1 where tenant_id = 'acme' and seq % 8 = 0");
      // Keys times rows would be 72 million comparisons.
      await target.query("set statement_timeout = '3s'");
      const { changes } = await captureRound(source, target, tables, acme);
      expect(changes).toBe(3_000);
      expect(await rowsWith(to, -1)).toBe(3_000);
    } finally {
      if (!maySay) await admin.query("grant pg_maintain to stampyard_mover");
    }
  },
);

test("a check that loses both databases fails as a whole: no part of it is left that nobody hears of", async () => {
  await using both = await pair(10);
  const { source, target } = both;
  const lost: MoverDb = {
    ...target,
    isOpen: true,
    async query(sql, values) {
      if (!sql.includes("session_replication_role")) return await target.query(sql, values);
      // The other side is in the middle of its part then.
      setImmediate(() => source.destroy());
      throw new Error("Connection terminated");
    },
  };
  const call = { signal: new AbortController().signal };
  await expect(checkRows(source, lost, policy, "acme", call)).rejects.toThrow();
});

async function rowsWith(db: TestDatabase, seq: number): Promise<number> {
  const [found] = await db.run(
    "postgres",
    "select count(*)::int as n from entries where tenant_id = 'acme' and seq = $1",
    [seq],
  );
  return Number(found?.["n"]);
}
