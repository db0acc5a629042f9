import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { connectMover, type MoverDb } from "../../packages/movers/src/postgres-rows/connect.ts";
import { copyBetween } from "../../packages/movers/src/postgres-rows/copy-between.ts";
import { until } from "../light-fleet.ts";
import { type Cluster, startCluster, type TestDatabase } from "./cluster.ts";

const rows = 60_000;
/** Rows from nothing to 3 MB, NULL among them. */
const schema = `
create table things (id int primary key, body text, raw bytea);
grant all on things to stampyard_mover;`;
const fill = `
insert into things select n, case n % 7 when 0 then null else repeat(md5(n::text), n % 13) end,
  convert_to(repeat(n::text, n % 5), 'UTF8') from generate_series(1, ${rows}) n;
insert into things select ${rows} + n, repeat(md5(n::text), n * 10000), null from generate_series(1, 9) n;`;

let cluster: Cluster;
let from: TestDatabase;
let to: TestDatabase;
beforeAll(async () => {
  cluster = await startCluster();
  [from, to] = [await cluster.database(), await cluster.database()];
  await from.run("stampyard_owner", schema + fill);
  await to.run("stampyard_owner", schema);
});
afterAll(() => cluster?.[Symbol.asyncDispose]());

const out = (what = "things") => `copy (select * from ${what}) to stdout`;
const into = "copy things from stdin";

test.each(["text", "binary"])("copyBetween() brings every row as it was, in %s", async (format) => {
  await using pair = await openPair();
  const copied = await copyBetween(
    pair.source,
    `${out()} (format ${format})`,
    pair.target,
    `${into} (format ${format})`,
  );
  expect(copied.rows).toBe(rows + 9);
  expect(copied.bytes).toBeGreaterThan(14_000_000);
  expect(await sumOf(pair.target)).toBe(await sumOf(pair.source));
});

test("copyBetween() says nothing was copied when there is nothing", async () => {
  await using pair = await openPair();
  expect(await copyBetween(pair.source, out("things where false"), pair.target, into)).toEqual({ rows: 0, bytes: 0 });
});

test("copyBetween() tells the target when the source fails in the middle, and both can go on", async () => {
  await using pair = await openPair();
  const failing = `copy (select id, body, (1 / (id - ${rows - 5}))::text::bytea from things) to stdout`;
  await expect(copyBetween(pair.source, failing, pair.target, into)).rejects.toThrow("division by zero");
  await goesOn(pair);
});

test("copyBetween() reads the source to its end when the target fails in the middle, and both can go on", async () => {
  await using pair = await openPair();
  const twice = out("(select * from things union all select * from things where id = 3) t");
  await expect(copyBetween(pair.source, twice, pair.target, into)).rejects.toThrow("duplicate key");
  await goesOn(pair);
});

test("copyBetween() names the statement that was refused, on either side", async () => {
  await using pair = await openPair();
  await expect(copyBetween(pair.source, out("nowhere"), pair.target, into)).rejects.toThrow("nowhere");
  await goesOn(pair);
  await expect(copyBetween(pair.source, out(), pair.target, "copy elsewhere from stdin")).rejects.toThrow("elsewhere");
  await goesOn(pair);
});

test.each(["source", "target"] as const)(
  "copyBetween() fails when its %s is lost, and the other goes on",
  async (lost) => {
    await using pair = await openPair();
    await using held = await holdTarget();
    const copying = copyBetween(pair.source, out(), pair.target, into).catch((error: unknown) => error);
    await waitsFor(pair, "ClientWrite");
    await from.run("postgres", "select pg_terminate_backend($1)", [pair[`${lost}Pid`]]);
    await held.query("rollback");
    expect(String(await copying)).toMatch(/terminat/);
    const left = lost === "source" ? pair.target : pair.source;
    await left.query("rollback");
    expect((await left.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
  },
);

test("copyBetween() takes from the source no more than the target takes", async () => {
  await using pair = await openPair();
  await using held = await holdTarget();
  const copying = copyBetween(pair.source, out(), pair.target, into);
  await waitsFor(pair, "ClientWrite");
  await held.query("rollback");
  expect((await copying).rows).toBe(rows + 9);
});

describe("over TLS", () => {
  let remote: Cluster;
  let there: TestDatabase;
  let url: string;
  beforeAll(async () => {
    const tlsPort = await freePort();
    remote = await startCluster({ tlsPort });
    there = await remote.database();
    await there.run(
      "stampyard_owner",
      `${schema} create table again (like things); grant all on again to stampyard_mover`,
    );
    url = `postgres://stampyard_mover@127.0.0.1:${tlsPort}/${there.name}?sslmode=no-verify`;
  });
  afterAll(() => remote?.[Symbol.asyncDispose]());

  test("copyBetween() copies in both directions", async () => {
    await using source = await connectMover(from.url("stampyard_mover"), "m1");
    await using target = await connectMover(url, "m1");
    await using back = await connectMover(url, "m1");
    const seen = await back.query("select ssl from pg_stat_ssl where pid = pg_backend_pid()");
    expect(seen.rows).toEqual([{ ssl: true }]);
    expect((await copyBetween(source, out(), target, into)).rows).toBe(rows + 9);
    expect(await sumOf(target)).toBe(await sumOf(source));
    expect((await copyBetween(back, out(), target, "copy again from stdin")).rows).toBe(rows + 9);
    expect(await sumOf(target, "again")).toBe(await sumOf(source));
  });

  test("copyBetween() leaves a source that ended before its last rows were written ready for its next statement", async () => {
    await using source = await connectMover(from.url("stampyard_mover"), "m1");
    await using target = await connectMover(url, "m1");
    await target.query("begin; delete from things");
    // Rows of megabytes: the last of them still waits when its end has come.
    expect((await copyBetween(source, out(`things where id > ${rows}`), target, into)).rows).toBe(9);
    expect((await source.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    await target.query("rollback");
  });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

interface Pair extends AsyncDisposable {
  readonly source: MoverDb;
  readonly target: MoverDb;
  readonly sourcePid: number;
  readonly targetPid: number;
}

async function openPair(): Promise<Pair> {
  const source = await connectMover(from.url("stampyard_mover"), "m1");
  const target = await connectMover(to.url("stampyard_mover"), "m1");
  const pidOf = async (db: MoverDb) => Number((await db.query("select pg_backend_pid() as pid")).rows[0]?.["pid"]);
  const [sourcePid, targetPid] = [await pidOf(source), await pidOf(target)];
  await target.query("begin");
  return {
    source,
    target,
    sourcePid,
    targetPid,
    async [Symbol.asyncDispose]() {
      await source[Symbol.asyncDispose]();
      await target[Symbol.asyncDispose]();
    },
  };
}

/** Both answer, and nothing of the copy that failed is left. */
async function goesOn({ source, target }: Pair): Promise<void> {
  await target.query("rollback; begin");
  expect((await target.query("select count(*)::int as n from things")).rows).toEqual([{ n: 0 }]);
  expect((await source.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
  const copied = await copyBetween(source, out("things where id <= 100"), target, into);
  expect(copied.rows).toBe(100);
  await target.query("rollback; begin");
}

/** The target takes no row until this is rolled back. */
async function holdTarget() {
  const held = await to.connect("stampyard_owner");
  await held.query("begin; lock table things in exclusive mode");
  return held;
}

async function waitsFor(pair: Pair, event: string): Promise<void> {
  await until(`the source to wait for ${event}`, async () => {
    const [found] = await from.run("postgres", "select wait_event from pg_stat_activity where pid = $1", [
      pair.sourcePid,
    ]);
    return found?.["wait_event"] === event ? true : undefined;
  });
}

async function sumOf(db: MoverDb, table = "things"): Promise<unknown> {
  const { rows: sums } = await db.query(`select md5(string_agg(t::text, ',' order by id)) as sum from ${table} t`);
  return sums[0]?.["sum"];
}
