/**
 * The router beside nginx, HAProxy and Node proxies: CPU per request, requests per second, latency, memory.
 * Everything in one run, in slices that take turns, proxies on core 0, load and upstreams on core 1.
 *
 *   npm run bench:router             15 rounds
 *   npm run bench:router -- --quick  3 short rounds, without the Node proxies
 *   --variant="--some-flag"  the router once more with other flags of Node
 *   --only=stampyard,nginx  --rounds=5  --profile=FOLDER (a CPU profile of the router)
 *
 * Needs nginx, haproxy, wrk and taskset, e.g. `apt-get install nginx-light haproxy wrk`; the Node proxies are installed
 * into a folder of the run.
 */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { cpus, loadavg, tmpdir, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { stamps, writeHaproxy, writeHomes, writeNginx, writeUpstream } from "./router/peers.mjs";
import { writeState } from "./router/state.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "..");
const quick = process.argv.includes("--quick");
const profile = process.argv.find((one) => one.startsWith("--profile="))?.slice(10);
const variant = process.argv.find((one) => one.startsWith("--variant="))?.slice(10);
const chosen = process.argv
  .find((one) => one.startsWith("--workloads="))
  ?.slice(12)
  .split(",");
const only = process.argv
  .find((one) => one.startsWith("--only="))
  ?.slice(7)
  .split(",");
const rounds = Number(process.argv.find((one) => one.startsWith("--rounds="))?.slice(9) ?? (quick ? 3 : 15));
const seconds = quick ? 1 : 2;
const tenants = 100_000;
const connections = 64;
const tickMs = 10;
const started = [];
const dir = mkdtempSync(join(tmpdir(), "stampyard-bench-"));

const workloads = {
  small: { path: "/small?x=1", bytes: 0, every: 1 },
  "1 MiB response": { path: "/big", bytes: 1, every: 3 },
  "1 MiB upload": { path: "/up", upload: 1 << 20, bytes: 1, every: 3 },
};

function need(command) {
  const found = spawnSync("sh", ["-c", `command -v ${command}`], { encoding: "utf8" });
  if (found.status !== 0) throw new Error(`${command} is missing: apt-get install nginx-light haproxy wrk`);
  return found.stdout.trim();
}

async function freePorts(count) {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise((resolve) => {
          const server = createServer().listen(0, "127.0.0.1", () => resolve(server));
        }),
    ),
  );
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

function start(core, command, args, options = {}) {
  const log = openSync(join(dir, `${options.log ?? "process"}.out`), "a");
  const child = spawn("taskset", ["-c", String(core), command, ...args], {
    stdio: ["ignore", log, log],
    cwd: options.cwd ?? dir,
    env: { ...process.env, ...options.env },
  });
  started.push(child);
  return child.pid;
}

async function answers(port, path = "/small") {
  for (const deadline = performance.now() + 15_000; ; ) {
    const done = spawnSync(
      "curl",
      ["-sf", "-m", "1", "-H", "Host: t17.bench.test", `http://127.0.0.1:${port}${path}`],
      { encoding: "utf8" },
    );
    if (done.status === 0) return done.stdout.length;
    if (performance.now() > deadline) throw new Error(`Nothing answers on ${port}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The process and its children: CPU time in milliseconds, resident memory in MB. */
function measure(pid) {
  const children = execFileSync("sh", ["-c", `pgrep -P ${pid} || true`], { encoding: "utf8" })
    .trim()
    .split("\n")
    .filter(Boolean);
  let cpuMs = 0;
  let userMs = 0;
  let rssMb = 0;
  for (const one of [pid, ...children]) {
    const stat = readFileSync(`/proc/${one}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    cpuMs += (Number(fields[11]) + Number(fields[12])) * tickMs;
    userMs += Number(fields[11]) * tickMs;
    rssMb += (Number(fields[21]) * 4096) / 1e6;
  }
  return { cpuMs, userMs, rssMb };
}

function slice(proxy, workload) {
  const { path, upload } = workloads[workload];
  const before = measure(proxy.pid);
  const [load] = loadavg();
  const env = {
    ...process.env,
    TENANTS: String(tenants),
    BENCH_PATH: path,
    ...(upload ? { BENCH_UPLOAD: String(upload) } : {}),
  };
  const conns = workload === "small" ? connections : 16;
  const done = spawnSync(
    "taskset",
    [
      "-c",
      "1",
      "wrk",
      "-t1",
      `-c${conns}`,
      `-d${seconds}s`,
      "--timeout",
      "5s",
      "-s",
      join(here, "router/load.lua"),
      `http://127.0.0.1:${proxy.port}`,
    ],
    { encoding: "utf8", env },
  );
  const found = /JSON (.*)/.exec(done.stdout);
  if (found === null) throw new Error(`wrk said: ${done.stdout}${done.stderr}`);
  const result = JSON.parse(found[1]);
  const after = measure(proxy.pid);
  return {
    cpuUs: ((after.cpuMs - before.cpuMs) * 1000) / Math.max(1, result.requests),
    userUs: ((after.userMs - before.userMs) * 1000) / Math.max(1, result.requests),
    rps: result.requests / (result.us / 1e6),
    p50Ms: result.p50 / 1000,
    p99Ms: result.p99 / 1000,
    errors: result.errors + result.status,
    rssMb: after.rssMb,
    load,
  };
}

function installNodeProxies() {
  const folder = join(dir, "proxies");
  cpSync(join(here, "router/proxies"), folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), '{"private":true,"type":"module"}');
  const args = [
    "install",
    "--silent",
    "--no-audit",
    "--no-fund",
    "http-proxy@1.18.1",
    "fastify@5",
    "@fastify/http-proxy@11",
    "undici@7",
  ];
  execFileSync("npm", args, { cwd: folder, stdio: ["ignore", "ignore", "inherit"] });
  return folder;
}

function addRouter(add, node, { name, port, adminPort, state, flags }) {
  const env = {
    STAMPYARD_ROUTER_STATE: join(dir, state),
    STAMPYARD_ROUTER_LISTEN: `127.0.0.1:${port}`,
    STAMPYARD_ROUTER_ADMIN: `127.0.0.1:${adminPort}`,
    STAMPYARD_ROUTER_ACCESS_LOG: join(dir, `${name}.log`),
    STAMPYARD_ROUTER_WORKERS: "0",
  };
  add(name, port, node, [...flags, join(root, "packages/router/dist/main.js")], { log: name, env });
}

async function startAll() {
  const node = join(root, "node_modules/.bin/node");
  const ports = await freePorts(4);
  const [nginxPort, haproxyPort, ourPort, adminPort, ...nodePorts] = await freePorts(7);
  writeUpstream(dir, ports);
  writeNginx(dir, nginxPort, ports, tenants);
  writeHaproxy(dir, haproxyPort, ports, tenants);
  writeHomes(dir, ports, tenants);
  await writeState(join(dir, "state"), ports, tenants);
  start(1, "nginx", ["-e", join(dir, "u.err"), "-c", join(dir, "upstream.conf"), "-g", "daemon off;"]);
  await Promise.all(ports.map((port) => answers(port)));
  const list = [];
  const add = (name, port, command, args, options) => {
    if (only === undefined || only.includes(name)) list.push({ name, port, pid: start(0, command, args, options) });
  };
  addRouter(add, node, {
    name: "stampyard",
    port: ourPort,
    adminPort,
    state: "state",
    flags: profile ? ["--cpu-prof", `--cpu-prof-dir=${profile}`] : [],
  });
  if (variant !== undefined) {
    const [port, admin] = await freePorts(2);
    await writeState(join(dir, "state2"), ports, tenants);
    addRouter(add, node, { name: "variant", port, adminPort: admin, state: "state2", flags: variant.split(" ") });
  }
  add("nginx", nginxPort, "nginx", ["-e", join(dir, "n.err"), "-c", join(dir, "nginx.conf"), "-g", "daemon off;"]);
  add("haproxy", haproxyPort, "haproxy", ["-db", "-f", join(dir, "haproxy.cfg")], { log: "haproxy-access" });
  if (!quick) {
    const folder = installNodeProxies();
    for (const [n, name] of ["http-proxy", "fastify", "undici"].entries()) {
      const options = JSON.stringify({ map: join(dir, "homes"), log: join(dir, `${name}.log`), port: nodePorts[n] });
      add(name, nodePorts[n], node, [join(folder, `${name}.mjs`), options], { log: name, cwd: folder });
    }
  }
  for (const proxy of list) await answers(proxy.port);
  return list;
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
const fixed = (value, digits = 1) => Number(value.toFixed(digits));
const shuffled = (list) =>
  list
    .map((one) => [Math.random(), one])
    .sort(([a], [b]) => a - b)
    .map(([, one]) => one);

/** Medians of a proxy, and its CPU against another's slice of the same round. */
function summary(slices, against) {
  const of = (key) => median(slices.map((one) => one[key]));
  const paired = (name) => {
    const ratios = slices.flatMap((one, n) =>
      against[name]?.[n] === undefined ? [] : [one.cpuUs / against[name][n].cpuUs],
    );
    return ratios.length === 0 ? undefined : fixed(median(ratios), 2);
  };
  return {
    cpuUs: fixed(of("cpuUs")),
    userUs: fixed(of("userUs")),
    rps: Math.round(of("rps")),
    p50Ms: fixed(of("p50Ms"), 2),
    p99Ms: fixed(of("p99Ms"), 2),
    rssMb: Math.round(of("rssMb")),
    errors: slices.reduce((sum, one) => sum + one.errors, 0),
    load: fixed(of("load"), 2),
    "x nginx": paired("nginx"),
    "x haproxy": paired("haproxy"),
    "x stampyard": paired("stampyard"),
  };
}

async function run() {
  for (const command of ["nginx", "haproxy", "wrk", "taskset", "curl"]) need(command);
  mkdirSync(join(root, "bench/results"), { recursive: true });
  const proxies = await startAll();
  const results = {};
  for (const proxy of proxies) slice(proxy, "small");
  for (const [workload, { every }] of Object.entries(workloads)) {
    if (chosen !== undefined && !chosen.includes(workload)) continue;
    const taken = {};
    // The same router once more under another name: what the machine alone makes of two equal things.
    const candidates = proxies.concat(
      proxies.filter(({ name }) => name === "stampyard").map((one) => ({ ...one, name: "A/A" })),
    );
    const some =
      workload === "small"
        ? candidates
        : candidates.filter(({ name }) => ["stampyard", "nginx", "haproxy", "A/A"].includes(name));
    for (let round = 0; round < Math.ceil(rounds / every); round++) {
      for (const proxy of shuffled(some)) {
        taken[proxy.name] ??= [];
        taken[proxy.name].push(slice(proxy, workload));
      }
    }
    results[workload] = Object.fromEntries(
      Object.entries(taken).map(([name, slices]) => [name, summary(slices, taken)]),
    );
    console.log(`\n${workload}`);
    console.table(results[workload]);
  }
  if (!quick && only === undefined) save(results);
}

function save(results) {
  const conditions = {
    date: new Date().toISOString(),
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    node: execFileSync(join(root, "node_modules/.bin/node"), ["--version"], { encoding: "utf8" }).trim(),
    nginx: spawnSync("nginx", ["-v"], { encoding: "utf8" }).stderr.trim(),
    haproxy: execFileSync("haproxy", ["-v"], { encoding: "utf8" }).split("\n")[0],
    rounds,
    seconds,
    connections,
    tenants,
    upstreams: stamps.length,
    pinned: "proxies on core 0, load and upstreams on core 1",
    loadAtEnd: loadavg(),
  };
  const aa = results.small["A/A"]?.["x stampyard"] ?? 1;
  const valid = Math.max(aa, 1 / aa) <= 1.15;
  const file = join(root, "bench/results", `router-${conditions.date.slice(0, 10)}.json`);
  writeFileSync(file, `${JSON.stringify({ conditions, valid, results }, null, 2)}\n`);
  console.log(`${valid ? "Valid" : "VOID (A/A above 1.15)"}: ${file}`);
}

try {
  await run();
} finally {
  for (const child of started) child.kill("SIGTERM");
  await Promise.all(started.map((child) => child.exitCode ?? new Promise((resolve) => child.once("exit", resolve))));
  rmSync(dir, { recursive: true, force: true });
}
