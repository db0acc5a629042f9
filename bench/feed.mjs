/**
 * How long after a change the feed's readers have applied it: the real application of the control plane over the real
 * store on PostgreSQL as `up` starts it, with its sequencer, and 50 of the router's feed clients in another process.
 *
 *   npm run bench:feed              400 changes at 20 per second, 400 at 100 per second
 *   npm run bench:feed -- --quick   80 of each
 *
 * The parts of the control plane are taken from their sources, since its package exports only the whole.
 */
import { fork } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, loadavg, tmpdir, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { acceptFeed, createDirectory, feedStart, newFeedState } from "../packages/directory/src/index.ts";

const self = fileURLToPath(import.meta.url);
const root = join(dirname(self), "..");
const quick = process.argv.includes("--quick");
const clients = 50;
const tenants = 20;
const tenantOf = (number) => `t${number}`;
const sha256 = (bytes) => createHash("sha256").update(bytes).digest();
/** Milliseconds of one clock that all processes of the machine share. */
const now = () => performance.timeOrigin + performance.now();
const quantile = (sorted, share) =>
  Number(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))].toFixed(2));

let interrupted = false;

if (process.argv[2] === "readers") await read(process.argv[3], process.argv[4]);
else await main().catch(unlessInterrupted);

/** The other end: 50 feed clients, each with a table of its own. Tells when each version was applied by each. */
async function read(url, tokenFile) {
  const { createControlPlane } = await import("../packages/router/src/control-plane.ts");
  const stop = new AbortController();
  const applied = new Map();
  process.on("disconnect", () => process.exit());
  // Ctrl-C reaches the whole group; whoever asks them ends them.
  process.on("SIGINT", () => {});
  process.on("message", ({ ask, version }) => {
    if (ask === "applied") process.send({ applied: [...applied] });
    if (ask === "count") process.send({ count: applied.get(version)?.length ?? 0 });
    if (ask === "stop") {
      stop.abort();
      process.disconnect();
    }
  });
  for (let number = 0; number < clients; number++) {
    let state = newFeedState(feedStart);
    let table = createDirectory();
    const controlPlane = createControlPlane({ url, tokenFile, router: `bench-${number}`, adminUrl: undefined });
    const onMessage = (message) => {
      const step = acceptFeed(state, message, table, sha256);
      state = step.next;
      for (const effect of step.effects) {
        if (effect.kind === "replace") table = effect.directory;
        else if (effect.kind === "apply") {
          table.apply(effect.change);
          const list = applied.get(effect.version) ?? [];
          list.push(now());
          applied.set(effect.version, list);
        } else if (effect.kind !== "keys") throw new Error(`Unexpected: ${JSON.stringify(effect)}`);
      }
      if (message.kind === "hello") process.send({ connected: number });
      return true;
    };
    controlPlane.follow(feedStart, { onMessage }, stop.signal).then((end) => {
      if (!stop.signal.aborted) throw new Error(`A feed ended: ${JSON.stringify(end)}`);
    });
  }
}

/** What is under way fails when its store is taken away. */
function unlessInterrupted(error) {
  if (!interrupted) throw error;
}

async function main() {
  const { ensureStore, destroyStore } = await import("../packages/engines/src/index.ts");
  const stateDir = mkdtempSync(join(tmpdir(), "stampyard-bench-"));
  // The store runs as a user of its own, who has to get through here.
  chmodSync(stateDir, 0o755);
  const loadBefore = loadavg()[0];
  const results = [];
  const removeAll = async () => {
    await destroyStore({ stateDir });
    rmSync(stateDir, { recursive: true, force: true });
  };
  // Its PostgreSQL would live on; the readers end with us.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    process.once(signal, () => {
      interrupted = true;
      void removeAll().then(() => process.exit(130));
    });
  }
  try {
    const world = await openWorld((await ensureStore({ stateDir })).url);
    const tokenFile = join(stateDir, "token");
    writeFileSync(tokenFile, world.token, { mode: 0o600 });
    const readers = await startReaders(world.url, tokenFile);
    try {
      for (const perSecond of [20, 100]) results.push(await measure(world, readers, perSecond, quick ? 80 : 400));
    } finally {
      readers.send({ ask: "stop" });
      await world.close();
    }
  } finally {
    await removeAll();
  }
  report(results, loadBefore);
}

/** What a leader consists of, as far as the feed goes. */
async function openWorld(databaseUrl) {
  const from = (path) => import(`../packages/control-plane/src/${path}`);
  const { openStore } = await from("store/open.ts");
  const { makeMasterKey } = await from("store/seal.ts");
  const { createApp } = await from("server/app.ts");
  const { listen } = await from("server/listen.ts");
  const { createEventBus, publishStoreEvents } = await from("server/events.ts");
  const { runSequencer } = await from("reconcilers/sequencer.ts");
  const { systemClock, systemRandom, systemSha256 } = await from("system-ports.ts");
  const { activeTenant, applyFleet, leaderOf, stampFixture } = await from("store/test-store.ts");

  const store = await openStore({ url: databaseUrl, keys: [makeMasterKey(randomBytes(32))], clock: systemClock });
  const ctx = await leaderOf(store, "bench");
  const silent = () => {};
  const log = { debug: silent, info: silent, warn: silent, error: console.error };
  const events = createEventBus(systemClock);
  const endEvents = publishStoreEvents(store, events);
  const app = createApp({
    ...{ store, clock: systemClock, random: systemRandom, sha256: systemSha256, events, log, version: "0.0.0-bench" },
    engine: undefined,
    specOf: undefined,
    leadership: () => ctx.token,
  });
  const listening = await listen(app, { host: "127.0.0.1", port: 0 });
  const stop = new AbortController();
  const sequencer = runSequencer({ store, clock: systemClock, log }, ctx.token, stop.signal);
  await applyFleet(store, ctx, [stampFixture("shared-1", { capacity: { tenants: 1_000, units: {} } })]);
  const row = await store.stamps.read("shared-1");
  const { pool, region, endpoints, endpointRevision } = row.value;
  const put = { kind: "stamp-put", stamp: "shared-1", pool, region, endpoints, endpointRevision };
  await store.stamps.write(row.value, row.revision, { changes: [put] }, ctx);
  for (let number = 0; number < tenants; number++) await activeTenant(store, ctx, tenantOf(number));
  // Numbered before anybody asks, so that readers get all of it in their snapshot.
  for (let head = await store.directory.head(); head.pending > 0; head = await store.directory.head()) await wait(5);
  const { secret } = await store.tokens.create({ name: "bench", role: "router" }, ctx);
  return {
    store,
    ctx,
    url: listening.url,
    token: secret,
    async close() {
      await listening.close();
      endEvents();
      stop.abort();
      await sequencer;
      await store.close();
    },
  };
}

async function startReaders(url, tokenFile) {
  const readers = fork(self, ["readers", url, tokenFile], { execArgv: ["--conditions=source"] });
  const connected = new Set();
  await new Promise((resolve, reject) => {
    readers.on("message", (message) => {
      if (message.connected !== undefined && connected.add(message.connected).size === clients) resolve();
    });
    readers.once("exit", (code) => reject(new Error(`The readers ended with ${code}`)));
  });
  return readers;
}

/** The answer of the readers' process to one question. */
function askReaders(readers, question, field) {
  return new Promise((resolve) => {
    const take = (message) => {
      if (message[field] === undefined) return;
      readers.off("message", take);
      resolve(message[field]);
    };
    readers.on("message", take);
    readers.send(question);
  });
}

/** Changes tenants one after the other at this rate: one write, one version each. */
async function measure({ store, ctx }, readers, perSecond, count) {
  const first = (await store.directory.head()).version;
  const asked = [];
  const committed = [];
  const began = now();
  for (let number = 0; number < count; number++) {
    const due = began + (number * 1_000) / perSecond;
    if (due > now()) await wait(due - now());
    const at = now();
    asked.push(at);
    // Gives each tenant a hostname and takes it away again, so that every change is as small as most are. The counts are
    // even multiples of the tenants: the next round begins without hostnames, and all of its writes change something.
    const tenant = tenantOf(number % tenants);
    const isGiven = Math.floor(number / tenants) % 2 === 0;
    if (isGiven) await store.tenants.addHostname(tenant, `www.${tenant}.example.com`, {}, ctx);
    else await store.tenants.removeHostname(tenant, `www.${tenant}.example.com`, {}, ctx);
    committed.push(now());
  }
  console.error(`${count} changes at ${perSecond} per second are written`);
  const head = await settledAt(store, first + count);
  await settled(readers, head.version);
  const applied = new Map(await askReaders(readers, { ask: "applied" }, "applied"));
  const fromAsked = [];
  const fromCommit = [];
  for (let number = 0; number < count; number++) {
    for (const at of applied.get(first + 1 + number)) {
      fromAsked.push(at - asked[number]);
      fromCommit.push(at - committed[number]);
    }
  }
  const summary = (values) => {
    const sorted = values.toSorted((a, b) => a - b);
    return { p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99), max: quantile(sorted, 1) };
  };
  const secondsTaken = (committed.at(-1) - began) / 1_000;
  return {
    perSecondAsked: perSecond,
    perSecondReached: Number((count / secondsTaken).toFixed(1)),
    changes: count,
    clients,
    samples: fromAsked.length,
    msFromWriteBegun: summary(fromAsked),
    msFromCommit: summary(fromCommit),
  };
}

async function settledAt(store, version) {
  for (const until = now() + 60_000; now() < until; await wait(5)) {
    const head = await store.directory.head();
    if (head.version >= version) return head;
  }
  throw new Error("The sequencer did not number all changes");
}

/** Waits until every client has applied this version. */
async function settled(readers, version) {
  for (const until = now() + 60_000; now() < until; await wait(50)) {
    if ((await askReaders(readers, { ask: "count", version }, "count")) === clients) return;
  }
  throw new Error(`Not every client has version ${version}`);
}

function report(results, loadBefore) {
  const at = new Date();
  const report = {
    benchmark: "feed",
    at: at.toISOString(),
    quick,
    machine: { cpus: cpus().length, model: cpus()[0]?.model, memoryGiB: Math.round(totalmem() / 2 ** 30) },
    node: process.versions.node,
    loadAverage: { before: loadBefore, after: loadavg()[0] },
    targets: { mustP99Ms: 250, aimP99Ms: 50 },
    results,
  };
  const resultsDir = join(root, "bench/results");
  mkdirSync(resultsDir, { recursive: true });
  const file = join(resultsDir, `feed-${at.toISOString().slice(0, 10)}${quick ? "-quick" : ""}.json`);
  writeFileSync(file, `${JSON.stringify(report, undefined, 2)}\n`);
  for (const { perSecondReached, changes, msFromWriteBegun, msFromCommit } of results) {
    console.log(`${changes} changes at ${perSecondReached} per second, applied in ${clients} feed clients:`);
    for (const [from, of] of [
      ["the write's begin", msFromWriteBegun],
      ["its commit", msFromCommit],
    ]) {
      console.log(`  from ${from.padEnd(18)} p50 ${of.p50} ms   p99 ${of.p99} ms   max ${of.max} ms`);
    }
  }
  console.log(`Load average ${loadBefore.toFixed(2)} before, ${loadavg()[0].toFixed(2)} after. Written to ${file}`);
}
