/**
 * One turn of a rollout over a fleet of 2,000 stamps, as a leader plans it every second: following every member,
 * deciding, and putting together what is to be written. Reading stamps and asking the gate are not part of it.
 *
 *   npm run bench:rollout             2,000 stamps, in every phase
 *   npm run bench:rollout -- --quick  the same with fewer runs, a second or two
 *
 * The first runs of each case are not counted: a leader is warm after its first minute.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, loadavg, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterPlan, commandRollout, defaultStrategy, planRollout, planWaves } from "@stampyard/domain";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const quick = process.argv.includes("--quick");
const stamps = 2_000;
const runs = quick ? 30 : 300;
const warmUp = quick ? 10 : 50;
/** The promise: one turn. */
const mostMs = 50;
const round = (value, digits = 2) => Number(value.toFixed(digits));

const aim = (release) => ({
  release: `sha256:${release}`,
  stampDigest: `sha256:${release}-rendered`,
  parameters: { replicas: 2, region: "eu", plan: "standard", flags: "a,b,c" },
  capacity: { tenants: 500, units: { rps: 1_000, gib: 200 } },
});
const from = aim("old");
const to = aim("new");
const now = 1_800_000_000_000;
const strategy = {
  ...defaultStrategy,
  waves: [5, 15, 30].map((percent) => ({ size: { kind: "percent", percent } })),
  maxUnavailable: 100,
};

const candidates = Array.from({ length: stamps }, (_, n) => ({
  stamp: `stamp-${n}`,
  region: ["eu", "us", "ap"][n % 3],
  pool: `pool-${n % 10}`,
  tiers: [],
  perMinute: (n * 7_919) % 5_000,
  isDedicated: n % 20 === 0,
  hasPinnedTenants: n % 33 === 0,
  from,
  to,
}));

const gate = { at: now, verdict: "go", checks: [], tookLook: false };

function seenAs(target, over = {}) {
  const { stampDigest } = target;
  return {
    phase: "active",
    aimed: stampDigest,
    running: stampDigest,
    observedAt: now - 1,
    isWhole: true,
    isLeaving: false,
    ...over,
  };
}

/** A rollout with every member in this state, and the world that such members are seen in. */
function caseOf(name, state, memberState, seen, over = {}) {
  const planned = planWaves({ strategy, candidates, hotfix: false });
  const rollout = {
    id: "ro-1",
    release: to.release,
    components: [],
    strategy,
    waves: planned.waves,
    state,
    hotfix: false,
    by: "ada",
    spent: { activeMs: 0, bakingMs: 0, waitingMs: 0 },
    looks: 0,
    hooksDone: [],
  };
  const members = planned.members.map((member) => ({ ...member, state: memberState(member) }));
  const world = { now, members: new Map(candidates.map(({ stamp }) => [stamp, seen])), barred: new Map(), ...over };
  return { name, run: () => afterPlan(rollout, members, planRollout(rollout, members, world), world) };
}

const since = now - 60_000;
const waiting = () => ({ kind: "waiting" });
const updating = () => ({ kind: "updating", since });
const updated = () => ({ kind: "updated", since, at: now - 30_000 });
const returning = () => ({ kind: "returning", since });
const failedFirst = ({ wave, place }) =>
  wave === 0 ? { kind: "failed", since, at: now - 1, cause: "it does not start" } : { ...updated(), place };
const unseen = { running: undefined, isWhole: false, lack: "its engine cannot look" };

const cases = [
  { name: "waves of a new rollout", run: () => planWaves({ strategy, candidates, hotfix: false }) },
  caseOf("queued, every aim has changed", { kind: "queued", since }, waiting, seenAs(aim("other"))),
  caseOf("a wave begins", { kind: "updating", wave: 3, since }, waiting, seenAs(from), { gate }),
  caseOf("all on their way, none can be looked at", { kind: "updating", wave: 3, since }, updating, seenAs(to, unseen)),
  caseOf("all arrive at once", { kind: "updating", wave: 3, since }, updating, seenAs(to), { gate }),
  caseOf("a bake", { kind: "baking", wave: 3, since, until: now + 1 }, updated, seenAs(to), { gate }),
  caseOf("the end of the last bake", { kind: "baking", wave: 4, since, until: now }, updated, seenAs(to), { gate }),
  caseOf("one failed, all go back", { kind: "updating", wave: 4, since }, failedFirst, seenAs(to), { gate }),
  caseOf("all are on their way back", { kind: "aborting", since, cause: "x", by: "gate" }, returning, seenAs(from)),
  caseOf("every stamp is frozen", { kind: "updating", wave: 1, since }, waiting, seenAs(from), {
    barred: new Map(candidates.map(({ stamp }) => [stamp, "it is frozen"])),
  }),
  abortCase(),
];

/** A person's word, with every member on the way. */
function abortCase() {
  const planned = planWaves({ strategy, candidates, hotfix: false });
  const members = planned.members.map((member) => ({ ...member, state: updated() }));
  const state = { kind: "updating", wave: 4, since };
  const rollout = { id: "ro-1", strategy, waves: planned.waves, state, spent: { activeMs: 0 }, hooksDone: [] };
  return { name: "abort, said by a person", run: () => commandRollout(rollout, members, { kind: "abort" }, { now }) };
}

function measure({ name, run }) {
  const times = [];
  for (let n = 0; n < warmUp + runs; n++) {
    const began = performance.now();
    run();
    if (n >= warmUp) times.push(performance.now() - began);
  }
  times.sort((a, b) => a - b);
  const at = (share) => round(times[Math.min(times.length - 1, Math.floor(times.length * share))]);
  const result = { name, p50: at(0.5), p99: at(0.99), max: round(times.at(-1)) };
  console.log(`${name}: p50 ${result.p50} ms, p99 ${result.p99} ms, max ${result.max} ms`);
  return result;
}

const loadBefore = loadavg()[0];
const results = cases.map(measure);
const [cpu] = cpus();
const at = new Date().toISOString();
const out = {
  benchmark: "rollout-plan",
  at,
  quick,
  machine: { cpus: cpus().length, model: cpu?.model.trim() ?? "", memoryGiB: round(totalmem() / 2 ** 30, 0) },
  node: process.versions.node,
  loadAverage: { before: round(loadBefore), after: round(loadavg()[0]) },
  targets: { stamps, mostMs },
  results,
};
const folder = join(root, "bench/results");
mkdirSync(folder, { recursive: true });
const file = join(folder, `rollout-plan-${at.slice(0, 10)}${quick ? "-quick" : ""}.json`);
writeFileSync(file, `${JSON.stringify(out, undefined, 2)}\n`);
console.log(file.slice(root.length + 1));
const slow = results.filter(({ p99 }) => p99 > mostMs);
if (slow.length > 0) {
  console.error(`${slow.length} cases took longer than ${mostMs} ms`);
  process.exitCode = 1;
}
