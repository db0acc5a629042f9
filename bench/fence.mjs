/**
 * What the fence of a move costs ordinary writes: at rest, with another tenant's move armed, and with the tenant's own.
 * Beside it the same table without the fence, twice (A/A), in interleaved rounds on one PostgreSQL with default
 * settings: commits reach the disk. The backend's processor time shows the fence alone.
 *
 * A single client on a machine that does nothing else sends one statement and sleeps: there the ratio has in it how the
 * machine wakes from its sleep, which takes longer after a longer wait. So the same is measured beside other writers, too.
 *
 *   npm run bench:fence             21 rounds
 *   npm run bench:fence -- --quick  7 rounds
 */
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { armMove, installFence } from "@stampyard/movers";
import { startCluster } from "../test/movers/cluster.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const rounds = process.argv.includes("--quick") ? 7 : 21;
const tenants = 2_000;
const updatesPerRound = 400;
const otherWriters = 3;
const bulkRows = 10_000;
const clock = { now: () => Date.now(), sleep: (ms) => sleep(ms) };
const loadBefore = loadavg();

await using cluster = await startCluster({ durable: true });
const db = await cluster.database();
const tables = { plain: "plain_a", again: "plain_b", fenced: "fenced" };
for (const table of Object.values(tables)) {
  await db.run(
    "stampyard_owner",
    `create table ${table} (tenant_id text not null, id bigint not null, n int not null default 0,
       body text not null default repeat('x', 200), primary key (tenant_id, id));
     insert into ${table} (tenant_id, id) select 't' || (g % ${tenants} + 1), g from generate_series(1, 20000) g;`,
  );
}
await db.run(
  "stampyard_owner",
  "create table other (id bigint primary key, n int not null); insert into other select g, 0 from generate_series(1, 20000) g",
);
await db.run(
  "stampyard_mover",
  `insert into stampyard.tenant_home (tenant, state, epoch) select 't' || g, 'active', 1 from generate_series(1, ${tenants}) g`,
);
await using admin = await db.connect("postgres");
const fencedTable = { schema: "public", table: "fenced", tenantColumn: "tenant_id", key: ["tenant_id", "id"] };
await installFence(admin, [fencedTable], "enforce", { clock });
await admin.query("vacuum analyze");
await using app = await db.connect("stampyard_app");
await using mover = await db.connect("stampyard_mover");

/** Processor time of the application's backend so far, in microseconds: what other processes do does not count. */
function backendCpu() {
  return Number(readFileSync(`/proc/${app.pid}/schedstat`, "utf8").split(" ")[0]) / 1000;
}

async function singleRow(table, level, tenant) {
  await app.query(`set default_transaction_isolation = '${level}'`);
  const began = performance.now();
  const cpuBefore = backendCpu();
  for (let i = 1; i <= updatesPerRound; i++) {
    const id = tenant === undefined ? i : ((i % 10) + 1) * tenants + tenant - 1;
    const key = tenant === undefined ? (i % tenants) + 1 : tenant;
    await app.query(`update ${table} set n = n + 1 where tenant_id = $1 and id = $2`, [`t${key}`, id]);
  }
  const cpu = (backendCpu() - cpuBefore) / updatesPerRound;
  return { wall: ((performance.now() - began) * 1000) / updatesPerRound, cpu };
}

async function bulk(table) {
  await app.query("set default_transaction_isolation = 'read committed'");
  const began = performance.now();
  const cpuBefore = backendCpu();
  await app.query("begin");
  await app.query(
    `insert into ${table} (tenant_id, id) select 't' || (g % ${tenants} + 1), 1000000 + g from generate_series(1, ${bulkRows}) g`,
  );
  await app.query("rollback");
  return { wall: ((performance.now() - began) * 1000) / bulkRows, cpu: (backendCpu() - cpuBefore) / bulkRows };
}

const rowsOf = new Map();
/** Plain, fenced and plain again in one round; the ratio is taken round by round. */
async function compare(name, unit, run) {
  const seen = { plain: [], again: [], fenced: [] };
  for (let round = -1; round < rounds; round++) {
    const order = round % 2 === 0 ? ["plain", "fenced", "again"] : ["again", "fenced", "plain"];
    for (const which of order) {
      const figure = await run(tables[which]);
      if (round >= 0) seen[which].push(figure);
    }
  }
  const judge = (of) => {
    const base = seen.plain.map((figure, i) => (of(figure) + of(seen.again[i])) / 2);
    return {
      plain: median(base),
      fenced: median(seen.fenced.map(of)),
      ratio: median(seen.fenced.map((figure, i) => of(figure) / base[i])),
      aa: median(
        seen.again.map((figure, i) => Math.max(of(figure) / of(seen.plain[i]), of(seen.plain[i]) / of(figure))),
      ),
    };
  };
  rowsOf.set(name, { unit, wall: judge((figure) => figure.wall), cpu: judge((figure) => figure.cpu) });
}

/** Runs `work` while other clients write to another table. */
async function besideOthers(work) {
  const script = join(root, "bench/fence/other-writers.mjs");
  const others = spawn(process.execPath, [script, db.url("stampyard_app"), String(otherWriters)], { stdio: "inherit" });
  try {
    await untilBusy();
    await work();
  } finally {
    const ended = new Promise((resolve) => others.once("exit", resolve));
    others.kill();
    await ended;
  }
}

async function untilBusy() {
  const deadline = performance.now() + 20_000;
  for (;;) {
    const { rows } = await admin.query(
      "select count(*)::int as n from pg_stat_activity where query like 'update other %' and datname = current_database()",
    );
    if (rows[0].n === otherWriters) return;
    if (performance.now() > deadline) throw new Error("The other writers do not begin");
    await sleep(20);
  }
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

await compare("update of one row, at rest, read committed", "us/transaction", (t) => singleRow(t, "read committed"));
await compare("update of one row, at rest, repeatable read", "us/transaction", (t) => singleRow(t, "repeatable read"));
await besideOthers(() =>
  compare(`update of one row, at rest, beside ${otherWriters} other writers`, "us/transaction", (t) =>
    singleRow(t, "read committed"),
  ),
);
await compare("insert of 10,000 rows in one statement, at rest", "us/row", bulk);
await armMove(mover, { tenant: "t1", moveId: "bench" }, 1);
await compare("update of one row while another tenant moves", "us/transaction", (t) => singleRow(t, "read committed"));
await compare("update of one row of the moving tenant", "us/transaction", (t) => singleRow(t, "read committed", 1));

const limits = new Map([
  ["update of one row, at rest, read committed", 1.1],
  [`update of one row, at rest, beside ${otherWriters} other writers`, 1.1],
]);
console.log(
  `\nfence: ${rounds} interleaved rounds, load ${loadBefore[0].toFixed(2)} before, ${loadavg()[0].toFixed(2)} after\n`,
);
for (const [name, { unit, wall, cpu }] of rowsOf) {
  const limit = limits.get(name);
  const must = limit === undefined ? "" : `  must be at most ${limit}: ${wall.ratio <= limit ? "yes" : "NO"}`;
  console.log(`${name} (${unit})`);
  for (const [what, row] of Object.entries({ "wall time": wall, "backend's processor": cpu })) {
    const figures = `${row.plain.toFixed(1).padStart(8)} -> ${row.fenced.toFixed(1).padStart(8)}`;
    const verdict = what === "wall time" ? must : "";
    console.log(`  ${what.padEnd(20)} ${figures}  x ${row.ratio.toFixed(2)} (A/A ${row.aa.toFixed(2)})${verdict}`);
  }
}
const result = {
  benchmark: "fence",
  at: new Date().toISOString(),
  machine: {
    cpus: cpus().length,
    model: cpus()[0]?.model,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
  },
  load: { before: loadBefore, after: loadavg() },
  rounds,
  rows: Object.fromEntries(rowsOf),
};
mkdirSync(join(root, "bench/results"), { recursive: true });
const file = join(root, `bench/results/fence-${result.at.slice(0, 10)}.json`);
writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`);
console.log(`\n${file.slice(root.length + 1)}`);
