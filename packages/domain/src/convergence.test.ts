import {
  createManualClock,
  createSeededRandom,
  createSimulatedEngine,
  forSeeds,
  type SeededRandom,
} from "@stampyard/testing";
import { describe, expect, test } from "vitest";
import type { StampSpec } from "./engine.ts";
import { suspendedHome } from "./names.ts";
import type { Digest } from "./ports.ts";
import { afterFailure, type Stamp, stampNext, whatIsLacking } from "./stamp.ts";
import { servingPhase } from "./stamp-life/plan-serving.ts";
import { planStamp } from "./stamp-life/plan-stamp.ts";
import { afterTenantFailure, homeReadiness, planTenant, suspendable, type Tenant, tenantNext } from "./tenant.ts";

/**
 * The planners in a small world: rows in memory, a simulated engine, and a loop that may die at any line. Whatever the
 * faults did, once they stop the wanted state is reached, and then nothing is done any more (I29).
 */
function createWorld(random: SeededRandom) {
  const clock = createManualClock();
  const stamps = new Map<string, Stamp>();
  const tenants = new Map<string, Tenant>();
  /** What each stamp was told, and what routers read. */
  const told = new Map<string, Map<string, number>>();
  const directory = { stamps: new Set<string>(), tenants: new Map<string, { stamp: string; epoch: number }>() };
  let faultRate = 0;
  let effects = 0;
  const crash = () => {
    if (random.chance(faultRate)) throw new Error("crash");
  };
  const engine = createSimulatedEngine({ clock, fault: crash });
  const signal = new AbortController().signal;

  function step<S extends { kind: string }>(from: S, to: S, table: Readonly<Record<string, readonly string[]>>): S {
    if (from.kind !== to.kind) expect(table[from.kind], `${from.kind} → ${to.kind}`).toContain(to.kind);
    return to;
  }

  /** Row and directory in one transaction. */
  function writeStamp(stamp: Stamp, over: Partial<Stamp>, publish: () => void = () => {}): Stamp {
    crash();
    publish();
    const next = { ...stamp, ...over, state: step(stamp.state, over.state ?? stamp.state, stampNext) };
    if (next.state.kind === "gone") stamps.delete(stamp.name);
    else stamps.set(stamp.name, next);
    crash();
    return next;
  }

  function specOf(stamp: Stamp): StampSpec {
    const { name, pool, region } = stamp;
    return {
      rendered: {
        identity: { name, pool, region },
        template: "notes",
        version: "1",
        releaseDigest: stamp.releaseDigest,
        stampDigest: stamp.stampDigest,
        stages: [],
        ingress: { service: "api" },
        capacity: stamp.capacity,
        tenancy: { model: "rows", column: "tenant_id" },
        hooks: {},
      },
      sourceDir: "/",
      secrets: {},
      routeKeys: "",
    };
  }

  /** Tenants that routers send there. */
  const published = (name: string) => [...directory.tenants].filter(([, entry]) => entry.stamp === name);

  async function stampTurn(name: string): Promise<void> {
    let stamp = stamps.get(name);
    if (stamp === undefined) return;
    const some = [...tenants.values()].filter((tenant) => tenant.stamp === name).map(({ key }) => key);
    const plan = planStamp(stamp, await engine.observe(name, signal), { count: some.length, some }, clock.now());
    for (const action of plan.actions) {
      effects += 1;
      if (action.kind === "apply") await engine.apply(specOf(stamp), { token: 1, signal });
      if (action.kind === "verify") crash();
      if (action.kind === "destroy") {
        if (stamp.goalDetail?.force !== true) expect(published(name), "destroyed under its tenants (I31)").toEqual([]);
        try {
          await engine.destroy(name, { token: 1, signal });
        } finally {
          // Its database goes with it, also when the answer never came.
          if (!engine.stamps.has(name)) told.delete(name);
        }
      }
      const isLast = action === plan.actions.at(-1);
      const state = isLast ? plan.next : stamp.state;
      if (action.kind === "publish") {
        const { endpoints, endpointRevision } = action;
        stamp = writeStamp(stamp, { endpoints, endpointRevision, state }, () => directory.stamps.add(name));
      }
      if (action.kind === "withdraw") {
        const remove = () => void directory.stamps.delete(name);
        stamp = writeStamp(stamp, { endpoints: [], endpointRevision: 0, state }, remove);
      }
    }
    if (stamps.has(name)) writeStamp(stamp, { state: plan.next });
  }

  async function tenantTurn(key: string): Promise<void> {
    const tenant = tenants.get(key);
    if (tenant === undefined) return;
    const home = stamps.get(tenant.stamp ?? "");
    const plan = planTenant(tenant, homeReadiness(home), clock.now());
    let next: Tenant = tenant;
    let publish = () => {};
    for (const action of plan.actions) {
      if (action.kind !== "place") effects += 1;
      crash();
      if (action.kind === "place") {
        const free = [...stamps.values()].find((s) => s.state.kind === "active" && s.goal === "present");
        if (free === undefined) return;
        const preparing = { kind: "preparing" as const, attempt: 0, retryAt: clock.now() };
        tenants.set(key, {
          ...tenant,
          stamp: free.name,
          epoch: tenant.epoch + 1,
          state: step(tenant.state, preparing, tenantNext),
        });
        return;
      }
      if (action.kind === "vacate") {
        const { stamp: _, ...homeless } = tenant;
        next = { ...homeless, epoch: tenant.epoch + 1 };
      }
      if (action.kind === "prepare" && engine.stamps.has(action.stamp)) {
        const known = told.get(action.stamp) ?? new Map<string, number>();
        expect(known.get(key) ?? 0).toBeLessThanOrEqual(action.epoch);
        told.set(action.stamp, known.set(key, action.epoch));
      }
      if (action.kind === "publish") {
        // I45: the stamp knew it first. I1: never two homes under one epoch.
        if (engine.stamps.has(action.stamp)) expect(told.get(action.stamp)?.get(key)).toBe(action.epoch);
        const before = directory.tenants.get(key);
        if (before?.stamp === suspendedHome) expect(action.epoch).toBe(before.epoch);
        else if (before !== undefined) expect(action).toMatchObject(before);
        const entry = { stamp: action.stamp, epoch: action.epoch };
        publish = () => directory.tenants.set(key, entry);
      }
      if (action.kind === "hide") {
        // The same owner under the same epoch: suspension changes neither (I1, I2).
        expect(directory.tenants.get(key)?.epoch).toBe(tenant.epoch);
        publish = () => directory.tenants.set(key, { stamp: suspendedHome, epoch: tenant.epoch });
      }
      if (action.kind === "suspend") expect(directory.tenants.get(key)?.stamp).toBe(suspendedHome);
      if ((action.kind === "resume" || action.kind === "suspend") && engine.stamps.has(action.stamp)) {
        const known = told.get(action.stamp) ?? new Map<string, number>();
        told.set(action.stamp, known.set(key, action.epoch));
      }
      if (action.kind === "withdraw") directory.tenants.delete(key);
      if (action.kind === "forget") {
        expect(directory.tenants.has(key)).toBe(false);
        told.get(action.stamp)?.delete(key);
      }
      crash();
    }
    const state = step(tenant.state, plan.next, tenantNext);
    publish();
    if (state.kind === "gone") tenants.delete(key);
    else tenants.set(key, { ...next, state });
  }

  /** One pass of the control plane over everything; a throw in a turn is a crash or a failure of its engine. */
  async function pass(): Promise<void> {
    for (const name of [...stamps.keys()]) {
      try {
        await stampTurn(name);
      } catch (caught) {
        if ((caught as Error).message !== "crash") throw caught;
        const stamp = stamps.get(name);
        // Half of the time it was only the engine that failed, and the control plane lives to record it.
        if (stamp !== undefined && random.chance(0.5)) {
          stamps.set(name, { ...stamp, state: afterFailure(stamp, "crash", clock.now()) });
        }
      }
    }
    for (const key of [...tenants.keys()]) {
      try {
        await tenantTurn(key);
      } catch (caught) {
        if ((caught as Error).message !== "crash") throw caught;
        const tenant = tenants.get(key);
        if (tenant !== undefined && random.chance(0.5)) {
          tenants.set(key, { ...tenant, state: afterTenantFailure(tenant.state, "crash", clock.now()) });
        }
      }
    }
    await clock.advance(random.int(0, 5_000));
  }

  return {
    clock,
    engine,
    stamps,
    tenants,
    directory,
    told,
    pass,
    effects: () => effects,
    setFaultRate: (rate: number) => {
      faultRate = rate;
    },
  };
}

type World = ReturnType<typeof createWorld>;

const digests: readonly Digest[] = ["sha256:v1", "sha256:v2"];

/** What operators and bad luck do between two passes. */
function meddle(world: World, random: SeededRandom): void {
  const { stamps, tenants, engine } = world;
  const stampName = `eu-${random.int(1, 3)}`;
  const key = `t${random.int(1, 4)}`;
  const stamp = stamps.get(stampName);
  const tenant = tenants.get(key);
  const digest = random.pick(digests);
  switch (random.int(0, 9)) {
    case 0:
      if (stamp === undefined) {
        // The store's rule: nobody may find an empty stamp under the name of the one that held its data.
        if ([...tenants.values()].some((t) => t.stamp === stampName)) break;
        const identity = { name: stampName, pool: "eu", region: "eu", capacity: { tenants: 9, units: {} } };
        const release = { releaseDigest: digest, stampDigest: digest, parameters: {} };
        const fresh = {
          endpoints: [],
          endpointRevision: 0,
          state: { kind: "requested" },
          goal: "present",
          origin: "built",
        } as const;
        stamps.set(stampName, { ...identity, ...release, ...fresh });
      } else stamps.set(stampName, { ...stamp, stampDigest: digest, releaseDigest: digest });
      break;
    case 1: {
      if (stamp === undefined) break;
      // Also by force, while tenants live there.
      const isEmpty = ![...tenants.values()].some((t) => t.stamp === stampName);
      const isForced = random.chance(0.2);
      const goal = isEmpty || isForced ? "absent" : random.pick(["present", "cordoned", "drained"] as const);
      // `absent` is a last word.
      if (stamp.goal !== "absent") stamps.set(stampName, { ...stamp, goal, goalDetail: { force: isForced } });
      break;
    }
    case 2:
    case 3:
      if (tenant === undefined) {
        const fresh = { pool: "eu", tier: "standard", residency: [], weight: {}, hostnames: [], epoch: 0 };
        tenants.set(key, { key, ...fresh, state: { kind: "requested" }, goal: "present" });
      }
      break;
    case 4:
      if (tenant !== undefined) tenants.set(key, { ...tenant, goal: "absent" });
      break;
    case 5:
      if (engine.stamps.has(stampName)) engine.killHost(stampName);
      break;
    case 6:
      if (engine.stamps.has(stampName)) engine.moveEndpoints(stampName);
      break;
    case 7:
      if (engine.blind.delete(stampName) === false) engine.blind.add(stampName);
      break;
    case 8:
    case 9: {
      // The store's rule: only what is published and not leaving.
      if (tenant === undefined || tenant.goal === "absent" || !suspendable.includes(tenant.state.kind)) break;
      tenants.set(key, { ...tenant, goal: tenant.goal === "suspended" ? "present" : "suspended" });
      break;
    }
  }
}

describe("the planners, in a world with faults,", () => {
  test("reach what is wanted once the faults stop, and then rest (I29)", async () => {
    let hardest = 0;
    await forSeeds(400, async (random) => {
      const world = createWorld(random);
      world.setFaultRate(0.15);
      for (let n = 0; n < 25; n++) {
        meddle(world, random);
        await world.pass();
      }
      hardest = Math.max(hardest, world.effects());

      world.setFaultRate(0);
      world.engine.blind.clear();
      for (let n = 0; n < 60; n++) {
        await world.pass();
        await world.clock.advance(10_000);
      }
      expectFixedPoint(world);
      const before = world.effects();
      for (let n = 0; n < 3; n++) await world.pass();
      expect(world.effects(), "effects after the fixed point").toBe(before);
    });
    // A world in which nothing happens would pass, too.
    expect(hardest).toBeGreaterThan(20);
  });
});

function expectFixedPoint({ stamps, tenants, engine, directory, told, clock }: World): void {
  for (const stamp of stamps.values()) {
    const some = [...tenants.values()].filter((tenant) => tenant.stamp === stamp.name).map(({ key }) => key);
    expect(stamp.state.kind).toBe(servingPhase(stamp, { count: some.length, some }));
    expect(stamp.goal, "a stamp that is to be absent waits for tenants only").not.toBe("absent");
    expect(directory.stamps).toContain(stamp.name);
    const real = engine.stamps.get(stamp.name);
    expect(real?.host).toBe("up");
    expect(real?.applied?.stampDigest).toBe(stamp.stampDigest);
    expect(real?.endpointRevision).toBe(stamp.endpointRevision);
  }
  expect([...engine.stamps.keys()].sort(), "no orphan at the engine").toEqual([...stamps.keys()].sort());
  expect([...directory.stamps].sort()).toEqual([...stamps.keys()].sort());
  for (const tenant of tenants.values()) {
    const home = stamps.get(tenant.stamp ?? "");
    if (tenant.goal === "suspended") {
      expect(tenant.state.kind).toBe("suspended");
      expect(directory.tenants.get(tenant.key)).toEqual({ stamp: suspendedHome, epoch: tenant.epoch });
      continue;
    }
    expect(tenant.goal).toBe("present");
    if (tenant.state.kind === "resuming") {
      expect(home, "what is resumed waits for nothing but a home that is lost").toBeUndefined();
      continue;
    }
    if (tenant.state.kind === "active") {
      expect(directory.tenants.get(tenant.key)).toEqual({ stamp: tenant.stamp, epoch: tenant.epoch });
      if (home !== undefined) expect(told.get(home.name)?.get(tenant.key)).toBe(tenant.epoch);
      else expect(planTenant(tenant, "gone", clock.now()).waitingOn).toMatch(/destroyed/);
      continue;
    }
    expect(tenant.state.kind).toBe("placing");
    const open = [...stamps.values()].filter(({ goal }) => goal === "present");
    expect(open, "only without a stamp that takes tenants is there no place").toEqual([]);
  }
  expect([...directory.tenants.keys()].sort().filter((key) => !tenants.has(key))).toEqual([]);
  for (const [stamp, known] of told) {
    for (const key of known.keys()) expect(tenants.get(key)?.stamp, `${key} is known to ${stamp}`).toBe(stamp);
  }
}

test("whatIsLacking() is silent only about a complete stamp", async () => {
  const world = createWorld(createSeededRandom(1));
  meddleUntilActive(world);
  for (let n = 0; n < 4; n++) await world.pass();
  const stamp = world.stamps.get("eu-1") as Stamp;
  const look = () => world.engine.observe("eu-1", new AbortController().signal);
  expect(whatIsLacking(stamp, await look())).toBeUndefined();
  world.engine.killHost("eu-1");
  expect(whatIsLacking(stamp, await look())).toBe("its stamp host is down");
  world.engine.lose("eu-1");
  expect(whatIsLacking(stamp, await look())).toBe("it does not exist yet");
});

function meddleUntilActive(world: World): void {
  world.stamps.set("eu-1", {
    name: "eu-1",
    pool: "eu",
    region: "eu",
    state: { kind: "requested" },
    goal: "present",
    origin: "built",
    releaseDigest: "sha256:v1",
    parameters: {},
    stampDigest: "sha256:v1",
    capacity: { tenants: 9, units: {} },
    endpoints: [],
    endpointRevision: 0,
  });
}
