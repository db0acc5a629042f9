/**
 * What changes of the directory do to traffic: our router on a feed, HAProxy's `set map` and nginx's reload, each on one core
 * and asked by the same schedule, quiet and while its directory changes. The quiet slice is taken twice, so that the
 * difference of two equal things stands beside.
 */
import { appendFileSync, cpSync } from "node:fs";
import { createConnection } from "node:net";
import { join } from "node:path";
import {
  fastEnv,
  fastName,
  fileNameOf,
  hasFastIo,
  node,
  programs,
  startHaproxy,
  startNginx,
  startOurs,
} from "../router/candidates.mjs";
import { openLoop } from "../router/load.mjs";
import { homeOf, stamps, writeHaproxy, writeNginx, writeUpstream } from "../router/peers.mjs";
import { answers, ask, dir, freePorts, measure, run, stop, wait } from "../router/processes.mjs";
import { writeState } from "../router/state.mjs";
import { fixed, isQuiet, median } from "../router/verdicts.mjs";
import { startFeedServer } from "./feed-server.mjs";

const quantile = (values, share) =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))];

/** Slow enough that HAProxy and nginx are far from saturation, fast enough for a p99 of a second. */
const rate = 4_000;
const mustRatio = 1.2;

/** Everything in one list of rows; `sizes` holds tenants for each: one entry in the peers, an id and a hostname in ours. */
export async function measureUnderTraffic({ sizes, rounds, seconds }) {
  const found = programs();
  const ports = await freePorts(4);
  writeUpstream(dir, ports);
  const upstream = startNginx(1, found, "upstream");
  await Promise.all(ports.map((port) => answers(port, "upstream")));
  // Sending changes is work too, and none of the router's.
  await run("taskset", ["-acp", "1", String(process.pid)]);
  const hostname = (n) => `t${n}.example.test`;
  const state = join(dir, "state");
  const position = await writeState(state, ports, sizes.ours, (n) => [hostname(n)]);
  const world = { found, ports, rounds, seconds, state, position, hostname };
  const rows = [];
  const add = async (row) => {
    rows.push(await row);
    console.error(`  ${rows.at(-1).router}, ${rows.at(-1).tenants} tenants, ${rows.at(-1).how}`);
  };
  await add(ours(world, sizes.ours, { name: "stampyard", workers: 0 }));
  await add(ours(world, sizes.ours, { name: "stampyard, parent and worker", workers: 1 }));
  if (hasFastIo()) await add(ours(world, sizes.ours, { name: fastName, workers: 0, env: fastEnv }));
  for (const perSecond of [1_000, 1]) await add(haproxy(world, sizes.haproxy, perSecond));
  for (const entries of sizes.nginx) await add(nginx(world, entries));
  await stop(upstream);
  return rows;
}

/** One slice of traffic; `during` runs beside it, and may end it by itself. */
async function slice(target, tenants, seconds, first, during) {
  const load = await openLoop(target, { node, rate, seconds, tenants, first: first * 100_000 });
  if (during !== undefined) await wait(250); // When the load counts its requests.
  const told = await during?.();
  return { ...(await load.end(told?.ended ? "now" : undefined)), told };
}

/** Quiet, quiet again, changing: in rounds, and in ratios of the same round. */
async function compare(target, tenants, { rounds, seconds }, change) {
  const taken = [];
  await slice(target, tenants, 1, 99);
  for (let round = 0; round < rounds; round++) {
    const prepared = await change.prepare?.();
    const quiet = await slice(target, tenants, seconds, round * 3, change.idle);
    const again = await slice(target, tenants, seconds, round * 3 + 1, change.idle);
    const changing = await slice(target, tenants, change.seconds ?? seconds, round * 3 + 2, () =>
      change.play(prepared),
    );
    taken.push({ quiet, again, changing });
  }
  const of = (phase, key) => fixed(median(taken.map((one) => one[phase][key])), 3);
  const ratio = (phase, key) => median(taken.map((one) => one[phase][key] / one.quiet[key]));
  const times = taken.flatMap(({ changing }) => changing.told.ms);
  return {
    "changes/s": fixed(median(taken.map(({ changing }) => changing.told.reached))),
    "change p50 ms": fixed(quantile(times, 0.5), 2),
    "change p99 ms": fixed(quantile(times, 0.99), 2),
    changes: times.length,
    "p99 quiet ms": of("quiet", "p99Ms"),
    "p99 changing ms": of("changing", "p99Ms"),
    "p99 x quiet": fixed(ratio("changing", "p99Ms"), 2),
    "p50 x quiet": fixed(ratio("changing", "p50Ms"), 2),
    "quiet x quiet": fixed(ratio("again", "p99Ms"), 2),
    "max ms": fixed(Math.max(...taken.map(({ changing }) => changing.maxMs))),
    errors: taken.reduce((sum, one) => sum + one.quiet.errors + one.changing.errors + one.changing.unsent, 0),
    rssMb: fixed(measure(target.pid).rssMb, 0),
  };
}

async function ours(world, entries, { name, workers, env }) {
  const [port] = await freePorts(1);
  const state = join(dir, `state-of-${fileNameOf(name)}`);
  cpSync(world.state, state, { recursive: true });
  const feed = await startFeedServer(world.position);
  const settings = { STAMPYARD_API: feed.url, STAMPYARD_ROUTER_WORKERS: String(workers), ...env };
  const child = await startOurs({ name, port, state, env: settings });
  await answers(port, fileNameOf(name));
  for (let tries = 0; feed.followers() === 0; tries++) {
    if (tries > 400) throw new Error("The router does not follow the feed");
    await wait(25);
  }
  const perSecond = 1_000;
  let epoch = 1;
  const prepare = () =>
    feed.prepare(
      Array.from({ length: perSecond * world.seconds }, () => {
        const n = Math.floor(Math.random() * entries);
        const stamp = stamps[Math.floor(Math.random() * stamps.length)];
        epoch += 1;
        return { kind: "tenant-put", tenant: `t${n}`, stamp, epoch, hostnames: [world.hostname(n)] };
      }),
    );
  try {
    const play = (prepared) => feed.play(prepared, perSecond);
    const idle = () => feed.idle(perSecond * world.seconds, perSecond);
    const figures = await compare({ port, pid: child.pid }, entries, world, { prepare, play, idle });
    const verdict = judge(figures);
    return { router: name, tenants: entries, how: "1,000/s by the feed, held on disk", ...figures, verdict };
  } finally {
    await feed.close();
    await stop(child);
  }
}

function judge({ "p99 x quiet": ratio, "quiet x quiet": noise }) {
  const verdict = ratio <= Math.max(noise, 1) ? "aim reached" : ratio <= mustRatio ? "reached" : "MISSED";
  return isQuiet(noise) ? verdict : `void: quiet ${noise} × quiet (${verdict})`;
}

async function haproxy(world, entries, perSecond) {
  const [port] = await freePorts(1);
  writeHaproxy(dir, port, world.ports, entries);
  const began = performance.now();
  const child = startHaproxy(0, world.found, "haproxy");
  await answers(port, "haproxy", 60_000);
  const startMs = performance.now() - began;
  const shell = await openShell(join(dir, "haproxy.sock"));
  const play = async () => {
    const ms = [];
    const playAt = performance.now();
    const end = world.seconds * 1_000;
    for (let n = 0; ; n++) {
      const due = (n * 1_000) / perSecond;
      const early = due - (performance.now() - playAt);
      if (early > 0) await wait(early);
      if (performance.now() - playAt >= end) break;
      const tenant = Math.floor(Math.random() * entries);
      const sentAt = performance.now();
      const home = stamps[(stamps.indexOf(homeOf(tenant)) + 1) % stamps.length];
      await shell.say(`set map ${dir}/haproxy.map t${tenant}.bench.test ${home}`);
      ms.push(performance.now() - sentAt);
    }
    return { ms, reached: ms.length / ((performance.now() - playAt) / 1_000) };
  };
  try {
    const figures = await compare({ port, pid: child.pid }, entries, world, { play });
    const how = `${perSecond.toLocaleString("en")}/s by set map, in memory`;
    return { router: "haproxy", tenants: entries, how, ...figures, "start ms": fixed(startMs, 0) };
  } finally {
    shell.end();
    await stop(child);
  }
}

/** HAProxy's command line, kept open. */
async function openShell(path) {
  const socket = createConnection(path);
  socket.setEncoding("latin1");
  let heard = "";
  let wake = () => {};
  socket.on("data", (text) => {
    heard += text;
    if (heard.endsWith("> ")) wake(heard);
  });
  const say = (command) =>
    new Promise((resolve, reject) => {
      heard = "";
      wake = (text) => (/unknown|not found|error/i.test(text) ? reject(new Error(`HAProxy: ${text}`)) : resolve(text));
      socket.write(`${command}\n`);
    });
  await say("prompt");
  return { say, end: () => socket.end() };
}

async function nginx(world, entries) {
  const [port] = await freePorts(1);
  writeNginx(dir, port, world.ports, entries);
  const began = performance.now();
  const child = startNginx(0, world.found, "nginx");
  await answers(port, "nginx", 60_000);
  const startMs = performance.now() - began;
  let added = 0;
  const play = async () => {
    added += 1;
    const host = `new-${added}.bench.test`;
    appendFileSync(join(dir, "nginx.map"), `\n${host} ${stamps[0]};`);
    const playAt = performance.now();
    child.kill("SIGHUP");
    while ((await ask(port, { host })).status !== 200) {
      if (performance.now() - playAt > 60_000) throw new Error("nginx does not serve its new map");
      await wait(5);
    }
    const ms = performance.now() - playAt;
    return { ms: [ms], reached: 1_000 / ms, ended: true };
  };
  try {
    const rounds = Math.min(3, world.rounds);
    const figures = await compare({ port, pid: child.pid }, entries, { ...world, rounds }, { play, seconds: 60 });
    return { router: "nginx", tenants: entries, how: "one by reload", ...figures, "start ms": fixed(startMs, 0) };
  } finally {
    await stop(child);
  }
}
