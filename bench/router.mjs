/**
 * The router beside nginx, HAProxy and Node proxies: CPU per request, requests per second, latency, memory, and latency
 * at half of what the slowest of them can do. Everything in one run, in slices that take turns, proxies on core 0, load
 * and upstreams on core 1.
 *
 *   npm run bench:router             15 rounds
 *   npm run bench:router -- --quick  3 short rounds, without the Node proxies
 *   --variant="--some-flag"  the router once more with other flags of Node
 *   --first  takes the machine before what else runs on it (root only), for a machine that is not quiet
 *   --only=stampyard,nginx  --workloads=small,half  --rounds=5  --profile=FOLDER (a CPU profile of the router)
 *
 * Peers come from Debian (installed, or downloaded by apt and unpacked) and npm (into a folder of the run). Ctrl-C ends
 * everything that was started.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, loadavg, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { fastName, hasFastIo, node, nodeProxies, programs, startAll } from "./router/candidates.mjs";
import { workerFlags } from "../packages/router/dist/workers/place.js";
import { connections, openLoop, saturate, workloads } from "./router/load.mjs";
import { stamps } from "./router/peers.mjs";
import { goFirst, run, stopAll } from "./router/processes.mjs";
import { fixed, isQuiet, median, paired, verdicts } from "./router/verdicts.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const option = (name) => process.argv.find((one) => one.startsWith(`--${name}=`))?.slice(name.length + 3);
const quick = process.argv.includes("--quick");
const only = option("only")?.split(",");
const chosen = option("workloads")?.split(",");
const rounds = Number(option("rounds") ?? (quick ? 3 : 15));
const seconds = quick ? 1 : 2;
const tenants = 100_000;
const first = process.argv.includes("--first") && goFirst();
const half = "half of saturation";
const ours = ["stampyard", fastName];
const peers = ["nginx", "haproxy"];

const wants = (name) => only === undefined || only.includes(name);
const wantsWorkload = (name) => chosen === undefined || chosen.some((one) => name.startsWith(one));
const shuffled = (list) =>
  list
    .map((one) => [Math.random(), one])
    .sort(([a], [b]) => a - b)
    .map(([, one]) => one);

/** The same router once more under another name: what the machine alone makes of two equal things. */
const withTwin = (proxies, of, twin) =>
  proxies.concat(proxies.filter(({ name }) => name === of).map((one) => ({ ...one, name: twin })));

/** Who takes part in which workload, and in how many rounds. */
function planOf(proxies, upstreamPort) {
  const plan = [];
  const without = proxies.filter(({ name }) => !nodeProxies.includes(name));
  for (const [workload, { every }] of Object.entries(workloads)) {
    if (!wantsWorkload(workload)) continue;
    const some = withTwin(workload === "small" ? proxies : without, "stampyard", "A/A");
    plan.push({ workload, some, rounds: Math.ceil(rounds / every) });
  }
  if (wantsWorkload(half)) {
    const some = withTwin(without, "nginx", "nginx again").concat({ name: "no proxy", port: upstreamPort });
    plan.push({ workload: half, some, rounds });
  }
  return plan;
}

/** A slice takes its time and the start of the load; the open load warms up besides. */
const secondsOf = (plan) => plan.reduce((sum, one) => sum + one.rounds * one.some.length * (seconds + 0.35), 0);

function announce(plan) {
  for (const { workload, some, rounds: count } of plan) {
    console.log(`  ${workload}: ${count} rounds of ${seconds} s each: ${some.map(({ name }) => name).join(", ")}`);
  }
  if (!hasFastIo()) console.log(`  without ${fastName}: this router does not know STAMPYARD_ROUTER_IO`);
  const minutes = secondsOf(plan) / 60;
  const end = new Date(Date.now() + minutes * 60_000).toTimeString().slice(0, 5);
  console.log(
    `About ${minutes.toFixed(1)} minutes, until ${end}; Ctrl-C ends everything. Load now ${loadavg()[0].toFixed(2)}${first ? ", and we go first" : ""}.`,
  );
}

/** Medians of a candidate, and its figures against others' slices of the same round. */
function summary(name, taken) {
  const slices = taken[name];
  const of = (key, digits) => fixed(median(slices.map((one) => one[key])), digits);
  const against = (other, key) => fixed(paired(slices, taken[other], key), 2);
  const errors = slices.reduce((sum, one) => sum + one.errors, 0);
  if (slices[0].rate === undefined) {
    return {
      cpuUs: of("cpuUs"),
      userUs: of("userUs"),
      rps: of("rps", 0),
      p50Ms: of("p50Ms", 2),
      p99Ms: of("p99Ms", 2),
      rssMb: of("rssMb", 0),
      errors,
      load: of("load", 2),
      "x nginx": against("nginx", "cpuUs"),
      "x haproxy": against("haproxy", "cpuUs"),
      "x stampyard": against("stampyard", "cpuUs"),
    };
  }
  return {
    rps: of("rate", 0),
    p50Ms: of("p50Ms", 3),
    p90Ms: of("p90Ms", 3),
    p99Ms: of("p99Ms", 3),
    "p50 x nginx": against("nginx", "p50Ms"),
    "p99 x nginx": against("nginx", "p99Ms"),
    errors: errors + slices.reduce((sum, one) => sum + one.unsent, 0),
    "proxy %": fixed(of("proxyCpu", 3) * 100, 0),
    "sent late p99 ms": of("lateP99Ms", 3),
    "machine %": fixed(of("machineCpu", 3) * 100, 0),
    load: of("load", 2),
  };
}

/** Half of what the slowest of ours and Debian's did at most, so that all are asked the same. */
async function halfOf(proxies, small, wrk) {
  const rates = [];
  for (const proxy of proxies.filter(({ name }) => [...ours, ...peers].includes(name))) {
    const slices = small?.[proxy.name] ?? [await saturate(proxy, "small", { wrk, tenants, seconds })];
    rates.push(median(slices.map(({ rps }) => rps)));
  }
  return Math.max(100, Math.floor(Math.min(...rates) / 2));
}

async function measureAll() {
  mkdirSync(join(root, "bench/results"), { recursive: true });
  const found = programs();
  console.log("Starting the proxies");
  const settings = { found, tenants, wants, quick, profile: option("profile"), variant: option("variant") };
  const { list, ports } = await startAll(settings);
  const plan = planOf(list, ports[0]);
  announce(plan);
  const { wrk } = found;
  for (const proxy of list) await saturate(proxy, "small", { wrk, tenants, seconds });
  const taken = {};
  const results = {};
  const loadBefore = loadavg();
  for (const { workload, some, rounds: count } of plan) {
    const rate = workload === half ? await halfOf(list, taken.small, wrk) : undefined;
    const slices = {};
    taken[workload] = slices;
    for (let round = 0; round < count; round++) {
      for (const proxy of shuffled(some)) {
        slices[proxy.name] ??= [];
        const settings = { node, rate, seconds, tenants, first: round * 7 * seconds * 10_000 };
        const take = async () => (await openLoop(proxy, settings)).end();
        slices[proxy.name].push(
          rate === undefined ? await saturate(proxy, workload, { wrk, tenants, seconds }) : await take(),
        );
      }
    }
    results[workload] = Object.fromEntries(some.map(({ name }) => [name, summary(name, slices)]));
    console.log(`\n${workload}${rate === undefined ? "" : `: ${rate} requests per second by the clock`}`);
    console.table(results[workload]);
  }
  const judged = verdicts(taken, ours, nodeProxies);
  console.table(judged);
  if (!quick && only === undefined && chosen === undefined) await save(results, judged, taken, { found, loadBefore });
}

async function save(results, judged, taken, { found, loadBefore }) {
  const version = async ({ path, env }) =>
    (await run(path, ["-v"], { mayFail: true, env: { ...process.env, ...env } })).trim().split("\n")[0];
  const conditions = {
    date: new Date().toISOString(),
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    node: (await run(node, ["--version"])).trim(),
    nginx: await version(found.nginx),
    haproxy: await version(found.haproxy),
    ...{ rounds, seconds, connections, tenants },
    upstreams: stamps.length,
    flags: workerFlags.join(" "),
    pinned: "proxies on core 0, load and upstreams on core 1",
    priority: first ? "before all other sessions" : "as others",
    half: "open loop: a fixed schedule, latency from when a request was due; rate in the rows",
    loadBefore,
    loadAtEnd: loadavg(),
  };
  const aa = {
    cpu: paired(taken.small["A/A"], taken.small.stampyard, "cpuUs") ?? 1,
    halfP99: paired(taken[half]["nginx again"], taken[half].nginx, "p99Ms") ?? 1,
  };
  const valid = isQuiet(aa.cpu);
  const file = join(root, "bench/results", `router-${conditions.date.slice(0, 10)}.json`);
  const kept = { conditions, valid, aa: { cpu: fixed(aa.cpu, 3), halfP99: fixed(aa.halfP99, 3) } };
  writeFileSync(file, `${JSON.stringify({ ...kept, verdicts: judged, results }, null, 2)}\n`);
  console.log(`${valid ? "Valid" : "VOID (A/A above 1.15)"}: ${file}`);
}

try {
  await measureAll();
} finally {
  await stopAll();
}
