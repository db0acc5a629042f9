import type { Fleet, Pool, Stamp, Template } from "@stampyard/domain";
import { releaseDigest } from "@stampyard/manifest";
import { createManualClock, createSeededRandom, forSeeds, type SeededRandom, serviceFixture } from "@stampyard/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openStore } from "../store/open.ts";
import type { Store, WriteContext } from "../store/port.ts";
import { startTestPostgres, type TestPostgres } from "../store/test-postgres.ts";
import { leaderOf, testKeys } from "../store/test-store.ts";
import { systemSha256 } from "../system-ports.ts";
import { type PoolDeps, reconcilePool } from "./reconcile-pool.ts";
import type { Turn, TurnEnd } from "./turn.ts";

let postgres: TestPostgres;
let store: Store;
let ctx: WriteContext;
let deps: PoolDeps;
let turn: Turn;
const said: string[] = [];
const clock = createManualClock(Date.now());

beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres?.[Symbol.asyncDispose]());
beforeEach(async () => {
  store = await openStore({ url: await postgres.database(), keys: testKeys, clock });
  ctx = await leaderOf(store);
  turn = { token: ctx.token, signal: new AbortController().signal };
  said.length = 0;
  deps = freshDeps();
});
afterEach(() => store.close());

/** A control plane that has just started: nothing in memory. */
function freshDeps(over: Partial<Store> = {}): PoolDeps {
  const log = {
    info: (_: object, text: string) => said.push(text),
    warn: (_: object, text: string) => said.push(text),
    error: (_: object, text: string) => said.push(text),
  };
  return {
    store: { ...store, ...over },
    clock,
    log,
    sha256: systemSha256,
    random: createSeededRandom(1),
    poolMemory: { said: new Map() },
  };
}

const template: Template = {
  name: "notes",
  version: "1.0.0",
  parameters: {},
  stages: [{ name: "main", engine: "local", components: [serviceFixture("api", "serve.mjs")] }],
  ingress: { service: "api" },
  capacity: { tenants: 100, units: {} },
  tenancy: { model: "rows", column: "tenant_id" },
  hooks: {},
};

const shared: Pool = {
  name: "shared",
  tenancy: "shared",
  regions: ["eu"],
  stamps: { min: 0, max: 4 },
  capacity: { tenants: 5 },
  parameters: {},
};

async function apply(...pools: Pool[]): Promise<void> {
  const revision = (await store.fleet.read())?.revision ?? 0;
  const fleet: Fleet = { name: "notes", template: "stamp.yaml", pools, routing: { domains: ["localhost"] } };
  const digest = releaseDigest(template, systemSha256);
  const release = { digest, version: "1.0.0", template, source: "", sourceDir: "/" };
  await store.fleet.apply({ fleet, release, stampCreates: [], stampUpdates: [], expectedRevision: revision }, ctx);
}

const look = (pool = "shared"): Promise<TurnEnd> => reconcilePool(deps, pool, turn);
const stamps = async (): Promise<readonly Stamp[]> => (await store.stamps.all()).map(({ value }) => value);
const names = async () => (await stamps()).map(({ name }) => name);
const create = (key: string, over: object = {}) => store.tenants.create({ key, ...over }, ctx);
const createMany = async (count: number, from = 1) => {
  for (let n = from; n < from + count; n++) await create(`t${n}`);
};

/** What its reconciler would come to. */
async function become(
  name: string,
  ...kinds: ("provisioning" | "verifying" | "active" | "draining" | "empty" | "failed")[]
) {
  for (const kind of kinds) {
    const row = await store.stamps.read(name);
    if (row === undefined) throw new Error(`No stamp ${name}`);
    const failed = { kind: "failed", attempt: 9, cause: "no space left", retryAt: clock.now() } as const;
    const state: Stamp["state"] =
      kind === "failed" ? failed : kind === "provisioning" || kind === "verifying" ? { kind, attempt: 1 } : { kind };
    await store.stamps.write({ ...row.value, state }, row.revision, {}, ctx);
  }
}

async function build(...built: string[]): Promise<void> {
  for (const name of built) await become(name, "provisioning", "verifying", "active");
}

describe("reconcilePool() builds", () => {
  test("the minimum, then one more at the low mark, each once and with its reason in the audit (I26, I27)", async () => {
    await apply({ ...shared, stamps: { min: 1, max: 4 } });
    expect(await look()).toEqual({ kind: "again" });
    expect(await stamps()).toMatchObject([{ name: "shared-1", region: "eu", state: { kind: "requested" } }]);
    await look();
    deps = freshDeps();
    await look();
    expect(await names()).toEqual(["shared-1"]);

    await build("shared-1");
    await createMany(3);
    expect(await look()).toMatchObject({ kind: "rest" });
    await createMany(1, 4);
    await look();
    await look();
    expect(await names()).toEqual(["shared-1", "shared-2"]);
    const audit = (await store.audit.list({ subject: "stamp/shared-2" })).items;
    expect(audit).toMatchObject([
      { actor: "reconciler", reason: "Pool shared is at 80% of its tenants, and builds from 80%" },
    ]);
  });

  test("for tenants that wait, which are refused only above the maximum", async () => {
    await apply({ ...shared, stamps: { min: 0, max: 1 } });
    expect((await create("t1")).value).toMatchObject({ state: { kind: "placing" } });
    await look();
    await build("shared-1");
    expect((await store.tenants.place("t1", ctx)).value).toMatchObject({ stamp: "shared-1" });
    await createMany(4, 2);
    await expect(create("t6")).rejects.toMatchObject({ code: "POOL_FULL" });
    await look();
    expect(await names()).toEqual(["shared-1"]);
    expect(said).toContain(
      "pool shared has its 1 stamps and needs one more: pool shared is at 100% of its tenants, and builds from 80%",
    );
    const times = said.length;
    await look();
    expect(said).toHaveLength(times);
  });

  test("a stamp of its own for a dedicated tenant, in its region, and holds it against all others", async () => {
    await apply({ ...shared, name: "own", tenancy: "dedicated", regions: ["eu", "us"], stamps: { min: 0, max: 2 } });
    await create("bank", { residency: ["us"] });
    await look("own");
    expect(await stamps()).toMatchObject([{ name: "own-1", region: "us", reservedFor: "bank" }]);
    await build("own-1");
    expect((await create("shop", { residency: ["us"] })).value).toMatchObject({ state: { kind: "placing" } });
    expect((await store.tenants.place("bank", ctx)).value).toMatchObject({ stamp: "own-1" });
    await look("own");
    expect(await stamps()).toMatchObject([{ name: "own-1" }, { name: "own-2", reservedFor: "shop" }]);
  });

  test("nothing where it may only propose, nothing under a stale token (I28), nothing for a pool that is not there", async () => {
    await apply({ ...shared, stamps: { min: 1, max: 4 }, automation: { scaleUp: "propose" } });
    await look();
    await look("nowhere");
    expect(await names()).toEqual([]);
    expect(said).toContain(
      "pool shared waits for somebody's word to build the next stamp: pool shared has 0 stamps, and a minimum of 1",
    );
    await apply({ ...shared, stamps: { min: 1, max: 4 } });
    await expect(reconcilePool(deps, "shared", { ...turn, token: turn.token + 1 })).rejects.toMatchObject({
      code: "STALE_LEADER",
    });
    expect(await names()).toEqual([]);
  });

  test("past one that cannot be built, and not past two", async () => {
    await apply({ ...shared, stamps: { min: 1, max: 4 } });
    await look();
    await become("shared-1", "provisioning", "failed");
    await create("t1");
    await look();
    await become("shared-2", "provisioning", "failed");
    await look();
    expect(await names()).toEqual(["shared-1", "shared-2"]);
  });
});

describe("reconcilePool() shrinks where it may act", () => {
  const roomy: Pool = { ...shared, stamps: { min: 1, max: 4 }, automation: { scaleDown: "act" } };

  test("drains an empty stamp, destroys it when it is empty, and never one with tenants (I31)", async () => {
    await apply({ ...roomy, stamps: { min: 2, max: 4 } });
    await look();
    await build("shared-1", "shared-2");
    await create("t1");
    await apply(roomy);
    await look();
    expect(await stamps()).toMatchObject([
      { name: "shared-1", goal: "present" },
      {
        name: "shared-2",
        goal: "drained",
        goalDetail: { by: "reconciler", reason: expect.stringMatching(/^Scaling down: /) },
      },
    ]);
    await look();
    await become("shared-2", "draining", "empty");
    await look();
    expect(await stamps()).toMatchObject([{ goal: "present" }, { name: "shared-2", goal: "absent" }]);
    await look();
    expect((await stamps())[0]).toMatchObject({ goal: "present" });
  });

  test("takes the drain back when the pool needs the stamp again", async () => {
    await apply({ ...roomy, stamps: { min: 2, max: 4 } });
    await look();
    await build("shared-1", "shared-2");
    await apply(roomy);
    await look();
    const leaving = (await stamps()).find(({ goal }) => goal === "drained");
    await createMany(4);
    await look();
    expect(await stamps()).toMatchObject([{ goal: "present" }, { goal: "present" }]);
    expect(leaving).toBeDefined();
  });

  test("leaves alone what an operator drains", async () => {
    await apply(roomy);
    await look();
    await build("shared-1");
    await store.stamps.setGoal("shared-1", "drained", {}, { ...ctx, reason: "new disks" });
    await become("shared-1", "draining", "empty");
    await look();
    expect((await stamps())[0]).toMatchObject({ goal: "drained" });
  });
});

describe("growth", () => {
  test("is sampled every ten minutes, and orders the next stamp before the pool is full", async () => {
    await apply({ ...shared, capacity: { tenants: 20 }, growth: { low: 0.95, buildTimeMs: 3_600_000 } });
    await create("t1");
    await look();
    await build("shared-1");
    await store.tenants.place("t1", ctx);
    for (let n = 2; n <= 12; n++) {
      clock.advance(600_000);
      await look();
      await look();
      await create(`t${n}`);
    }
    const history = (await store.pools.facts("shared"))?.history ?? [];
    expect(history).toHaveLength(12);
    expect(history.at(-1)?.used).toMatchObject({ tenants: 11 });
    // 12 of 20, six an hour: full in 80 minutes, and a stamp takes 60, or 90 on a bad day.
    clock.advance(600_000);
    await look();
    expect(await names()).toEqual(["shared-1", "shared-2"]);
  });

  test("survives a clock that jumps: a sample from the future neither counts nor ends the sampling", async () => {
    await apply(shared);
    await store.pools.sample("shared", { tenants: 1 }, ctx);
    clock.advance(-30 * 86_400_000);
    await look();
    await look();
    clock.advance(600_000);
    await look();
    const facts = await store.pools.facts("shared");
    expect(facts?.history.filter(({ at }) => at <= clock.now()).length).toBeGreaterThanOrEqual(2);
    clock.advance(30 * 86_400_000);
  });
});

test("a control plane that dies at any line of a turn builds no stamp too much (I26, I27, I29)", async () => {
  await apply({ ...shared, stamps: { min: 0, max: 9 } });
  let asked = 0;
  await forSeeds(3, async (random: SeededRandom) => {
    asked += 5;
    for (let n = asked - 4; n <= asked; n++) await create(`t${n}`);
    const dies = () => {
      if (random.chance(0.5)) throw new Error("killed");
    };
    const dying: Store["stamps"] = {
      ...store.stamps,
      async create(input, by) {
        dies();
        const made = await store.stamps.create(input, by);
        dies();
        return made;
      },
    };
    for (let n = 0; n < 6; n++) await reconcilePool(freshDeps({ stamps: dying }), "shared", turn).catch(() => {});
    await reconcilePool(freshDeps(), "shared", turn);
    // Exactly as many as leave the pool below 80%.
    expect(await stamps()).toHaveLength(Math.min(9, Math.floor(asked / 4) + 1));
    for (const { name, state } of await stamps()) if (state.kind === "requested") await build(name);
    for (let n = 1; n <= asked; n++) {
      const row = await store.tenants.read(`t${n}`);
      if (row?.value.state.kind === "placing") await store.tenants.place(`t${n}`, ctx);
    }
    for (const { name } of await stamps()) {
      const used = (await store.stamps.used([name])).get(name)?.tenants ?? 0;
      expect(used, `places of ${name} (I32)`).toBeLessThanOrEqual(5);
    }
  });
});
