import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import {
  defaultStrategy,
  type Digest,
  type Fleet,
  planWaves,
  type Pool,
  type Rollout,
  type RolloutCandidate,
  type RolloutStrategy,
  type Template,
} from "@stampyard/domain";
import { releaseDigest } from "@stampyard/manifest";
import { createSeededRandom, createSimulatedEngine, serviceFixture, type SimulatedEngine } from "@stampyard/testing";
import { newStamp } from "../../packages/control-plane/src/server/stamp-goal.ts";
import { openStore } from "../../packages/control-plane/src/store/open.ts";
import type { Store, WriteContext } from "../../packages/control-plane/src/store/port.ts";
import { makeMasterKey } from "../../packages/control-plane/src/store/seal.ts";
import { run, type TestPostgres } from "../../packages/control-plane/src/store/test-postgres.ts";
import { systemClock, systemSha256 } from "../../packages/control-plane/src/system-ports.ts";
import { type EngineServer, serveEngine } from "./remote-engine.ts";

const child = join(dirname(fileURLToPath(import.meta.url)), "crash-child.ts");
const masterKey = Buffer.alloc(32, 11);
const random = createSeededRandom(61);

const pool: Pool = {
  name: "main",
  tenancy: "shared",
  regions: ["eu"],
  stamps: { min: 0, max: 100 },
  automation: { scaleUp: "propose" },
  parameters: {},
};
const fleet: Fleet = { name: "notes", template: "stamp.yaml", pools: [pool], routing: { domains: ["localhost"] } };

/** Nothing is measured here, so its gate only reports. */
export const strategy: RolloutStrategy = {
  ...defaultStrategy,
  canary: { leastPerMinute: 0, bakeMs: 100 },
  waves: [{ name: "rest", size: { kind: "rest" } }],
  maxUnavailable: 8,
  bakeMs: 100,
  gate: { ...defaultStrategy.gate, enforced: false },
};

export interface CrashFleet extends AsyncDisposable {
  readonly store: Store;
  readonly engine: SimulatedEngine;
  /** How long the engine takes for each apply. Milliseconds. */
  applyMs: number;
  /** Asked at every point of the control plane; it is killed there if the answer is true. */
  onPoint: (point: string) => boolean | Promise<boolean>;
  /** Starts a control plane if none runs. It may die at once. */
  start(): Promise<void>;
  /** Kills the present one and waits for its end. */
  kill(): Promise<void>;
  /** How many of them were killed at a point. */
  readonly killed: readonly string[];
  ctx(): Promise<WriteContext>;
  startRollout(
    version: string,
    over?: Partial<RolloutStrategy>,
    env?: Readonly<Record<string, string>>,
  ): Promise<string>;
  rollout(id: string): Promise<Rollout>;
  members(id: string): Promise<Readonly<Record<string, string>>>;
  /** Whatever dies is started again. @throws Error with what there is when it does not come to that */
  until(what: string, fits: () => Promise<boolean>, withinMs?: number): Promise<void>;
  /** Speaks to the API as an administrator. */
  post(path: string, body: object): Promise<Response>;
}

export async function crashFleet(postgres: TestPostgres, names: readonly string[]): Promise<CrashFleet> {
  const url = await postgres.database();
  const state = mkdtempSync(join(tmpdir(), "stampyard-crash-rollouts-"));
  const log = join(state, "child.log");
  const store = await openStore({ url, keys: [makeMasterKey(masterKey)], clock: systemClock });
  const killed: string[] = [];
  let running: ChildProcess | undefined;
  let listening = "";
  const engine = createSimulatedEngine({
    clock: systemClock,
    fault: async ({ step }) => (step === "apply:middle" ? await delay(self.applyMs) : undefined),
  });
  const server: EngineServer = await serveEngine(engine, async (point) => {
    if (!(await self.onPoint(point))) return;
    killed.push(point);
    running?.kill("SIGKILL");
    // It never hears of an answer.
    await new Promise(() => {});
  });
  const isOver = () => running === undefined || running.exitCode !== null || running.signalCode !== null;

  const self: CrashFleet = {
    store,
    engine,
    applyMs: 0,
    killed,
    onPoint: () => false,
    async start() {
      if (!isOver()) return;
      // A dead leader's lease would run out by itself, later.
      await run(url, "UPDATE stampyard_control.lease SET expires_at = clock_timestamp()");
      const file = openSync(log, "a");
      running = spawn(process.execPath, [child], {
        env: {
          PATH: process.env["PATH"],
          STAMPYARD_STATE: state,
          STAMPYARD_LISTEN: "127.0.0.1:0",
          STAMPYARD_MASTER_KEY: masterKey.toString("base64"),
          DATABASE_URL: url,
          ENGINE: server.url,
        },
        stdio: ["ignore", file, file],
      });
      await delay(50);
    },
    async kill() {
      running?.kill("SIGKILL");
      while (!isOver()) await delay(5);
    },
    async ctx() {
      const lease = await store.lease.current();
      if (lease === undefined) throw new RangeError("Nobody leads");
      return { actor: "tester", token: lease.token };
    },
    async startRollout(version, over = {}, env = {}) {
      const release = await addRelease(store, await self.ctx(), version, env);
      const chosen = { ...strategy, ...over };
      const candidates = await candidatesOf(store, release, names);
      const { waves, members } = planWaves({ strategy: chosen, candidates, hotfix: false });
      const input = { release, components: [], strategy: chosen, waves, members, hotfix: false };
      return (await store.rollouts.start(input, await self.ctx())).value.id;
    },
    async rollout(id) {
      const found = await store.rollouts.read(id);
      if (found === undefined) throw new RangeError(`No rollout ${id}`);
      return found.value;
    },
    async members(id) {
      return Object.fromEntries((await store.rollouts.members(id)).map(({ stamp, state: { kind } }) => [stamp, kind]));
    },
    async until(what, fits, withinMs = 30_000) {
      const deadline = performance.now() + withinMs;
      while (!(await fits())) {
        if (performance.now() > deadline) {
          const last = readFileSync(log, "utf8")
            .split("\n")
            .filter((line) => !line.includes('"msg":"request"'))
            .slice(-9);
          throw new Error(`Waited in vain for ${what}; ${last.join("\n")}`);
        }
        await self.start();
        await delay(20);
      }
    },
    async post(path, body) {
      listening = (JSON.parse(readFileSync(join(state, "control-plane.json"), "utf8")) as { url: string }).url;
      const token = readFileSync(join(state, "secrets", "admin.token"), "utf8").trim();
      const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
      return await fetch(`${listening}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
    },
    async [Symbol.asyncDispose]() {
      await self.kill();
      await server[Symbol.asyncDispose]();
      await store.close();
      rmSync(state, { recursive: true, force: true });
    },
  };
  try {
    await buildFleet(store, names);
    await self.until("all stamps to be built", async () => {
      return (await store.stamps.all()).every(({ value }) => value.state.kind === "active");
    });
    return self;
  } catch (caught) {
    await self[Symbol.asyncDispose]();
    throw caught;
  }
}

function templateOf(version: string, env: Readonly<Record<string, string>>): Template {
  const values = Object.fromEntries(Object.entries(env).map(([name, value]) => [name, [value]]));
  const api = serviceFixture("api", "serve.mjs", { env: { VERSION: [version], ...values } });
  return {
    name: "notes",
    version,
    parameters: {},
    stages: [{ name: "main", engine: "local", components: [api] }],
    ingress: { service: "api" },
    capacity: { tenants: 100, units: {} },
    tenancy: { model: "rows", column: "tenant_id" },
    hooks: {},
  };
}

function releaseOf(version: string, env: Readonly<Record<string, string>> = {}) {
  const template = templateOf(version, env);
  return { digest: releaseDigest(template, systemSha256), version, template, source: version, sourceDir: "/" };
}

async function buildFleet(store: Store, names: readonly string[]): Promise<void> {
  const lease = await store.lease.acquire("setup", 60_000);
  if (lease === undefined) throw new RangeError("Somebody leads");
  const ctx = { actor: "setup", token: lease.token };
  const release = releaseOf("1.0.0");
  const stampCreates = names.map((name) => {
    return newStamp(release, { identity: { name, pool: "main", region: "eu" }, pool, own: {} }, systemSha256, random);
  });
  await store.fleet.apply({ fleet, release, stampCreates, stampUpdates: [], expectedRevision: 0 }, ctx);
  await store.lease.release("setup", lease.token);
}

async function addRelease(store: Store, ctx: WriteContext, version: string, env: Readonly<Record<string, string>>) {
  const release = releaseOf(version, env);
  await store.fleet.keepRelease(release, ctx);
  return release.digest;
}

async function candidatesOf(
  store: Store,
  digest: Digest,
  names: readonly string[],
): Promise<readonly RolloutCandidate[]> {
  const release = await store.fleet.release(digest);
  if (release === undefined) throw new RangeError("No release");
  return await Promise.all(
    names.map(async (name, index): Promise<RolloutCandidate> => {
      const stamp = (await store.stamps.read(name))?.value;
      if (stamp === undefined) throw new RangeError(`No stamp ${name}`);
      const identity = { name, pool: pool.name, region: stamp.region };
      const made = newStamp(release, { identity, pool, own: {} }, systemSha256, random).stamp;
      const aim = ({ releaseDigest: of, stampDigest, parameters, capacity }: typeof stamp) => {
        return { release: of, stampDigest, parameters, capacity };
      };
      const facts = { region: stamp.region, pool: stamp.pool, tiers: [], isDedicated: false, hasPinnedTenants: false };
      return { stamp: name, ...facts, perMinute: 100 + index, from: aim(stamp), to: aim(made) };
    }),
  );
}
