/**
 * The router's directory: lookups, memory, cold load, and what changes do to lookups. One tenant is one id and one
 * hostname, so a million tenants are two million keys. Then what changes do to traffic, beside HAProxy and nginx.
 *
 *   npm run bench:directory               1,000,000 and 5,000,000 tenants (10,000,000 keys), about 10 minutes
 *   npm run bench:directory -- --quick    100,000 tenants, less of the peers, under a minute
 *   npm run bench:directory -- --traffic  only the table with the peers
 *
 * Every measurement runs in a process of its own, which is this file with a role. Files are read from the page cache, as
 * after a restart of the process; after a restart of the machine the disk's speed is added.
 */
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { cpus, loadavg, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setImmediate as turn } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import {
  acceptFeed,
  createFrameDecoder,
  encodeFrame,
  newFeedState,
  nextChain,
} from "../packages/directory/dist/index.js";
import { directoryVerdicts } from "./directory/verdicts.mjs";
import { loadDirectory, newDirectory, openDirectoryFiles } from "../packages/router/dist/directory-files.js";

const self = fileURLToPath(import.meta.url);
const root = join(dirname(self), "..");
const sha256 = (bytes) => createHash("sha256").update(bytes).digest();
const start = { incarnation: 1, version: 1, chain: "a".repeat(64) };
const tenantOf = (number) => `t${1_000_000 + number}`;
const hostOf = (number) => `${tenantOf(number)}.example.test`;
const put = (number, epoch, stamp) => ({
  kind: "tenant-put",
  tenant: tenantOf(number),
  stamp,
  epoch,
  hostnames: [hostOf(number)],
});
const round = (value, digits = 1) => Number(value.toFixed(digits));
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
const quantile = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];

/** The same sequence in every process. */
function randomOf(seed) {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const roles = { build, load, lookups, changes };
const [role, folder, size, short] = process.argv.slice(2);
const changeRounds = short === "quick" ? 1 : 5;
const phaseSeconds = 2;
if (role in roles) {
  console.log(JSON.stringify(await roles[role](folder, Number(size))));
} else {
  await main(process.argv.includes("--quick"), process.argv.includes("--traffic"));
}

/** Makes the table change by change and has it written while an event loop goes on. */
async function build(folder, tenants) {
  const table = newDirectory();
  for (let stamp = 0; stamp < 16; stamp++) {
    const endpoints = [{ host: "127.0.0.1", port: 10_000 + stamp }];
    table.apply({ kind: "stamp-put", stamp: `eu-${stamp}`, pool: "p", region: "eu", endpoints, endpointRevision: 1 });
  }
  const began = performance.now();
  for (let number = 0; number < tenants; number++) table.apply(put(number, 1, `eu-${number % 16}`));
  const buildMs = performance.now() - began;
  const written = await timeWrite(folder, table);
  const [name] = readdirSync(folder).filter((file) => file.endsWith(".snapshot"));
  return { buildMs: round(buildMs), ...written, fileBytes: statSync(join(folder, name)).size, memory: table.memory() };
}

async function timeWrite(folder, table) {
  const loop = monitorEventLoopDelay({ resolution: 1 });
  const loaded = await loadDirectory(folder);
  let done;
  const durable = new Promise((resolve) => {
    done = resolve;
  });
  const files = openDirectoryFiles(folder, loaded.files, { onDurable: done, onTrouble: (reason) => done(reason) });
  loop.enable();
  const began = performance.now();
  files.snapshot(table, start);
  const freezeMs = performance.now() - began;
  await durable;
  loop.disable();
  await files.close();
  return {
    writeMs: round(performance.now() - began),
    freezeMs: round(freezeMs, 2),
    eventLoopBlockedMs: { p99: round(loop.percentile(99) / 1e6, 2), max: round(loop.max / 1e6, 2) },
  };
}

/** Cold start: from a process that has nothing to a table that is checked and answers. */
async function load(folder, tenants) {
  globalThis.gc();
  const before = process.memoryUsage();
  const began = performance.now();
  const { directory, problems } = await loadDirectory(folder);
  const loadMs = performance.now() - began;
  const sinceStartMs = performance.now();
  if (problems.length > 0 || directory.lookupHostname(hostOf(tenants - 1))?.epoch !== 1) throw new Error("Not loaded");
  globalThis.gc();
  const after = process.memoryUsage();
  return {
    loadMs,
    sinceStartMs,
    rssMiB: after.rss / 2 ** 20,
    rssBytes: after.rss - before.rss,
    ownBytes: directory.memory().records + directory.memory().index,
    heapBytes: after.heapUsed - before.heapUsed,
  };
}

async function lookups(folder, tenants) {
  const { directory } = await loadDirectory(folder);
  const random = randomOf(7);
  const count = 200_000;
  const numbers = Array.from({ length: count }, () => random(tenants));
  // One long buffer, as hosts lie in the heads of requests; all hosts are of one length.
  const hosts = Buffer.from(numbers.map(hostOf).join(""), "latin1");
  const length = hosts.length / count;
  let sink = 0;
  const timed = (one) => {
    const rounds = [];
    for (let again = 0; again < 9; again++) {
      const began = performance.now();
      for (let at = 0; at < count; at++) sink += one(at);
      rounds.push(((performance.now() - began) * 1e6) / count);
    }
    const ns = median(rounds);
    return { nsMedian: round(ns, 0), nsBest: round(Math.min(...rounds), 0), perSecond: Math.round(1e9 / ns) };
  };
  const slice = (at) => hosts.latin1Slice(at * length, at * length + length);
  const result = {
    bytesToStampAndEpoch: timed((at) => {
      const home = directory.findHostnameBytes(hosts, at * length, at * length + length);
      return directory.epochAt(home) + directory.stampAt(home).length;
    }),
    freshString: timed((at) => directory.findHostname(slice(at))),
    onlyMakingThatString: timed((at) => slice(at).length),
    freshStringToObject: timed((at) => directory.lookupHostname(slice(at)).epoch),
    unknown: timed((at) => directory.findHostnameBytes(hosts, at * length, at * length + length - 1)),
  };
  return { ...result, sink: sink > 0 };
}

/** 1,000 changes a second through everything a router does with one, beside lookups; against the same without changes. */
async function changes(folder, tenants) {
  const { directory, files: loaded } = await loadDirectory(folder);
  let durable = 0;
  const files = openDirectoryFiles(folder, loaded, {
    onDurable: ({ version }) => {
      durable = version;
    },
    onTrouble: (reason) => console.error(reason),
  });
  files.snapshot(directory, start);
  const random = randomOf(11);
  const world = { directory, files, random, tenants, state: newFeedState(start), decoder: createFrameDecoder() };
  const taken = [];
  await lookupsFor(1_000, world, []);
  for (let number = 0; number < changeRounds; number++) {
    const frames = framesOf(world, phaseSeconds * 1_000);
    taken.push({
      quiet: await lookupsFor(phaseSeconds * 1_000, world, []),
      again: await lookupsFor(phaseSeconds * 1_000, world, []),
      changing: await lookupsFor(phaseSeconds * 1_000, world, frames),
    });
  }
  const { version } = world.state.position;
  await files.close();
  const ratio = (of, to) => round(median(taken.map((one) => one[of].p99 / one[to].p99)), 3);
  return {
    changesPerSecond: 1_000,
    applied: version - 1,
    onDisk: durable - 1,
    usPerChange: round(median(taken.map((one) => one.changing.usPerChange)), 1),
    lookupNs: {
      quiet: { p50: median(taken.map((one) => one.quiet.p50)), p99: median(taken.map((one) => one.quiet.p99)) },
      changing: {
        p50: median(taken.map((one) => one.changing.p50)),
        p99: median(taken.map((one) => one.changing.p99)),
      },
    },
    p99Ratio: { changingToQuiet: ratio("changing", "quiet"), quietToQuiet: ratio("again", "quiet") },
    eventLoopDelayMs: {
      quiet: median(taken.map((one) => one.quiet.loopP99)),
      changing: median(taken.map((one) => one.changing.loopP99)),
      changingMax: Math.max(...taken.map((one) => one.changing.loopMax)),
    },
  };
}

/** What a control plane would send: half of them move a tenant, the others give it another hostname and back. */
function framesOf({ random, tenants, state }, count) {
  const frames = [];
  let { version, chain } = state.position;
  for (let at = 0; at < count; at++) {
    const number = random(tenants);
    const change = put(number, 1_000 + version, `eu-${random(16)}`);
    if (at % 2 === 0) change.hostnames = [`${"x".repeat(1 + random(20))}.${hostOf(number)}`];
    version += 1;
    chain = nextChain(chain, change, sha256);
    frames.push(encodeFrame({ kind: "delta", incarnation: 1, version, chain, change }));
  }
  return frames;
}

async function lookupsFor(ms, world, frames) {
  const { directory, random, tenants, files, decoder } = world;
  const loop = monitorEventLoopDelay({ resolution: 1 });
  const batch = 20;
  const keys = Array.from({ length: 5_000 }, () => tenantOf(random(tenants)));
  const samples = [];
  let sent = 0;
  let spent = 0;
  loop.enable();
  const began = performance.now();
  for (let now = began; now - began < ms; now = performance.now()) {
    const due = Math.min(frames.length, Math.floor(now - began));
    const before = performance.now();
    for (; sent < due; sent++) {
      for (const { message } of decoder.push(frames[sent])) {
        const step = acceptFeed(world.state, message, directory, sha256);
        world.state = step.next;
        for (const { kind, ...effect } of step.effects) {
          if (kind !== "apply") throw new Error(`A change was not applied: ${kind} ${JSON.stringify(effect)}`);
          directory.apply(effect.change);
          files.append(effect);
          if (files.wantsSnapshot()) files.snapshot(directory, world.state.position);
        }
      }
    }
    if (frames.length > 0) spent += performance.now() - before;
    const first = random(keys.length - batch);
    const at = performance.now();
    for (let one = first; one < first + batch; one++) if (directory.findTenant(keys[one]) < 0) throw new Error("Lost");
    samples.push(((performance.now() - at) * 1e6) / batch);
    await turn();
  }
  loop.disable();
  samples.sort((a, b) => a - b);
  return {
    p50: round(quantile(samples, 0.5), 0),
    p99: round(quantile(samples, 0.99), 0),
    loopP99: round(loop.percentile(99) / 1e6, 2),
    loopMax: round(loop.max / 1e6, 2),
    usPerChange: sent === 0 ? 0 : (spent * 1_000) / sent,
  };
}

async function measure(inProcess, folder, tenants) {
  console.error(`${tenants} tenants: build and write`);
  const built = await inProcess("build", folder, tenants);
  console.error("load, 7 processes");
  const loads = [];
  for (let n = 0; n < 7; n++) loads.push(await inProcess("load", folder, tenants));
  const of = (field, digits = 1) => round(median(loads.map((one) => one[field])), digits);
  const entries = tenants * 2;
  console.error("lookups");
  const found = await inProcess("lookups", folder, tenants);
  console.error("changes");
  const changed = await inProcess("changes", folder, tenants);
  return {
    tenants,
    entries,
    load: {
      medianMs: of("loadMs"),
      minMs: round(Math.min(...loads.map((one) => one.loadMs))),
      maxMs: round(Math.max(...loads.map((one) => one.loadMs))),
      fromProcessStartMs: of("sinceStartMs"),
    },
    memory: {
      bytesPerEntry: round(median(loads.map((one) => one.rssBytes)) / entries),
      bytesPerEntryOwn: round(median(loads.map((one) => one.ownBytes)) / entries),
      rssMiB: of("rssMiB"),
      heapKiB: round(median(loads.map((one) => one.heapBytes)) / 1024, 0),
      fileBytesPerEntry: round(built.fileBytes / entries),
    },
    write: built,
    lookups: found,
    changes: changed,
  };
}

async function main(quick, trafficOnly) {
  const loadBefore = loadavg()[0];
  const minutes = trafficOnly ? 6 : 10;
  console.error(quick ? "Smaller sizes, under a minute" : `About ${minutes} minutes; Ctrl-C ends everything`);
  // Here, and not above: they make folders and listen to signals, which the roles have no use for.
  const { dir, run, stopAll } = await import("./router/processes.mjs");
  const { measureUnderTraffic } = await import("./directory/under-traffic.mjs");
  const results = [];
  let underTraffic = [];
  try {
    const sizes = trafficOnly ? [] : quick ? [100_000] : [1_000_000, 5_000_000];
    for (const tenants of sizes) {
      const folder = mkdtempSync(join(dir, "directory-"));
      const flags = ["--expose-gc", "--max-old-space-size=8000", self];
      const inProcess = async (role, ...args) =>
        JSON.parse(await run(process.execPath, [...flags, role, ...args.map(String), ...(quick ? ["quick"] : [])]));
      results.push(await measure(inProcess, folder, tenants));
      rmSync(folder, { recursive: true, force: true });
    }
    console.error("Changes under traffic, with HAProxy and nginx");
    underTraffic = await measureUnderTraffic(
      quick
        ? { sizes: { ours: 100_000, haproxy: 100_000, nginx: [20_000] }, rounds: 1, seconds: 1 }
        : { sizes: { ours: 1_000_000, haproxy: 1_000_000, nginx: [100_000, 1_000_000] }, rounds: 5, seconds: 3 },
    );
  } finally {
    await stopAll();
  }
  tell(results, underTraffic);
  if (trafficOnly) return;
  keep(quick, { loadAverage: { before: loadBefore, after: loadavg()[0] }, results, underTraffic });
}

function keep(quick, figures) {
  const now = new Date();
  const report = {
    benchmark: "directory",
    at: now.toISOString(),
    quick,
    machine: { cpus: cpus().length, model: cpus()[0]?.model, memoryGiB: Math.round(totalmem() / 2 ** 30) },
    node: process.versions.node,
    targets: { bytesPerEntry: 64, loadMsAt1M: 150, aim10MEntries: { mebibytes: 350, loadMs: 500 }, p99Ratio: 1.2 },
    ...figures,
    verdicts: directoryVerdicts(figures.results),
  };
  const resultsDir = join(root, "bench/results");
  mkdirSync(resultsDir, { recursive: true });
  const file = join(resultsDir, `directory-${now.toISOString().slice(0, 10)}${quick ? "-quick" : ""}.json`);
  writeFileSync(file, `${JSON.stringify(report, undefined, 2)}\n`);
  const { before, after } = report.loadAverage;
  console.log(`\nLoad average ${before.toFixed(2)} before, ${after.toFixed(2)} after. Written to ${file}`);
}

function tell(results, underTraffic) {
  for (const { tenants, load, memory, lookups: found, write, changes: changed } of results) {
    console.log(`\n${tenants} tenants, ${tenants * 2} keys`);
    console.log(`  load and check      ${load.medianMs} ms (${load.minMs} to ${load.maxMs})`);
    console.log(`  memory over base    ${memory.bytesPerEntry} B per key, process ${memory.rssMiB} MiB`);
    console.log(`  lookups             ${found.bytesToStampAndEpoch.perSecond} per second from bytes`);
    console.log(
      `  snapshot            ${write.writeMs} ms, event loop blocked ${write.eventLoopBlockedMs.max} ms at most`,
    );
    console.log(`  a change            ${changed.usPerChange} µs of the event loop`);
    const { changingToQuiet, quietToQuiet } = changed.p99Ratio;
    // Two quiet runs that differ by more say that the machine was busy with something else.
    const told = quietToQuiet > 1.15 || quietToQuiet < 1 / 1.15 ? "void, " : "";
    console.log(
      `  lookup p99 under 1,000 changes/s   ${changingToQuiet} × quiet (${told}quiet again: ${quietToQuiet} ×)`,
    );
  }
  if (results.some(({ tenants }) => tenants >= 1_000_000)) console.table(directoryVerdicts(results));
  console.log("\nTraffic while the directory changes, 4,000 requests per second by the clock");
  console.table(underTraffic);
}
