/**
 * Placement where a fleet is large: 1,000,000 tenants on 2,000 stamps of one pool, on PostgreSQL as `up` starts it, with
 * the sequencer beside it as in a leader. One creation decides, reserves, writes tenant, history and audit row, and
 * commits; a bare commit is one row inserted in a transaction of its own, over the same kind of connection, in turns
 * with the creations.
 *
 *   npm run bench:placement             1,000,000 tenants on 2,000 stamps
 *   npm run bench:placement -- --quick  50,000 tenants on 200 stamps, shorter runs
 *
 * The parts of the control plane are taken from their sources, since its package exports only the whole.
 */
import { randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, loadavg, tmpdir, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { choosePlacement } from "../packages/domain/src/index.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const quick = process.argv.includes("--quick");
const scale = quick
  ? { stamps: 200, tenants: 50_000, rounds: 4, perRound: 100, openLoopMs: 5_000, maxMs: 3_000 }
  : { stamps: 2_000, tenants: 1_000_000, rounds: 10, perRound: 200, openLoopMs: 30_000, maxMs: 10_000 };
const perSecond = 500;
const from = (path) => import(`../packages/control-plane/src/${path}`);
const round = (value, digits = 2) => Number(value.toFixed(digits));
const sorted = (values) => values.toSorted((a, b) => a - b);
const quantile = (values, share) => values[Math.min(values.length - 1, Math.floor(values.length * share))];
const summary = (values) => {
  const s = sorted(values);
  return { p50: round(quantile(s, 0.5)), p99: round(quantile(s, 0.99)), max: round(s.at(-1)), count: s.length };
};
const loads = [];
const noteLoad = (when) => loads.push({ when, load1: round(loadavg()[0]) });
const say = (text) => console.error(text);

await main();

async function main() {
  const { ensureStore, destroyStore } = await import("../packages/engines/src/index.ts");
  const stateDir = mkdtempSync(join(tmpdir(), "stampyard-bench-"));
  // The store runs as a user of its own, who has to get through here.
  chmodSync(stateDir, 0o755);
  noteLoad("start");
  try {
    const world = await openWorld((await ensureStore({ stateDir })).url);
    try {
      report(await measureAll(world));
    } finally {
      await world.close();
    }
  } finally {
    await destroyStore({ stateDir });
    rmSync(stateDir, { recursive: true, force: true });
  }
}

async function measureAll(world) {
  const fill = await fillFleet(world);
  noteLoad("filled");
  const decisionOnly = await timeChoice(world);
  const latency = await timeCommits(world);
  noteLoad("latency");
  const spread = await openLoop(world, "shared");
  noteLoad("open loop, spread");
  const pack = await openLoop(world, "packed");
  noteLoad("open loop, pack");
  const most = await closedLoop(world);
  noteLoad("closed loop");
  const counters = await recount(world);
  return { fill, decisionOnly, latency, openLoop: { spread, pack }, most, counters };
}

async function openWorld(url) {
  const { openStore } = await from("store/open.ts");
  const { openDatabase } = await from("store/database.ts");
  const { makeMasterKey } = await from("store/seal.ts");
  const { runSequencer } = await from("reconcilers/sequencer.ts");
  const { systemClock } = await from("system-ports.ts");
  const { applyFleet, fleetFixture, leaderOf, poolFixture } = await from("store/test-store.ts");
  const store = await openStore({ url, keys: [makeMasterKey(randomBytes(32))], clock: systemClock });
  const ctx = await leaderOf(store, "bench");
  const pools = [poolFixture("shared"), { ...poolFixture("packed"), placement: { strategy: "pack" } }];
  await applyFleet(store, ctx, [], { fleet: fleetFixture(pools) });
  const silent = () => {};
  const log = { debug: silent, info: silent, warn: silent, error: console.error };
  const stop = new AbortController();
  const sequencer = runSequencer({ store, clock: systemClock, log }, ctx.token, stop.signal);
  const bare = openDatabase(url, "bench", 1);
  let number = 0;
  return {
    url,
    store,
    ctx,
    bare,
    create: (pool) => {
      number += 1;
      return store.tenants.create({ key: `new-${number}`, pool, weight: { rps: 5 } }, ctx);
    },
    async close() {
      stop.abort();
      await sequencer;
      await bare.end();
      await store.close();
    },
  };
}

/** By statements over series: a million creations are not what is measured. */
async function fillFleet({ url, bare }) {
  const began = performance.now();
  const client = new pg.Client({ connectionString: url, options: "-c search_path=stampyard_control" });
  client.on("error", console.error);
  await client.connect();
  await client.query(
    `INSERT INTO stamps (name, pool, region, goal, state, release_digest, parameters, stamp_digest, capacity, endpoints,
       endpoint_revision)
     SELECT pool || '-' || n, pool, (ARRAY['fra', 'iad', 'syd'])[1 + n % 3], 'present', '{"kind": "active"}', 'sha256:0',
       '{}', 'sha256:0', capacity::jsonb, '[]', 1
     FROM (VALUES ('shared', $1::int, '{"tenants": 1000, "units": {"rps": 6000, "gib": 500}}'),
       ('packed', 20, '{"tenants": 1000000, "units": {"rps": 10000000}}')) AS p (pool, count, capacity),
       generate_series(1, p.count) AS n`,
    [scale.stamps],
  );
  const step = 50_000;
  for (let first = 0; first < scale.tenants; first += step) {
    await client.query(
      `INSERT INTO tenants (key, pool, tier, residency, weight, goal, state, stamp, epoch)
       SELECT 'tenant-' || n, 'shared', 'standard', '{}', jsonb_build_object('tenants', 1, 'rps', 1 + n % 9, 'gib', 0.5),
         'present', '{"kind": "active"}', 'shared-' || 1 + n % $3::int, 1
       FROM generate_series($1::int, $2::int) AS n`,
      [first, Math.min(first + step, scale.tenants) - 1, scale.stamps],
    );
  }
  for (const table of ["tenants", "stamps", "stamp_use"]) await client.query(`VACUUM ANALYZE ${table}`);
  await client.end();
  await bare.query("CREATE TABLE bench_commit (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text)");
  const seconds = round((performance.now() - began) / 1_000, 1);
  say(`${scale.tenants} tenants on ${scale.stamps} stamps are there after ${seconds} s`);
  return { stamps: scale.stamps, tenants: scale.tenants, seconds };
}

/** The pure part alone, over the candidates of the large pool. */
async function timeChoice({ bare, store, ctx }) {
  const { createFleetView } = await from("store/fleet-view.ts");
  const view = createFleetView(Date.now);
  const reads = [];
  let sight;
  for (let n = 0; n < 10; n++) {
    const began = performance.now();
    sight = await view.look(bare, { exact: true });
    reads.push(performance.now() - began);
  }
  const request = { key: "x", pool: "shared", tenancy: "shared", tier: "standard", residency: [], weight: { rps: 5 } };
  const times = [];
  for (let n = 0; n < 2_000; n++) {
    const began = performance.now();
    choosePlacement(request, sight.candidates("shared"), sight.settings("shared"));
    times.push(performance.now() - began);
  }
  await store.tenants.create({ key: "warm", pool: "packed" }, ctx);
  return { candidates: sight.candidates("shared").length, chooseMs: summary(times), readFleetMs: summary(reads) };
}

/** One of each in turns, so that whatever else the machine does, and the sequencer behind us, is in both. */
async function timeCommits(world) {
  const bareMs = [];
  const createMs = [];
  const ratios = { p50: [], p99: [] };
  const commit = (tx) => tx.query("INSERT INTO bench_commit (text) VALUES ('bare')");
  for (let n = 0; n <= scale.rounds; n++) {
    const bare = [];
    const create = [];
    for (let turn = 0; turn < scale.perRound; turn++) {
      bare.push(await timed(() => world.bare.transaction(commit)));
      create.push(await timed(() => world.create("shared")));
    }
    // The first round warms plans and caches up.
    if (n === 0) continue;
    bareMs.push(...bare);
    createMs.push(...create);
    for (const share of ["p50", "p99"]) ratios[share].push(summary(create)[share] / summary(bare)[share]);
  }
  const bare = summary(bareMs);
  const create = summary(createMs);
  const medianOf = (values) => round(quantile(sorted(values), 0.5));
  const result = {
    bareCommitMs: bare,
    createMs: create,
    ratio: { p50: round(create.p50 / bare.p50), p99: round(create.p99 / bare.p99) },
    medianOfRoundRatios: { p50: medianOf(ratios.p50), p99: medianOf(ratios.p99) },
    rounds: scale.rounds,
  };
  say(`bare commit p50 ${bare.p50} p99 ${bare.p99} ms, creation p50 ${create.p50} p99 ${create.p99} ms`);
  return result;
}

async function timed(work) {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

/** Asks at fixed times, whether or not earlier ones have been answered; waiting counts from when one was due. */
async function openLoop(world, pool) {
  const count = Math.floor((scale.openLoopMs / 1_000) * perSecond);
  const times = [];
  const running = [];
  let behind = 0;
  const began = performance.now();
  for (let n = 0; n < count; n++) {
    const due = began + (n * 1_000) / perSecond;
    const early = due - performance.now();
    if (early > 1) await wait(early);
    running.push(world.create(pool).then(() => times.push(performance.now() - due)));
    behind = Math.max(behind, running.length - times.length);
  }
  const askedMs = performance.now() - began;
  await Promise.all(running);
  const answeredMs = performance.now() - began;
  const result = {
    pool,
    asked: count,
    perSecondAsked: round(count / (askedMs / 1_000), 1),
    perSecondDone: round(count / (answeredMs / 1_000), 1),
    seconds: round(answeredMs / 1_000, 1),
    latencyMs: summary(times),
    mostWaiting: behind,
  };
  say(
    `${pool}: ${result.perSecondDone} creations per second, p50 ${result.latencyMs.p50} p99 ${result.latencyMs.p99} ms`,
  );
  return result;
}

/** Milliseconds that the server's processes have worked; what it costs whatever else the machine does. */
async function serverCpuMs({ bare }) {
  const { rows } = await bare.query("SELECT pid FROM pg_stat_activity WHERE pid IS NOT NULL");
  let ticks = 0;
  for (const { pid } of rows) {
    try {
      const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
      ticks += Number(fields[11]) + Number(fields[12]);
    } catch {
      // Not on Linux, or it has just ended.
    }
  }
  // A tick is a hundredth of a second on every Linux that we run on.
  return ticks * 10;
}

/** As fast as it goes with many callers at once. */
async function closedLoop(world) {
  const callers = 256;
  let count = 0;
  const serverBefore = await serverCpuMs(world);
  const ownBefore = process.cpuUsage();
  const began = performance.now();
  const until = began + scale.maxMs;
  await Promise.all(
    Array.from({ length: callers }, async () => {
      while (performance.now() < until) {
        await world.create("shared");
        count += 1;
      }
    }),
  );
  const perSecond = round(count / ((performance.now() - began) / 1_000), 1);
  const { user, system } = process.cpuUsage(ownBefore);
  const serverMs = (await serverCpuMs(world)) - serverBefore;
  const cpuMsPerCreation = { node: round((user + system) / 1_000 / count, 3), server: round(serverMs / count, 3) };
  const result = { callers, perSecond, count, cpuMsPerCreation };
  say(`at most ${result.perSecond} creations per second with ${callers} callers`);
  return result;
}

/** The run must have been right as well as quick. */
async function recount({ bare }) {
  const { counterDifferences } = await from("store/used-places.ts");
  const began = performance.now();
  const differences = await counterDifferences(bare);
  const seconds = round((performance.now() - began) / 1_000);
  const over = await bare.query(
    `SELECT count(*) AS n FROM stamps s JOIN stamp_use u ON u.stamp = s.name
     WHERE u.reserved > coalesce((s.capacity -> 'units' ->> u.unit)::numeric, (s.capacity ->> u.unit)::numeric)`,
  );
  if (differences.length > 0 || over.rows[0].n > 0) throw new Error(`Wrong counters: ${JSON.stringify(differences)}`);
  return { differences: 0, overLimit: 0, recountSeconds: seconds };
}

function report(result) {
  const [cpu] = cpus();
  const out = {
    bench: "placement",
    at: new Date().toISOString(),
    quick,
    machine: {
      cpu: cpu?.model,
      cores: cpus().length,
      memoryGib: round(totalmem() / 2 ** 30, 1),
      node: process.version,
    },
    loadAverage: loads,
    ...result,
    targets: {
      "creation p99 within 3 bare commits": result.latency.medianOfRoundRatios.p99 <= 3,
      "500 creations per second sustained": result.openLoop.spread.perSecondDone >= perSecond * 0.98,
      "500 per second onto one stamp": result.openLoop.pack.perSecondDone >= perSecond * 0.98,
    },
  };
  console.log(JSON.stringify(out, null, 2));
  if (quick) return;
  const folder = join(root, "bench", "results");
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `placement-${out.at.slice(0, 10)}.json`);
  writeFileSync(file, `${JSON.stringify(out, null, 2)}\n`);
  say(`kept in ${file}`);
}
