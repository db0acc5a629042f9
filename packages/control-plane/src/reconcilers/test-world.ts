import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import {
  type Clock,
  type Component,
  type Fleet,
  type FencingToken,
  type Mover,
  type Pool,
  type Stamp,
  stampSchemaSql,
  type Template,
} from "@stampyard/domain";
import { openRowsMover } from "@stampyard/movers";
import { createGuard, type Guard, highestSeenOwnership, hookHeader } from "@stampyard/guard";
import { releaseDigest } from "@stampyard/manifest";
import { createSeededRandom, createSimulatedEngine, type EngineStep, serviceFixture } from "@stampyard/testing";
import { newStamp } from "../server/stamp-goal.ts";
import { openStore } from "../store/open.ts";
import type { Store, WriteContext } from "../store/port.ts";
import { makeMasterKey } from "../store/seal.ts";
import { run, type TestPostgres } from "../store/test-postgres.ts";
import { systemSha256 } from "../system-ports.ts";
import type { MoveParts } from "./move/move-deps.ts";
import { reconcileStamp } from "./reconcile-stamp.ts";
import { reconcileTenant } from "./reconcile-tenant.ts";
import { runSequencer } from "./sequencer.ts";
import { readStampSpec } from "./stamp-spec.ts";
import { createTenantHomes } from "./tenant-homes.ts";
import { createTenantHooks } from "./tenant-hooks.ts";
import { createGate, type ReconcileDeps, type TurnEnd } from "./turn.ts";

/** Real time that leaps over every sleep: what waits a minute waits a moment, and never asks in vain. */
export function createLeapingClock(): Clock & { leap(ms: number): void } {
  let ahead = 0;
  return {
    now: () => Date.now() + ahead,
    leap(ms) {
      ahead += ms;
    },
    async sleep(ms, signal) {
      signal?.throwIfAborted();
      ahead += ms;
      await new Promise((resolve) => setImmediate(resolve));
      signal?.throwIfAborted();
    },
  };
}

const random = createSeededRandom(20_261_122);
export const pool: Pool = {
  name: "main",
  tenancy: "shared",
  regions: ["eu"],
  stamps: { min: 0, max: 1_000 },
  parameters: {},
};
const fleet: Fleet = { name: "notes", template: "stamp.yaml", pools: [pool], routing: { domains: ["localhost"] } };
const database: Component = {
  kind: "postgres",
  name: "db",
  version: 18,
  maxConnections: 20,
  resources: {},
  protect: true,
  ids: {},
  via: {},
};
export const template: Template = {
  name: "notes",
  version: "1.0.0",
  parameters: { size: { type: "number", default: 1 } },
  stages: [{ name: "main", engine: "local", components: [database, serviceFixture("api", "serve.mjs")] }],
  ingress: { service: "api" },
  capacity: { tenants: 100, units: {} },
  tenancy: { model: "rows", column: "tenant_id" },
  hooks: {
    onCreate: { kind: "http", service: "api", path: "/hooks/tenant", timeoutMs: 2_000 },
    onDelete: { kind: "http", service: "api", path: "/hooks/tenant", timeoutMs: 2_000 },
  },
};

/** The application inside all simulated stamps: checks each hook call as a real one would, and remembers it. */
async function startApplication(store: Store, now: () => number) {
  const calls: string[] = [];
  const state = {
    status: 204,
    /** Whether to answer 503 with Retry-After. */
    refuse: () => false,
    serve: (_request: IncomingMessage, _tenant: string): string | undefined => undefined,
    /** What a hook answers beside its status. */
    onHook: (_hook: string, _body: string): string | undefined => undefined,
  };
  const server = createServer((request, response) => {
    const answer = (status: number, text = "") => response.writeHead(status).end(text);
    const stamp = String(request.headers["stampyard-route"]).split(";")[3] ?? "";
    store.stamps
      .routeKeys(stamp)
      .then((keys) => {
        const text = keys.map(({ kid, secret }) => `${kid}:${secret}`).join();
        const guard = createGuard({ stamp, keys: text, ownership: highestSeenOwnership(), now });
        if (request.headers[hookHeader] === undefined) return serve(guard);
        const verdict = guard.checkHook(request.headers);
        if (verdict.kind === "refuse") return answer(verdict.status, verdict.reason);
        if (state.status >= 300) return answer(state.status, "the outbox is full");
        calls.push(`${verdict.hook} ${verdict.tenant} ${stamp} ${verdict.epoch}`);
        return readBody(request).then((body) => {
          const text = state.onHook(verdict.hook, body);
          return text === undefined ? answer(state.status) : answer(200, text);
        });
      })
      .catch(() => answer(500));
    const serve = async (guard: Guard) => {
      const verdict = await guard.check(request.headers);
      if (verdict.kind === "refuse") return answer(verdict.status, verdict.reason);
      if (state.refuse()) return response.writeHead(503, { "retry-after": "1" }).end();
      const text = state.serve(request, verdict.tenant ?? "-");
      return text === undefined ? answer(404) : answer(200, text);
    };
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const endpoint = { host: "127.0.0.1", port: (server.address() as AddressInfo).port };
  return { calls, state, endpoint, close: () => closeServer(server) };
}

async function readBody(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const part of request.setEncoding("utf8")) text += part;
  return text;
}

function closeServer(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}

/** Called around every durable step and every effect; throws to kill the control plane there. */
export type Point = (name: string) => void | Promise<void>;

export type World = Awaited<ReturnType<typeof createWorld>>;

/** A store whose lease is ours for an hour. */
async function openLedStore(postgres: TestPostgres, clock: Pick<Clock, "now">) {
  const url = await postgres.database();
  const store = await openStore({ url, keys: [makeMasterKey(Buffer.alloc(32, 7))], clock });
  const lease = await store.lease.acquire("test", 3_600_000);
  if (lease === undefined) throw new Error("The lease is taken");
  return { store, token: lease.token as FencingToken };
}

/** A real store, real stamp databases, a real application, and an engine made of data. */
export async function createWorld(postgres: TestPostgres, edit: Partial<Template> = {}) {
  const edited = { ...template, ...edit };
  const stampUrl = await createStampDatabase(postgres);
  /** Most tests need only one; its tenants have names of their own. */
  const ownDatabases = new Map<string, string>();
  const clock = createLeapingClock();
  const { store, token } = await openLedStore(postgres, clock);
  const application = await startApplication(store, clock.now);
  const sequencer = startSequencer(store, token);

  let point: Point = () => {};
  const engine = createSimulatedEngine({
    clock,
    operatorUrl: ({ rendered }) => ownDatabases.get(rendered.identity.name) ?? stampUrl,
    endpoints: () => [application.endpoint],
    fault: ({ step }) => (pointed.has(step) ? point(`engine.${step}`) : undefined),
  });
  const homes = createTenantHomes(engine);

  /** A control plane that has just started: nothing in memory, and every step of it goes through `point`. */
  function freshDeps(): ReconcileDeps & MoveParts {
    const seen = watched(store, () => point);
    const hooks = createTenantHooks({ store, engine, clock });
    return {
      store: seen,
      engine,
      specOf: (stamp: Stamp) => readStampSpec(store, stamp, systemSha256),
      homes: around("homes", homes, ["open", "suspend", "close", "forget"], () => point),
      hooks: around("hooks", hooks, ["call"], () => point),
      clock,
      random,
      events: { publish() {} },
      log,
      heavy: createGate(4),
      drift: new Map(),
      openMover: async (request) => aroundMover(await openRowsMover(request), () => point),
      ensureFence: async () => {},
      fences: new Map(),
    };
  }

  const ctx = () => ({ actor: "test", token: world.token });

  const world = {
    store,
    engine,
    clock,
    homes,
    application,
    stampUrl,
    token,
    ctx,
    freshDeps,
    setPoint(next: Point) {
      point = next;
    },
    /** One stamp in a region of its own, so that a test's tenant has exactly one possible home. */
    async createStamp(name: string, region = name): Promise<void> {
      const wish = { identity: { name, pool: pool.name, region }, pool, own: {} };
      await store.stamps.create(newStamp({ template: edited }, wish, systemSha256, random), ctx());
    },
    /** @returns its URL as the mover */
    async giveDatabase(stamp: string): Promise<string> {
      const url = await createStampDatabase(postgres);
      ownDatabases.set(stamp, url);
      return url;
    },
    homesOf: (tenant: string) =>
      run(stampUrl, "select state, epoch::int from stampyard.tenant_home where tenant = $1", [tenant]),
    async [Symbol.asyncDispose]() {
      await sequencer.end();
      await homes[Symbol.asyncDispose]();
      await application.close();
      await store.close();
    },
  };
  await setFleet(store, edited, ctx());
  return world;
}

const log = { info() {}, warn() {}, error() {} };

/** In real time, whatever the world's clock does. */
function startSequencer(store: Store, token: FencingToken) {
  const stop = new AbortController();
  const clock: Clock = { now: Date.now, sleep: (ms, signal) => waitReally(ms, signal) };
  const done = runSequencer({ store, clock, log }, token, stop.signal).catch(() => {});
  return {
    async end() {
      stop.abort();
      await done;
    },
  };
}

async function setFleet(store: Store, template: Template, ctx: WriteContext): Promise<void> {
  const release = { digest: releaseDigest(template, systemSha256), version: "1.0.0", template };
  const input = { fleet, release: { ...release, source: "", sourceDir: "/" }, stampCreates: [], stampUpdates: [] };
  await store.fleet.apply({ ...input, expectedRevision: 0 }, ctx);
}

const pointed: ReadonlySet<EngineStep> = new Set([
  "apply:before",
  "apply:middle",
  "apply:after",
  "destroy:before",
  "destroy:middle",
  "destroy:after",
]);

function watched(store: Store, point: () => Point): Store {
  const stamps = around("stamps", store.stamps, ["write"], point);
  const tenants = around("tenants", store.tenants, ["write", "place", "vacate"], point);
  const moves = around("moves", store.moves, ["write", "land"], point);
  const holds = around("holds", store.holds, ["hold", "release"], point);
  return { ...store, stamps, tenants, moves, holds };
}

const moverSteps = [
  "check",
  "admit",
  "arm",
  "copy",
  "follow",
  "verify",
  "fence",
  "settle",
  "flip",
  "open",
  "compare",
  "erase",
  "unfence",
  "reopen",
  "forget",
] as const satisfies readonly (keyof Mover)[];

function aroundMover(mover: Mover, point: () => Point): Mover {
  return around("mover", mover, moverSteps, point);
}

function around<T extends object>(
  label: string,
  target: T,
  names: readonly (keyof T & string)[],
  point: () => Point,
): T {
  const copy = { ...target };
  for (const name of names) {
    const method = target[name] as (...args: unknown[]) => Promise<unknown>;
    const wrapped = async (...args: unknown[]) => {
      await point()(`${label}.${name}:before`);
      const result = await method.apply(target, args);
      await point()(`${label}.${name}:after`);
      return result;
    };
    copy[name] = wrapped as T[typeof name];
  }
  return copy;
}

/** Turns of everything, one after the other, until nobody has anything to do; leaps over planned waits. */
export async function settle(world: World, deps: ReconcileDeps, signal = new AbortController().signal): Promise<void> {
  const turn = { token: world.token, signal };
  for (let n = 0; n < 80; n++) {
    const ends: TurnEnd[] = [];
    for (const { value } of await world.store.stamps.all()) ends.push(await reconcileStamp(deps, value.name, turn));
    for (const key of await tenantKeys(world.store)) ends.push(await reconcileTenant(deps, key, turn));
    const retries = ends.flatMap((end) => (end.kind === "rest" && end.until !== undefined ? [end.until] : []));
    if (ends.some((end) => end.kind === "again")) continue;
    if (retries.length === 0) return;
    world.clock.leap(Math.max(0, Math.min(...retries) - world.clock.now()));
  }
  throw new Error("The world does not come to rest");
}

async function tenantKeys(store: Store): Promise<string[]> {
  return (await store.tenants.list({ limit: 1_000 })).items.map(({ value }) => value.key);
}

async function createStampDatabase(postgres: TestPostgres): Promise<string> {
  const url = await postgres.database();
  for (const role of ["stampyard nologin", "stampyard_app", "stampyard_owner", "stampyard_mover login"]) {
    // Roles are of the whole server: the second database finds them made.
    await run(url, `do $$ begin create role ${role}; exception when duplicate_object then null; end $$`);
  }
  await run(url, stampSchemaSql);
  return url.replace("postgres@", "stampyard_mover@");
}

function waitReally(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(signal.reason);
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        reject(signal.reason);
      },
      { once: true },
    );
  });
}
