import {
  type Aim,
  defaultStrategy,
  type Digest,
  type GateReport,
  planWaves,
  type Rollout,
  type RolloutCandidate,
  type RolloutStrategy,
  type Stamp,
  type Template,
} from "@stampyard/domain";
import { releaseDigest } from "@stampyard/manifest";
import { createSeededRandom, serviceFixture } from "@stampyard/testing";
import { newStamp } from "../../server/stamp-goal.ts";
import type { RolloutInput, Store } from "../../store/port.ts";
import type { TestPostgres } from "../../store/test-postgres.ts";
import { systemSha256 } from "../../system-ports.ts";
import { reconcileStamp } from "../reconcile-stamp.ts";
import { createWorld, type Point, pool, settle, template, type World } from "../test-world.ts";
import type { Turn, TurnEnd } from "../turn.ts";
import { reconcileRollout } from "./reconcile-rollout.ts";
import { findCandidates } from "./find-candidates.ts";
import type { JudgeRollout, RolloutDeps } from "./rollout-deps.ts";
import { createRolloutHooks, type RolloutHooks } from "./rollout-hooks.ts";

/** Nothing beside it in a stamp: most of these tests are about stamps, not about what is in them. */
const plain = { stages: [] as unknown as Template["stages"], hooks: {} };

export const noGate: GateReport = { at: 0, verdict: "go", checks: [], tookLook: false };

export const quickStrategy: RolloutStrategy = {
  ...defaultStrategy,
  canary: { leastPerMinute: 0, bakeMs: 1_000 },
  waves: [{ name: "rest", size: { kind: "rest" } }],
  maxUnavailable: 2,
  bakeMs: 1_000,
  updateWithinMs: 60_000,
  gate: { ...defaultStrategy.gate, waitMs: 5_000 },
  hooks: [],
};

/** A real store, stamps made of data, and releases of one service: `1.0.0` runs, and `version` says what another one answers. */
export async function createRolloutWorld(postgres: TestPostgres, names: readonly string[]) {
  const world = await createWorld(postgres, templateOf("1.0.0"));
  const { store } = world;
  for (const name of names) await world.createStamp(name);
  await settle(world, world.freshDeps());
  const state: BedState = {
    judge: async () => ({ ...noGate, at: world.clock.now() }),
    signal: new AbortController().signal,
    point: () => {},
  };
  let deps = freshRolloutDeps(world, state);

  const self = {
    world,
    store,
    state,
    deps: () => deps,
    /** As if the process had been killed: nothing in memory. */
    restart(signal = new AbortController().signal) {
      state.signal = signal;
      deps = freshRolloutDeps(world, state);
    },
    /** Called around every durable step and effect; throws to kill the control plane there. */
    setPoint(point: Point) {
      state.point = point;
      world.setPoint(point);
    },
    release: (version: string, env: Readonly<Record<string, string>> = {}) => addRelease(world, version, env),
    async start(version: string, over: Partial<RolloutInput> = {}, env: Readonly<Record<string, string>> = {}) {
      const digest = await addRelease(world, version, env);
      const strategy = over.strategy ?? quickStrategy;
      const candidates = await candidatesOf(store, digest, names);
      const planned = planWaves({ strategy, candidates, hotfix: over.hotfix ?? false });
      const { waves, members } = planned;
      const input = { release: digest, components: [], strategy, waves, members, hotfix: false, ...over };
      return (await store.rollouts.start(input, world.ctx())).value.id;
    },
    rolloutOf: (id: string) => rolloutOf(store, id),
    async membersOf(id: string) {
      return Object.fromEntries((await store.rollouts.members(id)).map((member) => [member.stamp, member.state.kind]));
    },
    runningOf: (name: string) => world.engine.stamps.get(name)?.applied?.releaseDigest,
    turn: (): Turn => ({ token: world.token, signal: state.signal }),
    /** One turn of everything. @returns when the next one is worth it */
    step: () => stepOnce(world, deps, state.signal),
    async until(id: string, fits: (rollout: Rollout) => boolean): Promise<Rollout> {
      for (let n = 0; n < 200; n++) {
        const rollout = await rolloutOf(store, id);
        if (fits(rollout)) return rollout;
        const ends = await self.step();
        if (ends.some((end) => end.kind === "again")) continue;
        await new Promise((resolve) => setImmediate(resolve));
        // A bake is waited for in one leap; a hook answers in real time.
        world.clock.leap(500);
      }
      throw new Error(`It does not come to that: ${JSON.stringify(await rolloutOf(store, id))}`);
    },
    [Symbol.asyncDispose]: () => world[Symbol.asyncDispose](),
  };
  return self;
}

export type RolloutWorldBed = Awaited<ReturnType<typeof createRolloutWorld>>;

function templateOf(version: string, env: Readonly<Record<string, string>> = {}): Partial<Template> {
  const values = Object.fromEntries(Object.entries(env).map(([name, value]) => [name, [value]]));
  const api = serviceFixture("api", "serve.mjs", { env: { NAME: ["api"], VERSION: [version], ...values } });
  return { ...plain, version, stages: [{ name: "main", engine: "local", components: [api] }] };
}

/** Known to the store, while the fleet stays at the release that it has. */
async function addRelease(world: World, version: string, env: Readonly<Record<string, string>>): Promise<Digest> {
  const { store } = world;
  const before = await store.fleet.read();
  if (before === undefined) throw new RangeError("No fleet");
  const made = { ...template, ...templateOf(version, env) };
  const digest = releaseDigest(made, systemSha256);
  const old = await store.fleet.release(before.value.release);
  if (old === undefined) throw new RangeError("No release");
  const none = { stampCreates: [], stampUpdates: [], fleet: before.value.fleet };
  const release = { digest, version, template: made, source: "", sourceDir: "/" };
  const { revision } = await store.fleet.apply({ ...none, release, expectedRevision: before.revision }, world.ctx());
  await store.fleet.apply({ ...none, release: old, expectedRevision: revision }, world.ctx());
  return digest;
}

export async function candidatesOf(
  store: Store,
  digest: Digest,
  names: readonly string[],
): Promise<readonly RolloutCandidate[]> {
  const release = await store.fleet.release(digest);
  if (release === undefined) throw new RangeError("No release");
  const found: RolloutCandidate[] = [];
  for (const [index, name] of names.entries()) {
    const stamp = (await store.stamps.read(name))?.value;
    if (stamp === undefined) continue;
    const identity = { name, pool: pool.name, region: stamp.region };
    const made = newStamp(release, { identity, pool, own: {} }, systemSha256, createSeededRandom(1)).stamp;
    const facts = { region: stamp.region, pool: stamp.pool, tiers: [], isDedicated: false, hasPinnedTenants: false };
    found.push({ stamp: name, ...facts, perMinute: 100 + index, from: aimOf(stamp), to: aimOf(made) });
  }
  return found;
}

export function aimOf({ releaseDigest: release, stampDigest, parameters, capacity }: Stamp): Aim {
  return { release, stampDigest, parameters, capacity };
}

async function rolloutOf(store: Store, id: string): Promise<Rollout> {
  const found = await store.rollouts.read(id);
  if (found === undefined) throw new RangeError(`No rollout ${id}`);
  return found.value;
}

interface BedState {
  judge: JudgeRollout;
  signal: AbortSignal;
  point: Point;
}

function freshRolloutDeps(world: World, state: BedState): RolloutDeps {
  const { store } = world;
  const base = world.freshDeps();
  const real = { now: world.clock.now, sleep: (ms: number) => new Promise<void>((done) => setTimeout(done, ms / 50)) };
  const rolloutHooks: RolloutHooks = createRolloutHooks({
    clock: real,
    log: base.log,
    signal: state.signal,
    wake: () => {},
  });
  const { write } = base.store.rollouts;
  const rollouts: Store["rollouts"] = {
    ...base.store.rollouts,
    async write(rollout, ...rest) {
      await state.point(`rollouts.${rollout.state.kind}:before`);
      const written = await write(rollout, ...rest);
      await state.point(`rollouts.${rollout.state.kind}:after`);
      return written;
    },
  };
  return {
    ...base,
    store: { ...base.store, rollouts },
    judge: (rollout, members, now, signal) => state.judge(rollout, members, now, signal),
    candidates: (rollout, names, ctx) => {
      const given = { store, clock: base.clock, random: createSeededRandom(7), sha256: systemSha256 };
      return findCandidates(given, rollout, names, ctx);
    },
    rolloutHooks,
    gateMemory: new Map(),
    writtenAt: new Map(),
  };
}

async function stepOnce(world: World, deps: RolloutDeps, signal: AbortSignal): Promise<readonly TurnEnd[]> {
  const turn: Turn = { token: world.token, signal };
  const ends: TurnEnd[] = [];
  for (const id of await world.store.rollouts.open()) ends.push(await reconcileRollout(deps, id, turn));
  const all = { ...world.freshDeps(), ...deps };
  for (const { value } of await world.store.stamps.all()) ends.push(await reconcileStamp(all, value.name, turn));
  return ends;
}
