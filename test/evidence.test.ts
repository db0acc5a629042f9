import { type ChildProcess, spawn } from "node:child_process";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import {
  defaultStrategy,
  type EvidenceBucket,
  type GateRule,
  type MemberState,
  type Rollout,
  type StampEngine,
  verifyTenantKey,
} from "@stampyard/domain";
import { createManualClock, createSimulatedEngine } from "@stampyard/testing";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import type { TenantHomes } from "../packages/control-plane/src/reconcilers/turn.ts";
import { probeByHttp } from "../packages/control-plane/src/rollouts/evidence/probe-http.ts";
import type { Store } from "../packages/control-plane/src/store/port.ts";
import { systemClock } from "../packages/control-plane/src/system-ports.ts";
import { type EvidenceDeps, runEvidence } from "../packages/control-plane/src/rollouts/evidence/run-evidence.ts";
import { failingOf, readFailing } from "../packages/control-plane/src/rollouts/evidence/failing-reports.ts";
import { files } from "../packages/control-plane/src/server/test-files.ts";
import {
  activateStamp,
  activateTenant,
  startTestServer,
  type TestServer,
} from "../packages/control-plane/src/server/test-server.ts";
import { startTestPostgres, type TestPostgres } from "../packages/control-plane/src/store/test-postgres.ts";
import { eventually } from "./conformance/router-under-test.ts";

/** What routers count on its way to buckets: real routers as processes, their pushes, a real control plane and store. */
const spanMs = 500;
const routerEntry = fileURLToPath(new URL("../packages/router/dist/main.js", import.meta.url));
const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
let postgres: TestPostgres;
let server: TestServer;
let stamp: Server;
let folder: string;
let answer: (tenant: string, path: string) => number;
let stopLeading: (() => Promise<void>) | undefined;
const children: ChildProcess[] = [];

beforeAll(async () => {
  process.env["STAMPYARD_EVIDENCE_MS"] = String(spanMs);
  postgres = await startTestPostgres();
  stamp = createServer((asked, response) => {
    const status = answer(asked.headers["x-tenant"]?.toString() ?? "", asked.url ?? "");
    if (status === 0) asked.socket.destroy();
    else response.writeHead(status).end("home");
  });
  await new Promise<void>((resolve) => stamp.listen(0, "127.0.0.1", resolve));
  server = await startTestServer(await postgres.database(), engineOf((stamp.address() as AddressInfo).port), {
    heartbeatMs: 200,
  });
  folder = mkdtempSync(join(tmpdir(), "stampyard-evidence-"));
  writeFileSync(join(folder, "token"), server.tokens.router, { mode: 0o600 });
  const { operator } = server.clients;
  await operator.apply({ body: files });
  for (const name of ["shared-1", "shared-2"]) await activateStamp(server, name);
  for (const key of ["acme", "globex", "initech"]) {
    await operator.tenantCreate({ body: { key, pool: "shared" } });
    await activateTenant(server, key);
  }
}, 60_000);
afterAll(async () => {
  delete process.env["STAMPYARD_EVIDENCE_MS"];
  stamp?.closeAllConnections();
  stamp?.close();
  await server?.close();
  await postgres?.[Symbol.asyncDispose]();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => {
  answer = () => 200;
});
afterEach(async () => {
  await stopLeading?.();
  for (const child of children.splice(0)) await end(child, "SIGTERM");
  // Nobody waits for those of the test before.
  await server.store.routers.forget(0);
});

/** Its stamps are not there: whatever is applied answers at this port. */
function engineOf(port: number): StampEngine {
  const simulated = createSimulatedEngine({ clock: createManualClock() });
  const endpoints = [{ host: "127.0.0.1", port }];
  const apply: StampEngine["apply"] = async (...args) => ({
    ...(await simulated.apply(...args)),
    endpoints,
    endpointRevision: 1,
  });
  return { ...simulated, apply };
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill(signal);
  await ended;
}

interface Router {
  readonly child: ChildProcess;
  readonly port: number;
  readonly adminPort: number;
}

async function startRouter(name: string, workers = 0): Promise<Router> {
  const state = join(folder, name);
  const child = spawn(process.execPath, [routerEntry], {
    stdio: "ignore",
    env: {
      PATH: process.env["PATH"],
      STAMPYARD_ROUTER_NAME: name,
      STAMPYARD_ROUTER_STATE: state,
      STAMPYARD_ROUTER_LISTEN: "127.0.0.1:0",
      STAMPYARD_ROUTER_ADMIN: "127.0.0.1:0",
      STAMPYARD_ROUTER_WORKERS: String(workers),
      STAMPYARD_ROUTER_DRAIN_MS: "500",
      STAMPYARD_API: server.url,
      STAMPYARD_TOKEN_FILE: join(folder, "token"),
    },
  });
  children.push(child);
  const record = await eventually(() => {
    const read = JSON.parse(readFileSync(join(state, "router.json"), "utf8")) as Record<string, number>;
    expect(read["pid"]).toBe(child.pid);
    return read;
  }, 15_000);
  const router = { child, port: record["listenPort"] ?? 0, adminPort: record["adminPort"] ?? 0 };
  await eventually(async () => expect(await ask(router, "acme")).toBe(200), 15_000);
  return router;
}

/** The leader's loop, until the end of the test. */
function leadNow(given: Partial<EvidenceDeps> = {}): void {
  const stop = new AbortController();
  const deps: EvidenceDeps = { ...server, clock: systemClock, log, ...given } as unknown as EvidenceDeps;
  const running = runEvidence(deps, server.ctx.token, stop.signal);
  stopLeading = async () => {
    stop.abort();
    await running;
    stopLeading = undefined;
  };
}

function ask(router: Router, tenant: string, path = "/"): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { host: `${tenant}.localhost`, "x-tenant": tenant };
    const sent = request({ host: "127.0.0.1", port: router.port, path, headers, agent: false }, (response) => {
      response.resume();
      response.on("end", () => resolve(response.statusCode ?? 0));
    });
    sent.on("error", reject).end();
  });
}

async function bucketsSince(from: number): Promise<readonly EvidenceBucket[]> {
  return await server.store.evidence.buckets(["shared-1", "shared-2"], from);
}

const sum = (buckets: readonly EvidenceBucket[], of: (bucket: EvidenceBucket) => number) =>
  buckets.reduce((total, bucket) => total + of(bucket), 0);

/** Asks for so long; what was answered, by time. */
async function load(routers: readonly Router[], ms: number, tenant = "acme"): Promise<number> {
  let asked = 0;
  for (const until = Date.now() + ms; Date.now() < until; ) {
    await Promise.all(routers.map((router) => ask(router, tenant).catch(() => 0)));
    asked += routers.length;
    await delay(10);
  }
  return asked;
}

test("all requests of two routers, one of them with workers, are in whole buckets, aligned and counted once", async () => {
  const routers = [await startRouter("two-a"), await startRouter("two-b", 2)];
  leadNow();
  const began = Date.now();
  await eventually(async () => expect((await bucketsSince(began)).some(({ complete }) => complete)).toBe(true), 10_000);
  const home = (await server.store.tenants.read("globex"))?.value.stamp;
  const asked = await load(routers, 2_500, "globex");
  await eventually(async () => {
    const buckets = (await bucketsSince(began)).filter(({ stamp: name, complete }) => complete && name === home);
    expect(sum(buckets, ({ requests }) => requests)).toBe(asked);
    expect(sum(buckets, ({ latency }) => latency.reduce((total, one) => total + one, 0))).toBe(asked);
    for (const { at, ms } of buckets) expect([at % spanMs, ms]).toEqual([0, spanMs]);
  }, 10_000);
}, 60_000);

test("answers of 500 and refused or cut connections are errors", async () => {
  const router = await startRouter("errors");
  leadNow();
  const began = Date.now();
  await eventually(async () => expect((await bucketsSince(began)).some(({ complete }) => complete)).toBe(true), 10_000);
  answer = (_, path) => (path === "/cut" ? 0 : Number(path.slice(1)) || 200);
  const home = (await server.store.tenants.read("globex"))?.value.stamp;
  for (const path of ["/200", "/404", "/500", "/503", "/cut"]) await ask(router, "globex", path);
  await eventually(async () => {
    const buckets = (await bucketsSince(began)).filter(({ stamp: name, complete }) => complete && name === home);
    expect([sum(buckets, ({ requests }) => requests), sum(buckets, ({ errors }) => errors)]).toEqual([5, 3]);
  }, 10_000);
}, 60_000);

test("a killed router leaves its spans incomplete while it counts as live, and a restarted one is whole again", async () => {
  const stays = await startRouter("stays");
  const dies = await startRouter("dies");
  leadNow();
  const began = Date.now();
  await eventually(async () => expect((await bucketsSince(began)).some(({ complete }) => complete)).toBe(true), 10_000);
  await load([stays, dies], 1_000);
  await end(dies.child, "SIGKILL");
  const killedAt = Date.now();
  await load([stays], 2_000);
  await eventually(async () => {
    const during = (await bucketsSince(killedAt)).filter(({ requests }) => requests > 0);
    expect(during.length).toBeGreaterThan(1);
    expect(during.every(({ complete }) => !complete)).toBe(true);
  }, 10_000);

  const again = await startRouter("dies");
  const backAt = Date.now();
  await load([stays, again], 2_000);
  await eventually(async () => {
    const after = (await bucketsSince(backAt)).filter(({ requests }) => requests > 0);
    expect(after.some(({ complete }) => complete)).toBe(true);
    expect(after.every(({ requests, errors }) => requests >= 0 && errors >= 0)).toBe(true);
  }, 10_000);
}, 60_000);

test("a tenant that fails is found across worker processes, with the time since it does, and no other one is", async () => {
  const router = await startRouter("failing", 2);
  leadNow();
  const before = Date.now();
  answer = (tenant) => (tenant === "globex" ? 500 : 200);
  for (let n = 0; n < 40; n++) await Promise.all(["acme", "globex"].map((tenant) => ask(router, tenant)));
  const home = (await server.store.tenants.read("globex"))?.value.stamp ?? "";
  const found = await eventually(async () => {
    const reports = await readFailing(server.store);
    const [row, ...more] = failingOf(reports, home, before - 1_000);
    expect(more).toEqual([]);
    expect(row).toMatchObject({ tenant: "globex", wasFailing: false });
    expect(row?.errors).toBeGreaterThanOrEqual(20);
    return reports;
  }, 10_000);
  // An update that began now would not be blamed for it.
  expect(failingOf(found, home, Date.now())).toMatchObject([{ tenant: "globex", wasFailing: true }]);
}, 60_000);

test("stamps are watched while a rollout looks on, and routers tell more often then", async () => {
  await startRouter("watched");
  const numberOf = async () =>
    (await server.store.evidence.reports()).find(({ router }) => router === "watched")?.number;
  await server.store.evidence.watch(["shared-1"], Date.now() + 30_000, server.ctx);
  const first = await eventually(async () => {
    const number = await numberOf();
    expect(number).toBeGreaterThan(1);
    return number ?? 0;
  }, 10_000);
  const at = Date.now();
  await eventually(async () => expect(await numberOf()).toBeGreaterThanOrEqual(first + 10), 15_000);
  // While nobody looks on, one report a second.
  expect(Date.now() - at).toBeLessThan(9_000);
  await server.store.evidence.watch([], Date.now(), server.ctx);
}, 60_000);

/** A rollout that bakes, as far as evidence asks for one. */
function baking(gate: Partial<GateRule>) {
  const world = { isOpen: true };
  const now = Date.now();
  const release = `sha256:${"2".repeat(64)}` as const;
  const aim = { release, stampDigest: release, parameters: {}, capacity: { tenants: 1, units: {} } };
  const member = (stamp: string, state: MemberState) => ({ stamp, wave: 0, place: 0, from: aim, to: aim, state });
  const members = [
    member("shared-1", { kind: "updated", since: now - 2_000, at: now - 1_000 }),
    member("shared-2", { kind: "waiting" }),
  ];
  const strategy = { ...defaultStrategy, gate: { ...defaultStrategy.gate, ...gate } };
  const state = { kind: "baking", wave: 0, since: now, until: now + 10_000 };
  const value = { id: "ro-1", release, strategy, waves: [{}], looks: 0, state } as unknown as Rollout;
  const rollouts = {
    ...server.store.rollouts,
    open: async () => (world.isOpen ? ["ro-1"] : []),
    read: async () => ({ value, revision: 1 }),
    members: async () => members,
  } as unknown as Store["rollouts"];
  return { world, store: { ...server.store, rollouts } };
}

test("where traffic is thin our own tenant asks through a router, is counted apart, and is gone afterwards", async () => {
  await startRouter("thin");
  const calls: string[] = [];
  const done = (what: string) => async (_: unknown, tenant: string) => void calls.push(`${what} ${tenant}`);
  const homes = { open: done("open"), close: done("close"), forget: done("forget") } as unknown as TenantHomes;
  const hooks = { call: async () => undefined };
  const { world, store } = baking({
    errors: { worse: 0.01, leastRequests: { updated: 50, siblings: 50 } },
    probes: [{ kind: "http", name: "home", path: "/home", status: 418, timeoutMs: 1_000 }],
  });
  answer = (_, path) => (path === "/home" ? 418 : 200);
  leadNow({ store, homes, hooks });
  const isThere = async (stamp: string) => (await store.directory.tenantVersion(verifyTenantKey(stamp))) !== undefined;
  const began = Date.now();
  await eventually(async () => {
    const buckets = await bucketsSince(began);
    for (const name of ["shared-1", "shared-2"]) {
      const own = buckets.filter(({ stamp: of }) => of === name);
      expect(
        sum(own, ({ synthetic }) => synthetic),
        name,
      ).toBeGreaterThanOrEqual(5);
      expect(own.every(({ requests, synthetic }) => synthetic <= requests)).toBe(true);
    }
  }, 20_000);
  expect(await isThere("shared-1")).toBe(true);
  const probe = { kind: "http", name: "home", path: "/home", status: 418, timeoutMs: 1_000 } as const;
  const probed = await probeByHttp(
    { ...server, store, clock: systemClock } as unknown as EvidenceDeps,
    probe,
    "shared-1",
  );
  expect(probed).toMatchObject({ ok: true, text: "/home answered 418" });

  world.isOpen = false;
  await eventually(
    async () => expect([await isThere("shared-1"), await isThere("shared-2")]).toEqual([false, false]),
    10_000,
  );
  expect(calls.filter((call) => call.endsWith("shared-1"))).toEqual(
    ["open", "close", "forget"].map((what) => `${what} stampyard-verify-shared-1`),
  );
}, 60_000);

test("a tenant of ours that a leader left behind is taken out by the next one", async () => {
  const tenant = verifyTenantKey("shared-1");
  const row = await server.store.stamps.read("shared-1");
  if (row === undefined) throw new Error("No stamp");
  const put = { kind: "tenant-put", tenant, stamp: "shared-1", epoch: 1, hostnames: [] } as const;
  await server.store.stamps.write(row.value, row.revision, { changes: [put] }, server.ctx);
  const isThere = async () => (await server.store.directory.tenantVersion(tenant)) !== undefined;
  await eventually(async () => expect(await isThere()).toBe(true), 5_000);
  const nothing = async () => {};
  const homes = { close: nothing, forget: nothing } as unknown as TenantHomes;
  leadNow({ homes, hooks: { call: async () => undefined } });
  await eventually(async () => expect(await isThere()).toBe(false), 10_000);
}, 60_000);

test("an ingress that is not our router is counted by its log, and no log is no quiet time", async () => {
  const file = join(folder, "access.log");
  const began = Date.now();
  leadNow({ ingressLog: file });
  await delay(spanMs * 5);
  expect((await bucketsSince(began)).filter(({ complete }) => complete)).toEqual([]);
  writeFileSync(file, "");
  const lines = (status: number, count: number) =>
    `{"stamp":"shared-1","status":${status},"request_time":0.02}\n`.repeat(count);
  // Past what the first look takes as its beginning.
  await delay(spanMs * 2);
  appendFileSync(file, lines(200, 30) + lines(502, 4));
  await eventually(async () => {
    const buckets = (await bucketsSince(began)).filter(({ complete }) => complete);
    expect([sum(buckets, ({ requests }) => requests), sum(buckets, ({ errors }) => errors)]).toEqual([34, 4]);
  }, 10_000);
}, 60_000);
